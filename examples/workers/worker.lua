-- Measure one TCP connection and send the result: lua worker.lua COORDINATOR HOST PORT (needs LuaSocket)
local http = require("socket.http")
local ltn12 = require("ltn12")
local socket = require("socket")

local coordinator, host, port = arg[1], arg[2], tonumber(arg[3])
local began = socket.gettime()
local connection = assert(socket.connect(host, port))
local latency = (socket.gettime() - began) * 1000
connection:close()
local message = string.format(
  '{"latency": "%.2f", "hostname": "%s", "lang": "lua", "timestamp": %d, "technique": "TCP_CONNECT", "destination": "%s"}',
  latency, socket.dns.gethostname(), math.floor(socket.gettime() * 1000), host
)
local answer = {}
local _, status = http.request({
  url = coordinator .. "/v1/measurements",
  method = "POST",
  headers = {
    ["content-type"] = "application/json",
    ["content-length"] = #message,
    authorization = "Bearer " .. (os.getenv("KEY") or ""),
  },
  source = ltn12.source.string(message),
  sink = ltn12.sink.table(answer),
})
print(table.concat(answer))
os.exit(status == 202 and 0 or 1)
