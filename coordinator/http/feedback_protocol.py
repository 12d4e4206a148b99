"""One connection of an end host: uvicorn's protocol class with a short path for messages, such as `POST /v1/feedback`.

The class receives the callbacks of the HTTP parser itself. A feedback request costs no scope, event, task or timer; every other
request is passed on to uvicorn (`asgi_requests`). All answers leave in the order of the requests.

`connection_state` explains the states of a connection. This class performs the actions that the states call for.
"""

import asyncio
import logging
from collections import deque
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr, is_ssl
from uvicorn.server import ServerState

from coordinator.http.answers import CONTINUE_100
from coordinator.http.asgi_requests import AsgiExchange, AsgiRequests
from coordinator.http.connection_state import (
    CLOSE,
    CLOSE_WRITING,
    CONTINUE,
    IDLE,
    OVER_LIMIT,
    RECEIVING,
    REQUEST_BEGINS,
    REQUEST_ENDS,
    TRANSITIONS,
    WHEN_ALL_ANSWERED,
    ConnectionEvent,
)
from coordinator.http.feedback_handler import FeedbackExchange, FeedbackHandler
from coordinator.http.feedback_head import HEAD_BYTES, HEAD_END, HEADERS, KINDS, FeedbackHead, body_too_large, head_too_large
from coordinator.http.partial_request import PartialRequest
from coordinator.out_of_memory import exit_if_out_of_memory
from feedback_wire.problem import Problem
from serving.request_head import check_head, origin_form, without_upgrade

PIPELINED = 64
"""Requests of one connection that may wait for their answers. A sender with more would take other senders' share."""

TLS_END_S = 1.0
OVER_LIMIT_S = 3
"""How long a connection that is refused because there are too many stays open for its refusal."""

_POST, _CONNECT = b"POST", b"CONNECT"
_BAD_HTTP = Problem(400, "bad_http", "the bytes are not a valid HTTP/1.1 request")
_TOO_SLOW = Problem(408, "too_slow", "the request did not arrive in time; send it again")
_TOO_MANY_CONNECTIONS = Problem(503, "too_many_connections", "too many connections are open; connect again later")
_TOO_MANY = Problem(429, "too_many_pipelined", f"wait for answers: one connection may have at most {PIPELINED} requests under way")


class FeedbackProtocol(AsgiRequests):
    """One connection of an end host. `app_state["handler"]` takes its feedback."""

    access_log = False
    logger = access_logger = logging.getLogger("uvicorn.error")
    ws_protocol_class = None
    limit_concurrency = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # The __init__ of uvicorn's class is not called: `AsgiRequests` prepares what it sets up when it is needed.
        self.config = config
        self.app_state = app_state
        self.server_state = server_state
        self.connections = server_state.connections
        self.handler: FeedbackHandler = app_state["handler"]
        self.known_heads = self.handler.heads.known
        self.parser = httptools.HttpRequestParser(self)
        self.timeout_keep_alive_task = None
        self.flow = cast("FlowControl", None)
        self.cycle = cast("RequestResponseCycle", None)
        self.state = IDLE
        self.unanswered: deque[FeedbackExchange | AsgiExchange] = deque()
        """Requests without an answer on the wire, in their order."""
        self.peer: str | None = None
        self.proxied = False  # by a trusted proxy, which names the sender of each request
        self.prefix = b""
        """The first bytes of this connection's records, unless the peer is a proxy."""
        self.head: FeedbackHead | None = None
        """Of the feedback request that is being received; None for another request."""
        self.body: bytes | bytearray = b""
        self.upgrades = False
        """The last head asks for another protocol, which is ignored."""
        self.request_ended = False
        """Within the data that is being parsed."""
        self.partial: PartialRequest | None = None
        self.last_byte_s = self.handler.seconds

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.connections.add(self)
        over = len(self.connections) - self.handler.connection_limits.serving
        if over > 0:
            self._refuse_connection(over)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release_partial()
        self.connections.discard(self)
        self._change(ConnectionEvent.LOST)
        for exchange in self.unanswered:
            if isinstance(exchange, AsgiExchange):
                exchange.disconnect()
        self.unanswered.clear()
        if self.asgi_ready:
            self.flow.resume_writing()
        self.parser = cast("httptools.HttpRequestParser", None)  # breaks the reference cycle between the two

    def data_received(self, data: bytes) -> None:
        was_idle = self.state is IDLE
        if was_idle:
            end = data.find(HEAD_END) + len(HEAD_END)
            known = self.known_heads.get(data[:end])
            if known is not None and len(data) == end + known[1]:
                self.last_byte_s = self.handler.seconds
                self._accept(FeedbackExchange(self, self.handler), known[0], data[end:])
                return
        elif self.state is not RECEIVING:
            return
        self.last_byte_s = self.handler.seconds
        self.request_ended = False
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            exit_if_out_of_memory(error.__context__)
            self._refuse_and_end(_BAD_HTTP)
        if self.state is RECEIVING:
            # Behind the end of another request the length of this one's head is unknown; the next piece counts it.
            self._hold_partial(len(self.body) + 1 if self.request_ended else len(data))
            return
        if was_idle and self.state is IDLE and self.head is not None:
            self.handler.heads.learn(data, self.headers, self.head)
        self.headers = []  # an idle connection keeps nothing of its requests

    def _parse(self, data: bytes) -> None:
        """Feed the parser. It stops after a head that asks for another protocol; that request is served without its Upgrade."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                if not self.upgrades or self.state is not RECEIVING:
                    self._end()  # a tunnel, which is not offered here
                    return
                head = without_upgrade(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
                data = head + data[stop.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def eof_received(self) -> bool:  # type: ignore[override]
        """The sender has closed its side; True keeps the transport open for the remaining answers."""
        self._change(ConnectionEvent.END)
        return bool(self.unanswered)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.head = None
        self.upgrades = False
        self._change(REQUEST_BEGINS)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state is not RECEIVING:
            return
        self.headers.append((name, value))
        if len(self.headers) > HEADERS:
            self.headers = []
            self._refuse_and_end(head_too_large())

    def on_headers_complete(self) -> None:
        if self.state is not RECEIVING:
            return
        # `partial` has counted a head that came in several pieces; one that came in one piece is counted here.
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            self._refuse_and_end(head_too_large())
            return
        self.upgrades = self.parser.should_upgrade() and self.parser.get_method() != _CONNECT
        if self.upgrades:
            return  # `_parse` begins it again
        try:
            check_head(self.headers, self.parser.get_http_version())
            if not self.url.startswith(b"/"):
                self.url = origin_form(self.url)
            kind = KINDS.get(self.url.partition(b"?")[0])
            if kind is None or self.parser.get_method() != _POST:
                self._begin_other()
                return
            self.head = self.handler.heads.read(self.headers, kind)
        except Problem as problem:
            self._refuse_and_end(problem)
            return
        self.body = b""
        if self.head.expects_continue and not self.unanswered:
            self.transport.write(CONTINUE_100)

    def on_body(self, body: bytes) -> None:
        if self.state is not RECEIVING:
            return
        if self.head is None:
            super().on_body(body)
        elif len(self.body) + len(body) > self.head.key.batch_bytes:
            self._refuse_and_end(body_too_large(self.head.key.batch_bytes))
        elif not self.body:
            self.body = body
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += body

    def on_message_complete(self) -> None:
        if self.upgrades:
            return
        self.request_ended = True
        if self.state is not RECEIVING:
            self._change(REQUEST_ENDS)
            return
        if self.partial is not None:
            self._release_partial()
        if self.head is None:
            self._change(REQUEST_ENDS)
            super().on_message_complete()
            return
        exchange = FeedbackExchange(self, self.handler)
        exchange.last = not self.parser.should_keep_alive()
        self._change(ConnectionEvent.LAST_REQUEST_ENDS if exchange.last else REQUEST_ENDS)
        body, self.body = self.body, b""
        self._accept(exchange, self.head, bytes(body))

    # Requests

    def drop_prefix(self) -> None:
        """Discard the prefix, because the weight in it has changed."""
        self.peer = None

    def _accept(self, exchange: FeedbackExchange, head: FeedbackHead, body: bytes) -> None:
        """Pass on a feedback request that has arrived completely."""
        if len(self.unanswered) >= 2 * PIPELINED and not exchange.last:
            self._refuse_and_end(_TOO_MANY)  # the sender has ignored PIPELINED refusals
            return
        self.unanswered.append(exchange)
        if len(self.unanswered) > PIPELINED:
            self.handler.refuse(exchange, _TOO_MANY)
            return
        if self.peer is None:
            self.peer = (get_remote_addr(self.transport) or ("",))[0]
            self.proxied = self.handler.prefixes.is_proxy(self.peer)
            self.prefix = b"" if self.proxied else self.handler.prefixes.of(self.peer)
        prefix = self.handler.prefixes.of(self.peer, head.forwarded) if self.proxied else self.prefix
        self.handler.receive(exchange, head, body, prefix)

    def _begin_other(self) -> None:
        """Pass a request that is not feedback on to uvicorn."""
        if len(self.unanswered) >= PIPELINED:
            # Refusals one by one, as feedback gets, would cost more than such requests do: thousands fit into one piece of data.
            self._refuse_and_end(_TOO_MANY)
        else:
            self.begin_asgi_request()

    def _hold_partial(self, size: int) -> None:
        """Count the bytes of a request that has not arrived completely; refuse it if they are too many."""
        if self.partial is None:
            self.partial = PartialRequest(self.handler)
        try:
            self.partial.grow(size, self.head)
        except Problem as problem:
            self._refuse_and_end(problem)

    def _release_partial(self) -> None:
        if self.partial is not None:
            self.partial.release()
            self.partial = None

    # Answers, in order

    def answered(self, exchange: FeedbackExchange) -> None:
        """`exchange.answer` can be written once all earlier answers are."""
        unanswered = self.unanswered
        if not unanswered or unanswered[0] is not exchange:
            return
        if len(unanswered) > 1 or self.state is not IDLE:
            self._write_answers()
            return
        unanswered.popleft()
        if not self.transport.is_closing():
            self.transport.write(exchange.answer)

    def on_response_complete(self) -> None:
        """The app has answered the first request in the queue."""
        if self.unanswered:
            self.unanswered.popleft()
            if not self.unanswered and self.state is not RECEIVING:
                self.cycle = cast("RequestResponseCycle", None)  # it keeps the request's headers
            self._write_answers()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.unanswered.append(AsgiExchange(cycle, app))
        if len(self.unanswered) == 1:
            super()._start_asgi_task(cycle, app)

    def _write_answers(self) -> None:
        """Write the answers that are ready, up to the first one that is not; then do what the state calls for."""
        unanswered, transport = self.unanswered, self.transport
        while unanswered:
            exchange = unanswered[0]
            if isinstance(exchange, AsgiExchange):
                super()._start_asgi_task(exchange.cycle, exchange.app)
                return
            if not exchange.answer:
                return
            unanswered.popleft()
            if not transport.is_closing():
                transport.write(exchange.answer)
        self._act()

    # Ends and limits

    def shutdown(self) -> None:
        """The server stops: write the remaining answers, accept no further request."""
        self._end()
        if self.unanswered and isinstance(last := self.unanswered[-1], AsgiExchange):
            last.cycle.keep_alive = False

    def sweep(self, now: int, *, request_s: int, idle_s: int) -> None:
        """Apply the deadlines. Called every few seconds for every connection, instead of a timer for each; `now` in seconds."""
        if self.state is RECEIVING:
            if self.partial is not None and now - self.partial.began_s > request_s:
                self._refuse_and_end(_TOO_SLOW)
        elif self.unanswered:
            return
        elif self.state is IDLE:
            if now - self.last_byte_s > idle_s:
                self._end()
        elif now - self.last_byte_s > (OVER_LIMIT_S if self.state is OVER_LIMIT else request_s):
            self.transport.abort()

    def _change(self, event: ConnectionEvent) -> None:
        self.state = TRANSITIONS[self.state][event]

    def _act(self) -> None:
        """Do what the state calls for when all requests are answered."""
        action = WHEN_ALL_ANSWERED[self.state]
        if action is CLOSE:
            self._close()
        elif action is CLOSE_WRITING and self.transport.can_write_eof():
            self.transport.write_eof()
        elif action is CONTINUE and self.head is not None and self.head.expects_continue and not self.body:
            self.transport.write(CONTINUE_100)

    def _end(self) -> None:
        self._change(ConnectionEvent.END)
        if not self.unanswered:
            self._act()

    def _close(self) -> None:
        self.transport.close()
        if is_ssl(self.transport):  # it waits for the sender's close_notify, which an idle sender may send in minutes
            asyncio.get_running_loop().call_later(TLS_END_S, self.transport.abort)

    def _refuse_and_end(self, problem: Problem) -> None:
        """Refuse the request that is being received, or came last; the connection cannot continue after it."""
        if self.state in (IDLE, RECEIVING):
            self._queue_last_refusal(problem, ConnectionEvent.REFUSED)

    def _refuse_connection(self, over: int) -> None:
        """Refuse this connection, the `over`th above the limit; close it at once if even refusing has reached its limit."""
        if over > self.handler.connection_limits.refusing:
            self.handler.counters.connections_dropped += 1
            self._change(ConnectionEvent.LOST)
            self.transport.abort()
        else:
            self._queue_last_refusal(_TOO_MANY_CONNECTIONS, ConnectionEvent.LIMIT_REACHED)

    def _queue_last_refusal(self, problem: Problem, event: ConnectionEvent) -> None:
        """Queue a refusal as the last answer."""
        self._release_partial()
        self._change(event)
        self.body = b""
        exchange = FeedbackExchange(self, self.handler)
        exchange.last = True
        self.unanswered.append(exchange)
        self.handler.refuse(exchange, problem)
