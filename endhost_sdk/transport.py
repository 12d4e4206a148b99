"""Sends requests to coordinators over connections that stay open, so only the first message needs a TLS handshake.

A server can close an idle connection at any time. A request that fails on a used connection is therefore sent again on a new one.
This is safe, because `(session_id, seq)` identifies a message, and duplicates count once.
"""

# Name resolution imports this codec. A fork during that import would block all requests of the child, so it is imported here.
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
"""The limit for reading an answer. An answer that refuses each message of a full batch has a few hundred KiB."""

# Python raises ValueError for host names that it cannot encode, and for some malformed answers.
_CONNECTION_ERRORS = (OSError, HTTPException, ValueError)


class Unreachable(Exception):  # noqa: N818 - the name states the condition
    """No answer arrived. The text contains the reason."""


class Unanswered(Unreachable):
    """The request was sent, but the connection failed or the time limit was over before an answer arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a coordinator, or of a proxy on the path to it."""

    status: int
    retry_after: str | None = None
    content_type: str = ""
    body: bytes = b""


class Transport(Protocol):
    """Sends requests to coordinators: `HttpTransport`, or `endhost_sdk.testing.RecordingTransport`."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send one request. Unreachable if no answer arrives, Unanswered if the request was sent."""

    def close(self) -> None:
        """Close all connections."""


class HttpTransport:
    """HTTP/1.1 with keep-alive and one connection per coordinator. Certificates are verified, unless `tls` disables it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._open: dict[str, HTTPConnection] = {}

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        until_s = time.monotonic() + timeout_s
        failure: type[Unreachable] = Unanswered
        try:
            answer = self._on_open_connection(url, body, headers, until_s)
            if answer is None:
                failure = Unreachable
                connection = self._connection(urlsplit(url), until_s)
                failure = Unanswered
                answer = self._exchange(connection, url, body, headers)
        except TimeoutError as error:
            raise failure(f"no answer within {timeout_s:g} s") from error
        except _CONNECTION_ERRORS as error:
            raise failure(f"{type(error).__name__}: {error}") from error
        return answer

    def close(self) -> None:
        while self._open:
            _, connection = self._open.popitem()
            connection.close()

    def _on_open_connection(self, url: str, body: bytes, headers: Mapping[str, str], until_s: float) -> Answer | None:
        """The answer over the open connection; None if there is no open connection."""
        used = self._open.pop(url, None)
        if used is None or used.sock is None:
            return None
        cast("TimedSocket", used.sock).until_s = until_s
        try:
            return self._exchange(used, url, body, headers)
        except TimeoutError:
            raise
        except _CONNECTION_ERRORS:
            return None  # the server probably closed it while it was idle

    def _connection(self, parts: SplitResult, until_s: float) -> HTTPConnection:
        assert parts.hostname is not None  # noqa: S101 - checked by feedback_urls
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
        """Send a request and read its answer. The connection stays open only if both were complete."""
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
    """Handles answers that Python's own class does not: interim responses other than 100, and negative chunk sizes."""

    def _read_status(self) -> tuple[str, int, str]:
        """The first status that is not an interim one (RFC 9110, section 15.2)."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)

    def _read_next_chunk_size(self) -> int:
        """The size of the next chunk; HTTPException if it is negative. For -1, Python would read without a limit into memory."""
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise HTTPException(f"invalid chunk size {size}")
        return size


def _ended(response: HTTPResponse) -> bool:
    """Whether the answer was read completely and the connection can be used again. Another answer would follow an interim one."""
    return response.isclosed() and not response.will_close and response.status >= 200
