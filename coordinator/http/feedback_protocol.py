"""HTTP on the way in: uvicorn's protocol class, with a short way through it for `POST /v1/feedback`.

Stock uvicorn builds a scope, an event, a task and a timer for every request, and 30 µs of set-up for every connection. Feedback
needs none of it, so this class hears the parser's callbacks itself, and calls on its parent only for other requests: it then tells
the parent the callbacks that it missed. Answers leave in the order of the requests, whichever way each of them took.
"""

import asyncio
import logging
from collections import deque
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from coordinator.http.answers import CONTINUE
from coordinator.http.feedback_head import HEAD_BYTES, HEAD_END, FeedbackHead, body_too_large
from coordinator.http.reception import Reception, Turn, busy
from coordinator.keys import Key
from coordinator.out_of_memory import end_without_memory
from feedback_wire.limits import BATCH_WIRE_BYTES
from feedback_wire.problem import Problem
from feedback_wire.routes import FEEDBACK
from serving.request_head import check_head, origin_form, without_upgrade

PIPELINED = 64
"""Requests of one connection that may wait for their answers; who sends more takes other senders' share."""

HEADERS = 128
"""In one request, trailers included: each of four bytes costs a hundred while it is held, whatever the head's size."""

TLS_END_S = 1.0
TURNED_AWAY_S = 3

# Chunked bodies bring their own overhead; nobody needs more of it than the body itself.
_REQUEST_BYTES = HEAD_BYTES + 2 * BATCH_WIRE_BYTES
_PATH = FEEDBACK.encode()
_POST = b"POST"
_CONNECT = b"CONNECT"
_BAD_HTTP = Problem(400, "bad_http", "this is no valid HTTP/1.1 request")
_HEAD_TOO_LARGE = Problem(431, "head_too_large", f"request line and headers may have {HEAD_BYTES} bytes and {HEADERS} headers")
_TOO_SLOW = Problem(408, "too_slow", "the request did not arrive in time; send it again")
_TOO_MANY_CONNECTIONS = Problem(503, "too_many_connections", "no further connection is taken now; connect again later")
_TOO_MANY = Problem(429, "too_many_pipelined", f"wait for answers: at most {PIPELINED} requests may be under way on one connection")


class OtherTurn:
    """A request that the Starlette app answers, when it is its turn."""

    __slots__ = ("app", "cycle")

    def __init__(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.cycle = cycle
        self.app = app


class FeedbackProtocol(HttpToolsProtocol):
    """One connection of an end host. `app_state["reception"]` says where feedback goes."""

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
        # Not the parent's __init__: what it sets up for every connection, `_prepare_other` does when it is needed.
        self.config = config
        self.app_state = app_state
        self.server_state = server_state
        self.connections = server_state.connections
        self.reception: Reception = app_state["reception"]
        self.known_heads = self.reception.heads.known
        self.parser = httptools.HttpRequestParser(self)
        self.timeout_keep_alive_task = None
        self.flow = cast("FlowControl", None)
        self.others_prepared = False
        self.cycle = cast("RequestResponseCycle", None)
        self.owed: deque[Turn | OtherTurn] = deque()
        self.peer: str | None = None
        self.proxied = False
        """The peer is a trusted proxy: each request names its sender."""
        self.prefix = b""
        """What goes before this connection's messages, if no proxy says of a request whom it comes from."""
        self.head: FeedbackHead | None = None
        self.body: bytes | bytearray = b""
        self.upgrades = False
        """The head that was read last asks for another protocol, which is ignored."""
        self.receiving = False
        """Within a request: its first byte has come, its last has not."""
        self.closing = False
        """No further request is read; the connection ends with the last answer that is owed."""
        self.turned_away = False
        """Open only to be told that there are too many connections."""
        self.alone = True
        """No request has come to its end in the piece that is being read."""
        self.unfinished = 0
        """Bytes of the request that is being received, if it did not come in one piece."""
        self.holder = self.reception.keys.anyone
        """To whose account they go."""
        self.heard = self.began = self.reception.seconds

    # What the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.connections.add(self)
        above = len(self.connections) - self.reception.places.serving
        if above > 0:
            self._turn_away(above)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        self.connections.discard(self)
        self.closing = True
        for turn in self.owed:
            if isinstance(turn, OtherTurn):
                turn.cycle.disconnected = True
                turn.cycle.message_event.set()
        self.owed.clear()
        if self.others_prepared:
            self.flow.resume_writing()
        self.parser = cast("httptools.HttpRequestParser", None)  # the two know each other: let both go

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.heard = self.reception.seconds
        begins = not self.receiving
        if begins:
            end = data.find(HEAD_END) + len(HEAD_END)
            known = self.known_heads.get(data[:end])
            if known is not None and len(data) == end + known[1]:
                self._take(Turn(self, self.reception), known[0], data[end:])
                return
        self.alone = True
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            end_without_memory(error.__context__)
            self._end_with(_BAD_HTTP)
        if self.receiving and not self.closing:
            # Behind the end of another request, what this one's head takes is not known; the next piece will tell.
            self._keep_unfinished(len(data) if self.alone else len(self.body) + 1)
        elif begins and self.head is not None and not self.closing:
            self.reception.heads.learn(data, self.headers, self.head)
        if not self.receiving:
            self.headers = []  # a connection that idles holds nothing of what it said

    def _parse(self, data: bytes) -> None:
        """Feed the parser. It stops behind a head that asks for another protocol; the request is served without that wish."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                if not self.upgrades or self.closing:
                    self._close_after_answers()  # a tunnel, which is not offered here
                    return
                head = without_upgrade(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
                data = head + data[stop.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def eof_received(self) -> bool:  # type: ignore[override]
        """The sender has said all it has to say; it still gets the answers it is owed."""
        self.closing = True
        self.receiving = False
        return bool(self.owed)

    def pause_writing(self) -> None:
        """The sender does not read its answers: then it is not heard either, or they would pile up here."""
        self.transport.pause_reading()
        if self.others_prepared:
            self.flow.pause_writing()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if self.others_prepared:
            self.flow.resume_writing()

    # What the parser says

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.head = None
        self.receiving = True
        self.upgrades = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.closing:
            return
        self.headers.append((name, value))
        if len(self.headers) > HEADERS:
            self.headers = []
            self._end_with(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        if self.closing:
            return
        # One that came in several pieces has been measured; one that came whole has not.
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            self._end_with(_HEAD_TOO_LARGE)
            return
        self.upgrades = self.parser.should_upgrade() and self.parser.get_method() != _CONNECT
        if self.upgrades:
            return  # `_parse` begins it again
        try:
            check_head(self.headers, self.parser.get_http_version())
            if not self.url.startswith(b"/"):
                self.url = origin_form(self.url)
            if self.url.partition(b"?")[0] != _PATH or self.parser.get_method() != _POST:
                self._begin_other()
                return
            self.head = self.reception.heads.read(self.headers)
        except Problem as problem:
            self._end_with(problem)
            return
        self.body = b""
        if self.head.expects_continue and not self.owed:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self.closing:
            return
        if self.head is None:
            super().on_body(body)
        elif len(self.body) + len(body) > self.head.key.batch_bytes:
            self._end_with(body_too_large(self.head.key.batch_bytes))
        elif not self.body:
            self.body = body
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += body

    def on_message_complete(self) -> None:
        if self.upgrades:
            return
        self.receiving = self.alone = False
        if self.closing:
            return
        if self.unfinished:
            self._release()
        if self.head is None:
            super().on_message_complete()
            return
        turn = Turn(self, self.reception)
        if not self.parser.should_keep_alive():
            turn.last = self.closing = True
        body, self.body = self.body, b""
        self._take(turn, self.head, bytes(body))

    def forget_prefix(self) -> None:
        """The weight in force has changed, so what goes before the messages has."""
        self.peer = None

    def _take(self, turn: Turn, head: FeedbackHead, body: bytes) -> None:
        """A whole feedback request is there."""
        if len(self.owed) >= 2 * PIPELINED and not self.closing:
            self._end_with(_TOO_MANY)  # it has been told often enough
            return
        self.owed.append(turn)
        if len(self.owed) > PIPELINED:
            self.reception.refuse(turn, _TOO_MANY)
            return
        if self.peer is None:
            self.peer = (get_remote_addr(self.transport) or ("",))[0]
            self.proxied = self.reception.is_proxy(self.peer)
            self.prefix = b"" if self.proxied else self.reception.prefix(self.peer)
        prefix = self.reception.prefix(self.peer, head.forwarded) if self.proxied else self.prefix
        self.reception.receive(turn, head, body, prefix)

    # Answers, in order

    def answered(self, turn: Turn) -> None:
        owed = self.owed
        if not owed or owed[0] is not turn:
            return
        if len(owed) > 1 or self.closing or self.receiving:
            self._advance()
            return
        owed.popleft()
        if not self.transport.is_closing():
            self.transport.write(turn.answer)

    def on_response_complete(self) -> None:
        """The app has answered the request whose turn it was."""
        if self.owed:
            self.owed.popleft()
            if not self.owed and not self.receiving:
                self.cycle = cast("RequestResponseCycle", None)  # and its headers
            self._advance()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.owed.append(OtherTurn(cycle, app))
        if len(self.owed) == 1:
            super()._start_asgi_task(cycle, app)

    def _advance(self) -> None:
        """Write every answer that is ready and whose turn it is."""
        owed, transport = self.owed, self.transport
        while owed:
            turn = owed[0]
            if isinstance(turn, OtherTurn):
                super()._start_asgi_task(turn.cycle, turn.app)
                return
            if not turn.answer:
                return
            owed.popleft()
            if not transport.is_closing():
                transport.write(turn.answer)
        if self.closing and not self.receiving:
            self._close()
        elif self.closing and transport.can_write_eof():
            transport.write_eof()  # the rest of a refused request still comes; closing now could destroy the answer on its way
        elif self.closing:
            pass  # TLS has no half of an end: the answer says that it is the last, and the sweep closes what the sender does not
        elif self.head is not None and self.receiving and self.head.expects_continue and not self.body:
            transport.write(CONTINUE)

    # Ends and limits

    def shutdown(self) -> None:
        """The server stops: answer what is owed, take no more."""
        self._close_after_answers()
        if self.owed and isinstance(last := self.owed[-1], OtherTurn):
            last.cycle.keep_alive = False

    def sweep(self, now: int, *, request_s: int, idle_s: int) -> None:
        """Called every few seconds for every connection, in place of a timer for each; `now` is the reception's seconds."""
        if self.closing and not self.owed:
            if now - self.heard > (TURNED_AWAY_S if self.turned_away else request_s):
                self.transport.abort()
        elif self.receiving and now - self.began > request_s:
            self._end_with(_TOO_SLOW)
        elif not self.owed and not self.receiving and now - self.heard > idle_s:
            self._close_after_answers()

    def _turn_away(self, above: int) -> None:
        """One connection too many is told so. It stays a moment, as its request may be on the way and would destroy the answer."""
        if above > self.reception.places.refusing:
            self.reception.counters.connections_dropped += 1
            self.closing = True
            self.transport.abort()
            return
        self.turned_away = self.receiving = True
        self._end_with(_TOO_MANY_CONNECTIONS)

    def _close(self) -> None:
        self.transport.close()
        if is_ssl(self.transport):  # waits for the sender's consent, which an idle one may give in minutes
            asyncio.get_running_loop().call_later(TLS_END_S, self.transport.abort)

    def _close_after_answers(self) -> None:
        self.closing = True
        self.receiving = False
        if not self.owed:
            self._close()

    def _end_with(self, problem: Problem) -> None:
        """Refuse what is being received; the connection cannot go on behind it."""
        if self.closing:
            return
        self._release()
        self.closing = True
        self.body = b""
        turn = Turn(self, self.reception)
        turn.last = True
        self.owed.append(turn)
        self.reception.refuse(turn, problem)

    def _keep_unfinished(self, size: int) -> None:
        """A request that comes in pieces: hold it, but not for ever, and not more than there is room for."""
        if not self.unfinished:
            self.began = self.reception.seconds
        self._hold(self.unfinished + size, self.head.key if self.head is not None else self.reception.keys.anyone)
        if self.head is None and self.unfinished > HEAD_BYTES:
            self._end_with(_HEAD_TOO_LARGE)
        elif self.unfinished > _REQUEST_BYTES:
            self._end_with(body_too_large())
        elif self.reception.crowded(self.holder):
            self._end_with(busy())

    def _hold(self, size: int, holder: Key) -> None:
        self.reception.hold(-self.unfinished, self.holder)
        self.unfinished, self.holder = size, holder
        self.reception.hold(size, holder)

    def _release(self) -> None:
        self._hold(0, self.holder)

    # Everything that is not feedback

    def _begin_other(self) -> None:
        """Hand the request to the parent, which hears the callbacks that it missed."""
        if len(self.owed) >= PIPELINED:
            # A refusal for each, as feedback gets, would cost more than it costs to ask: thousands fit into one piece.
            self._end_with(_TOO_MANY)
            return
        if not self.others_prepared:
            self._prepare_other()
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        self.cycle = cast("RequestResponseCycle", None)  # the parent would queue behind an earlier one; `owed` does that
        super().on_headers_complete()

    def _prepare_other(self) -> None:
        self.app = self.config.loaded_app
        self.loop = asyncio.get_running_loop()
        self.tasks = self.server_state.tasks
        self.root_path = self.config.root_path
        self.asgi_version = self.config.asgi_version
        self.flow = FlowControl(self.transport)
        self.server = get_local_addr(self.transport)
        self.client = get_remote_addr(self.transport)
        self.scheme = "https" if is_ssl(self.transport) else "http"
        self.others_prepared = True
