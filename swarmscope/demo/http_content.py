"""Content for the viewers of the demo's network: a server of segments, and players that fetch them and embed the SDK.

`python -m swarmscope.demo.http_content serve` and `… watch` run in nodes of the lab. Players stall if segments come too late, so
their quality is that of the network.
"""

import os
import socket
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from endhost_sdk import Telemetry
from endhost_sdk.session import Session
from swarmscope.demo.playout_buffer import PlayoutBuffer

PORT = 8000
SEGMENT_S, BITRATE_KBPS = 1.0, 1200
BUFFER_S, STARTS_WITH_S = 4.0, 2.0
READ_BYTES, READ_TIMEOUT_S = 16 * 1024, 0.5
LONGEST_FETCH_S = 30.0
CHANNELS = ("News", "Badminton")

_SEGMENT = os.urandom(round(SEGMENT_S * BITRATE_KBPS * 1000 / 8))


class SegmentHandler(BaseHTTPRequestHandler):
    """Every path is the same segment, except `/`, which is a short page for the technique HTTP."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"demo content\n" if self.path == "/" else _SEGMENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Nothing: a line for each segment would fill the disk."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_request: object) -> None:
        """Nothing: a player that gives up a segment ends its connection."""


def serve(address: str) -> None:
    """Serve segments until the process is killed."""
    server = _Server((address, PORT), SegmentHandler)
    # Some systems use BBR, which hardly reacts to loss. What most servers use does.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    print("serving", flush=True)
    server.serve_forever()


class HttpViewer:
    """One viewer, who watches for as long as the process runs."""

    def __init__(self, telemetry: Telemetry, name: str, isp: str, channel: str, server: str) -> None:
        self._server = server
        self._telemetry = telemetry
        self._name, self._isp, self._channel = name, isp, channel
        self._buffer = PlayoutBuffer(starts_with_s=STARTS_WITH_S)

    def watch(self) -> None:
        """Fetch one segment after the other. The buffer decides when the next one is due."""
        requested_s = time.monotonic()
        session = self._telemetry.session(
            peer_id=self._name, isp=self._isp, channel=self._channel, app="demo-player", platform="lab"
        )
        with session:
            while True:
                began_s = time.monotonic()
                if self._fetched(session):
                    self._note(session, requested_s, began_s)
                wait_s = self._buffer.ahead_s(time.monotonic()) - BUFFER_S
                if wait_s > 0:
                    time.sleep(wait_s)

    def _note(self, session: Session, requested_s: float, began_s: float) -> None:
        now_s, before = time.monotonic(), self._buffer.started
        self._report_stall(session, now_s)
        self._buffer.received(SEGMENT_S, now_s)
        if self._buffer.started and not before:
            session.started(after_ms=(now_s - requested_s) * 1000)
        rate_kbps = len(_SEGMENT) * 8 / 1000 / max(now_s - began_s, 0.001)
        session.update(download_kbps=rate_kbps, playback_kbps=BITRATE_KBPS, buffer_ms=self._buffer.ahead_s(now_s) * 1000)

    def _report_stall(self, session: Session, now_s: float) -> None:
        stalled_ms = self._buffer.stalled_ms(now_s)
        if stalled_ms > 0:
            session.stalled(for_ms=stalled_ms)

    def _fetched(self, session: Session) -> bool:
        """Whether a whole segment arrived. A stall that lasts is reported meanwhile."""
        connection = HTTPConnection(self._server, PORT, timeout=LONGEST_FETCH_S)
        ends_s, left = time.monotonic() + LONGEST_FETCH_S, len(_SEGMENT)
        try:
            connection.request("GET", "/segment")
            answer = connection.getresponse()
            while left and time.monotonic() < ends_s:
                data = answer.read1(min(left, READ_BYTES))
                if not data:
                    return False
                left -= len(data)
        except (OSError, HTTPException):
            self._report_stall(session, time.monotonic())
            time.sleep(READ_TIMEOUT_S)
            return False
        finally:
            connection.close()
        return not left


def watch(coordinator: str, isp: str, viewers: int, period_s: float, servers: list[str]) -> None:
    """Run the viewers of one ISP until the process is killed. The ingest key is in the environment."""
    telemetry = Telemetry(coordinator, key=os.environ.get("SWARMSCOPE_KEY"), period_s=period_s)
    some = [
        HttpViewer(telemetry, f"{isp.lower()}-viewer-{at + 1}", isp, CHANNELS[at % len(CHANNELS)], servers[at % len(servers)])
        for at in range(viewers)
    ]
    threads = [threading.Thread(target=viewer.watch, daemon=True) for viewer in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        watch(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), sys.argv[6:])
