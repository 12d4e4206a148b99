"""One request to one coordinator, over a connection that stays open: a first message costs a TLS handshake, the later ones do not.

A server may close an idle connection at any moment, so a request that fails on a used one is sent once more on a new one. That is
safe: a message is named by `(session_id, seq)`, and counts once however often it arrives.
"""

# Looking up a host imports this codec. Left to the first request, a fork in the midst of it would block all requests of the child.
import encodings.idna  # noqa: F401
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

ANSWER_BYTES = 1024 * 1024
"""An answer that refuses every message of a full batch takes a few hundred KiB; more is not read."""

# UnicodeError: what Python's resolver says of host names that it cannot encode.
_BROKEN = (OSError, HTTPException, UnicodeError)


class Unreachable(Exception):  # noqa: N818 - it says what the coordinator is
    """No answer came; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a coordinator answered."""

    status: int
    retry_after: str | None = None
    body: bytes = b""


class Transport(Protocol):
    """How a request gets to a coordinator: `HttpTransport`, or `endhost_sdk.testing.RecordingTransport`."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send one request; Unreachable if no answer comes."""

    def close(self) -> None:
        """Let go of all connections."""


class HttpTransport:
    """HTTP/1.1 with keep-alive, one connection to each coordinator; certificates are verified unless `tls` says otherwise."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._open: dict[str, HTTPConnection] = {}

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        used = self._open.pop(url, None)
        if used is not None and used.sock is not None:
            used.sock.settimeout(timeout_s)
            try:
                return self._exchange(used, url, body, headers)
            except TimeoutError as error:
                raise Unreachable(f"no answer within {timeout_s:g} s") from error
            except _BROKEN:
                pass  # most likely closed while it was idle
        try:
            return self._exchange(self._connection(urlsplit(url), timeout_s), url, body, headers)
        except TimeoutError as error:
            raise Unreachable(f"no answer within {timeout_s:g} s") from error
        except _BROKEN as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        while self._open:
            _, connection = self._open.popitem()
            connection.close()

    def _connection(self, parts: SplitResult, timeout_s: float) -> HTTPConnection:
        assert parts.hostname is not None  # noqa: S101 - feedback_urls saw to it
        if parts.scheme == "http":
            return HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s, context=self._tls)

    def _exchange(self, connection: HTTPConnection, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request and its answer; the connection is kept only if both went through whole."""
        keep = False
        try:
            connection.request("POST", urlsplit(url).path, body, dict(headers))
            response = connection.getresponse()
            answer = Answer(status=response.status, retry_after=response.getheader("Retry-After"), body=response.read(ANSWER_BYTES))
            keep = _ended(response)
        finally:
            if keep:
                self._open[url] = connection
            else:
                connection.close()
        return answer


def _ended(response: HTTPResponse) -> bool:
    """Whether the answer was read to its end, and the connection is good for another."""
    return response.isclosed() and not response.will_close
