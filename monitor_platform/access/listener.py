"""Limits of connections: time for the request's head and body, bytes, number of connections, and time for a slow reader.

At the maximum number of connections, a new one replaces the oldest one without an admitted request. So idle connections
without a login cannot block users.
"""

import logging
import ssl
from collections import Counter
from dataclasses import dataclass

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPInputError
from tornado.iostream import IOStream
from tornado.web import Application

from serving.open_files import most_connections

log = logging.getLogger(__name__)

OWN_FILES = 128
"""Open files reserved for logs, the history, and libraries."""

LEAST_CONNECTIONS = 16
"""A browser page uses up to seven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the listener; docs/access.md documents the defaults."""

    connections: int = 800
    """Below the 1,024 files that a process may usually have open."""
    head_s: float = 20.0
    """Time from the connection, or the last answer, to the end of the next head. After this time, an idle connection is closed."""
    body_s: float = 20.0
    head_bytes: int = 32 * 1024
    body_bytes: int = 64 * 1024
    """The login form, and the JSON object of a change."""
    stuck_s: float = 60.0
    """How long the client may leave data unread without reading all of it once."""


def limits_here() -> Limits:
    """The default limits, with fewer connections if the limit of open files is low; OSError if it is too low."""
    wanted = Limits().connections
    return Limits(connections=most_connections(wanted, own_files=OWN_FILES, least=LEAST_CONNECTIONS, server="monitoring platform"))


class Connections:
    """The open connections, with and without an admitted request. `sweep` is called every few seconds."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.dropped: Counter[str] = Counter()
        self._unadmitted: dict[IOStream, float | None] = {}
        self._admitted: dict[IOStream, float | None] = {}

    def begin(self, stream: IOStream) -> bool:
        """Add a new connection, without an admitted request. Closes it and returns False if connections with admitted requests use
        all places."""
        if len(self._unadmitted) + len(self._admitted) >= self.limits.connections:
            self._make_room()
        if len(self._admitted) >= self.limits.connections:
            self.dropped["connections"] += 1
            stream.close()
            return False
        self._unadmitted[stream] = None
        return True

    def admit(self, stream: IOStream | None) -> None:
        """A request on this connection has passed the gate."""
        if stream in self._unadmitted:
            self._admitted[stream] = self._unadmitted.pop(stream)

    def sweep(self, now_s: float) -> None:
        """Remove closed connections, and close connections that have been stuck for too long."""
        self._remove_closed()
        for streams in (self._unadmitted, self._admitted):
            for stream, since_s in list(streams.items()):
                streams[stream] = (now_s if since_s is None else since_s) if stream.writing() else None
                if since_s is not None and stream.writing() and now_s - since_s >= self.limits.stuck_s:
                    self.dropped["slow_reader"] += 1
                    stream.close()

    def _make_room(self) -> None:
        self._remove_closed()
        if self._unadmitted and len(self._unadmitted) + len(self._admitted) >= self.limits.connections:
            longest = next(iter(self._unadmitted))
            del self._unadmitted[longest]
            self.dropped["connections"] += 1
            longest.close()

    def _remove_closed(self) -> None:
        self._unadmitted = {stream: since for stream, since in self._unadmitted.items() if not stream.closed()}
        self._admitted = {stream: since for stream, since in self._admitted.items() if not stream.closed()}


class Listener(HTTPServer):
    """Tornado's server within the limits of `connections`."""

    def initialize(self, application: Application, *, connections: Connections, tls: ssl.SSLContext | None = None) -> None:  # type: ignore[override]
        self._connections_open = connections
        limits = connections.limits
        super().initialize(
            application,
            ssl_options=tls,
            max_header_size=limits.head_bytes,
            idle_connection_timeout=limits.head_s,
            body_timeout=limits.body_s,
            max_body_size=limits.body_bytes,
            max_buffer_size=2**20,
        )

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        if self._connections_open.begin(stream):
            _refuse_bare_line_feeds(stream)
            super().handle_stream(stream, address)


def _refuse_bare_line_feeds(stream: IOStream) -> None:
    """Require CR LF at the end of each line of a head, as our other servers do, against request smuggling."""
    read = stream.read_until_regex

    async def strict(regex: bytes, max_bytes: int | None = None) -> bytes:
        head = await read(regex, max_bytes)
        if head.count(b"\n") != head.count(b"\r\n"):
            raise HTTPInputError("a line of the head does not end with CR LF")
        return head

    stream.read_until_regex = strict  # type: ignore[method-assign]
