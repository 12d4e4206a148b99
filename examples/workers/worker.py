"""Measure one TCP connection and send the result: worker.py COORDINATOR HOST PORT"""

import json
import os
import socket
import sys
import time
import urllib.request

coordinator, host, port = sys.argv[1:4]
began_s = time.perf_counter()
with socket.create_connection((host, int(port)), timeout=5):
    latency_ms = (time.perf_counter() - began_s) * 1000
message = {
    "latency": latency_ms,
    "hostname": socket.gethostname(),
    "lang": "python",
    "timestamp": int(time.time()),
    "technique": "TCP_CONNECT",
    "destination": host,
}
headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ.get('KEY', '')}"}
request = urllib.request.Request(f"{coordinator}/v1/measurements", json.dumps(message).encode(), headers)
with urllib.request.urlopen(request, timeout=5) as answer:
    print(answer.read().decode())
