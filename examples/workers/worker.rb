# Measure one TCP connection and send the result: ruby worker.rb COORDINATOR HOST PORT
require "json"
require "net/http"
require "socket"

coordinator, host, port = ARGV
began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
Socket.tcp(host, port.to_i, connect_timeout: 5, &:close)
latency = (Process.clock_gettime(Process::CLOCK_MONOTONIC) - began) * 1000
message = {
  latency: format("%.2f", latency), hostname: Socket.gethostname, lang: "ruby",
  timestamp: (Time.now.to_f * 1000).to_i, technique: "TCP_CONNECT", destination: host
}
headers = { "Content-Type" => "application/json", "Authorization" => "Bearer #{ENV.fetch("KEY", "")}" }
answer = Net::HTTP.post(URI("#{coordinator}/v1/measurements"), message.to_json, headers)
puts answer.body
exit(answer.code == "202" ? 0 : 1)
