"""One connection: uvicorn's protocol with deadlines and size limits that uvicorn does not have.

A sweep every second checks all connections, instead of a timer for each one. Invalid HTTP is refused once and ends the connection,
because the start of the next request is then unknown. If a proxy and a server disagree about it, requests can be smuggled.
"""

import asyncio
from typing import cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from feedback_server.counters import Counters
from feedback_wire.limits import BATCH_INFLATED_BYTES
from feedback_wire.problem import Problem, no_memory
from feedback_wire.routes import PROBLEM
from serving.request_head import check_head, origin_form, without_upgrade

HEAD_S = 10.0
"""For request line and headers. For the first request, the time starts with the connection."""

REQUEST_S = 20.0
"""For a whole request on any route; the batch route is stricter."""

SLOW_READER_S = 60.0
"""For 256 KiB of an answer. A client that reads less than about 6 KiB per second is disconnected."""

LINGER_S = 2.0
"""For the client to read the last answer of a connection."""

IDLE_S = 75
"""Between two requests. It is longer than a coordinator's pauses: closing a connection would cost the coordinator a retry."""

HEAD_BYTES = 32 * 1024
"""Request line, headers and trailers together."""

PIPELINED = 16
"""Requests of one connection that may wait for answers."""

MOST_CONNECTIONS = 400
# Connections beyond MOST_CONNECTIONS that still get a refusal; any more are closed without an answer.
_REFUSED_CONNECTIONS = 16
RETRY_S = 1

# Chunked bodies have an overhead; it may be as large as the body itself.
_REQUEST_BYTES = HEAD_BYTES + 2 * BATCH_INFLATED_BYTES
_BAD_HTTP = Problem(400, "bad_http", "this is not a valid HTTP/1.1 request")
_REQUEST_TOO_LARGE = Problem(413, "request_too_large", f"a request has at most {_REQUEST_BYTES} bytes, including its framing")
_TOO_SLOW = Problem(408, "too_slow", "the request did not arrive in time; send it again")
_TOO_MANY_CONNECTIONS = Problem(503, "too_many_connections", "this server has as many connections as it can serve; try again later")


class ClientConnection(HttpToolsProtocol):
    """One of at most `most` connections."""

    def __init__(self, config: Config, server_state: ServerState, counters: Counters, *, most: int = MOST_CONNECTIONS) -> None:
        super().__init__(config, server_state, {})
        self.counters = counters
        self._most = most
        self._receiving = True
        """Within a request: the server waits for its first byte or for more of it."""
        self._head_whole = False
        self._upgrades = False
        """The last head requests another protocol, which the server ignores."""
        self._piece_ends_another = False
        self._request_bytes = self._head_bytes = 0
        self._ending = False
        """Nothing more is read; earlier requests may still get their answers."""
        self._began_s = self._ended_s = self.loop.time()
        self._last_read_s = self._began_s
        """When the client last read something."""

    def may_open(self, *, handshakes: int) -> bool:
        """Whether one more connection may open, with `handshakes` still running. It may get a refusal as its only answer."""
        return len(self.connections) + handshakes < self._most + _REFUSED_CONNECTIONS

    def count_refusal(self) -> None:
        """Count a connection that is closed without an answer."""
        self.counters.refused[_TOO_MANY_CONNECTIONS.reason] += 1

    # Called by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.counters.connections = len(self.connections)
        if len(self.connections) > self._most + _REFUSED_CONNECTIONS:
            self.count_refusal()
            self._ending = True
            transport.abort()
        elif len(self.connections) > self._most:
            self._end_with(_TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.counters.connections = len(self.connections)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._piece_ends_another = False
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._end_with(_problem_of(error.__context__))
        except httptools.HttpParserUpgrade:
            self._end_after_answers()  # a tunnel, which is not offered here
        else:
            self._check_size(len(data))

    def _parse(self, data: bytes) -> None:
        """Feed the parser. It stops after a head with an Upgrade header; the request is then parsed again without it."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                if not self._upgrades:
                    raise
                head = without_upgrade(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
                data = head + data[stop.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def resume_writing(self) -> None:
        self._last_read_s = self.loop.time()
        super().resume_writing()

    # Called by the parser; a Problem that is raised here stops it

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        if not self._receiving:  # else it is the first request, whose time has started already
            self._began_s = self.loop.time()
        self._receiving, self._head_whole, self._upgrades = True, False, False
        self._request_bytes = self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._check_head_size(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._check_head_size(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise Problem(429, "too_many_pipelined", f"wait for answers: at most {PIPELINED} requests may wait on one connection")
        self._upgrades = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._upgrades:
            return  # `_parse` starts it again
        check_head(self.headers, self.parser.get_http_version())
        self.url = origin_form(self.url)
        super().on_headers_complete()
        self._head_whole = True

    def on_message_complete(self) -> None:
        if self._upgrades:
            return
        self._receiving = False
        self._piece_ends_another = True
        super().on_message_complete()

    # Limits, and the end of a connection

    def sweep(self, now_s: float) -> None:
        """End the connection if a deadline has passed."""
        if not self.transport.get_write_buffer_size():
            self._last_read_s = now_s
        if now_s - self._last_read_s > SLOW_READER_S:
            self.counters.refused["slow_reader"] += 1
            self._ending = True
            self.transport.abort()
        elif self._ending:
            if self._all_answered() and not self.transport.is_closing() and now_s - self._ended_s > LINGER_S:
                self.transport.abort()
        elif self._receiving and not self.flow.read_paused and now_s - self._began_s > (REQUEST_S if self._head_whole else HEAD_S):
            self._end_with(_TOO_SLOW)

    def _check_head_size(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise _head_too_large()

    def _check_size(self, size: int) -> None:
        """Check the size of the request that is arriving: the parser reports a header only when it is complete."""
        if not self._receiving or self._piece_ends_another:
            return  # this piece also ended another request, so this request's share is unknown; the next piece is counted
        self._request_bytes += size
        if not self._head_whole and self._request_bytes > HEAD_BYTES:
            self._end_with(_head_too_large())
        elif self._request_bytes > _REQUEST_BYTES:
            self._end_with(_REQUEST_TOO_LARGE)

    def _all_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or self.cycle.disconnected

    def _end_after_answers(self) -> None:
        """Answer the requests that have arrived, then end the connection."""
        self._ending = True
        self._ended_s = self.loop.time()
        if self._all_answered():
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _end_with(self, problem: Problem) -> None:
        """Refuse the request that is arriving, and end the connection."""
        self.counters.refused[problem.reason] += 1
        began = self._head_whole and self._receiving
        if began and (self.pipeline or self.cycle.response_started):
            self._ending = True
            self.transport.abort()  # its answer has begun, or earlier answers must come first, so a refusal cannot be sent
            return
        if began:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif not self._all_answered():
            self._end_after_answers()
            return
        self._ending = True
        self._ended_s = self.loop.time()
        self._unset_keepalive_if_required()
        self._send_problem(problem)

    def _send_problem(self, problem: Problem) -> None:
        body = problem.body()
        retry = b"retry-after: %d\r\n" % RETRY_S if problem.status == 503 else b""
        head = b"content-type: %b\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (PROBLEM.encode(), len(body), retry)
        self.transport.write(STATUS_LINE[problem.status] + head + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()  # more data may arrive, and closing now could destroy the answer in transit
        else:
            self.transport.close()


def _problem_of(error: BaseException | None) -> Problem:
    """Why the parser stopped: an error in a method that it called, or invalid bytes."""
    if isinstance(error, MemoryError):
        return no_memory()  # after a 400 the coordinator would set the batch aside
    return error if isinstance(error, Problem) else _BAD_HTTP


def sweep(server_state: ServerState, now_s: float) -> None:
    """Sweep all connections; `now_s` is the event loop's time."""
    for connection in list(server_state.connections):
        cast("ClientConnection", connection).sweep(now_s)


def _head_too_large() -> Problem:
    return Problem(431, "head_too_large", f"request line and headers have at most {HEAD_BYTES} bytes")
