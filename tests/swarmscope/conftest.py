"""A tiny coordinator over real HTTP, whose answers a test decides."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from feedback_wire import routes
from feedback_wire.problem import Problem


class Receiver(ThreadingHTTPServer):
    """Records every attempt, and answers with the status that `answer(number of the attempt)` returns, or not at all if that is
    None.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[int], int | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.attempts: list[tuple[bytes, dict[str, str], int | None]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _, status in list(self.attempts) if status == 202]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            status = self.server.answer(len(self.server.attempts))
            self.server.attempts.append((body, dict(self.headers), status))
        if status is None:
            self.close_connection = True
            return
        answer_body = b'{"accepted":1}' if status == 202 else Problem(status, "invalid_field", "the test wants it so").body()
        self.send_response(status)
        self.send_header("Content-Type", routes.JSON if status == 202 else routes.PROBLEM)
        self.send_header("Content-Length", str(len(answer_body)))
        self.end_headers()
        self.wfile.write(answer_body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    running: list[Receiver] = []

    def start(answer: Callable[[int], int | None] = lambda _: 202) -> Receiver:
        running.append(Receiver(answer))
        threading.Thread(target=running[-1].serve_forever, args=(0.05,), daemon=True).start()
        return running[-1]

    yield start
    for one in running:
        one.shutdown()
        one.server_close()
