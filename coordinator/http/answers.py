"""HTTP answers to feedback, as bytes. The most common one is made once a second, because it contains the date, and reused."""

import json
import time
from email.utils import formatdate
from http import HTTPStatus

from feedback_wire.problem import Problem, Refusal, accepted_body
from feedback_wire.routes import JSON, PROBLEM

RETRY_AFTER_S = 1
"""The least time that a sender waits after a refusal under load; the SDK adds jitter."""

CORS = b"access-control-allow-origin: *\r\n"
CONTINUE_100 = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_LINES = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Answers:
    """Makes answers; `tick` must be called about once a second."""

    accepted_one: bytes

    def __init__(self) -> None:
        self.tick(time.time())

    def tick(self, unix_s: float) -> None:
        self._date = f"date: {formatdate(unix_s, usegmt=True)}\r\n".encode()
        self.accepted_one = self.accepted(1, ())

    def accepted(self, count: int, refusals: tuple[Refusal, ...]) -> bytes:
        return self._answer(HTTPStatus.ACCEPTED, JSON, accepted_body(count, refusals))

    def problem(
        self, problem: Problem, *, refusals: tuple[Refusal, ...] = (), retry_after_s: int = RETRY_AFTER_S, last: bool = False
    ) -> bytes:
        """A refusal. `last` announces that the connection ends after it."""
        content = problem.to_json()
        if refusals:
            content["refused"] = [{"index": each.index, "reason": each.reason, "detail": each.detail} for each in refusals]
        headers = _CLOSE if last else b""
        if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            headers += b"retry-after: %d\r\n" % retry_after_s
        if problem.status == HTTPStatus.UNAUTHORIZED:
            headers += b"www-authenticate: Bearer\r\n"
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
        return self._answer(HTTPStatus(problem.status), PROBLEM, body, headers)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes, headers: bytes = b"") -> bytes:
        return b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b" % (
            _LINES[status],
            self._date,
            content_type.encode(),
            len(body),
            CORS,
            headers,
            body,
        )
