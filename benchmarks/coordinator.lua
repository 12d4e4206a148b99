-- One feedback message of about 500 bytes a request. A thousand requests are put together beforehand and sent in turn, so that
-- the load leaves its core to what stands behind the server that is measured.
local head = '{"v":1,"peer_id":"3f2b8a7c9d0e4f11a2b3c4d5e6f70819","session_id":"0c5f8a3b2d1e4f60718293a4b5c6d7e8","seq":'
local tail = ',"event":"report","sent_ms":1700000000000,"uptime_ms":360000,"channel":"sports-1","isp":"Example Broadband",'
  .. '"app":"player 2.3.1","platform":"android","upload_kbps":812.5,"download_kbps":1210.25,"playback_kbps":850.0,'
  .. '"continuity":0.988,"startup_ms":2300,"stall_count":1,"stall_ms":800,"played_ms":355000,"buffer_ms":12000,'
  .. '"partners":14,"p2p_ratio":0.71,"extra":{"cdn":"a","cpu":0.4}}'
local requests = {}
local sent = 0

init = function()
  wrk.method = "POST"
  wrk.path = "/v1/feedback"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer benchmark"
  for seq = 1, 1000 do
    requests[seq] = wrk.format(nil, nil, nil, head .. seq .. tail)
  end
end

request = function()
  sent = sent % 1000 + 1
  return requests[sent]
end
