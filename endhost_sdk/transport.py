"""One request to one coordinator, over a connection that stays open: a first message costs a TLS handshake, the later ones do not.

A server may close an idle connection at any moment, so a request that fails on a used one is sent once more on a new one. That is
safe: a message is named by `(session_id, seq)`, and counts once however often it arrives.
"""

# Looking up a host imports this codec. Left to the first request, a fork in the midst of it would block all requests of the child.
import encodings.idna  # noqa: F401
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, parse_headers
from typing import Protocol, cast
from urllib.parse import SplitResult, urlsplit

from endhost_sdk.timed_socket import TimedSocket

ANSWER_BYTES = 1024 * 1024
"""An answer that refuses every message of a full batch takes a few hundred KiB; more is not read."""

# ValueError: what Python says of host names that it cannot encode, and of answers that its own checks do not foresee.
_BROKEN = (OSError, HTTPException, ValueError)


class Unreachable(Exception):  # noqa: N818 - it says what the coordinator is
    """No answer came; the text says why."""


class Unanswered(Unreachable):
    """The request went out, and the connection broke or the time was over before an answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a coordinator answered, or what something on the way to it did."""

    status: int
    retry_after: str | None = None
    content_type: str = ""
    body: bytes = b""


class Transport(Protocol):
    """How a request gets to a coordinator: `HttpTransport`, or `endhost_sdk.testing.RecordingTransport`."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send one request; Unreachable if no answer comes, Unanswered if the request itself had gone out."""

    def close(self) -> None:
        """Let go of all connections."""


class HttpTransport:
    """HTTP/1.1 with keep-alive, one connection to each coordinator; certificates are verified unless `tls` says otherwise."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._open: dict[str, HTTPConnection] = {}

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        until_s = time.monotonic() + timeout_s
        failure: type[Unreachable] = Unanswered
        try:
            answer = self._on_used(url, body, headers, until_s)
            if answer is None:
                failure = Unreachable
                connection = self._connection(urlsplit(url), until_s)
                failure = Unanswered
                answer = self._exchange(connection, url, body, headers)
        except TimeoutError as error:
            raise failure(f"no answer within {timeout_s:g} s") from error
        except _BROKEN as error:
            raise failure(f"{type(error).__name__}: {error}") from error
        return answer

    def close(self) -> None:
        while self._open:
            _, connection = self._open.popitem()
            connection.close()

    def _on_used(self, url: str, body: bytes, headers: Mapping[str, str], until_s: float) -> Answer | None:
        """The answer over the connection that is open; None if there is none, or none any more."""
        used = self._open.pop(url, None)
        if used is None or used.sock is None:
            return None
        cast("TimedSocket", used.sock).until_s = until_s
        try:
            return self._exchange(used, url, body, headers)
        except TimeoutError:
            raise
        except _BROKEN:
            return None  # most likely closed while it was idle

    def _connection(self, parts: SplitResult, until_s: float) -> HTTPConnection:
        assert parts.hostname is not None  # noqa: S101 - feedback_urls saw to it
        secure = parts.scheme == "https"
        timed = TimedSocket.connect(parts.hostname, parts.port or (443 if secure else 80), until_s)
        if secure:
            timed.begin_tls(self._context(), parts.hostname)
        connection = HTTPConnection(parts.netloc)
        connection.response_class = _FinalResponse
        connection.sock = cast("socket.socket", timed)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _exchange(self, connection: HTTPConnection, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request and its answer; the connection is kept only if both went through whole."""
        keep = False
        try:
            connection.request("POST", urlsplit(url).path, body, dict(headers))
            response = connection.getresponse()
            answer = Answer(
                status=response.status,
                retry_after=response.getheader("Retry-After"),
                content_type=response.getheader("Content-Type", ""),
                body=response.read(ANSWER_BYTES),
            )
            keep = _ended(response)
        finally:
            if keep:
                self._open[url] = connection
            else:
                connection.close()
        return answer


class _FinalResponse(HTTPResponse):
    """Reads some answers that Python's own class does not: it knows no interim response but 100, and takes negative chunk sizes."""

    def _read_status(self) -> tuple[str, int, str]:
        """The first status that is not interim (RFC 9110, section 15.2)."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)

    def _read_next_chunk_size(self) -> int:
        """The size of the next chunk; HTTPException if it is negative. For -1 Python would read on without an end, into memory."""
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise HTTPException(f"a chunk of {size} bytes")
        return size


def _ended(response: HTTPResponse) -> bool:
    """Whether the answer was read to its end, and the connection is good for another. After an interim one another would follow."""
    return response.isclosed() and not response.will_close and response.status >= 200
