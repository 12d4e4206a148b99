"""Bokeh's application behind the gate. A handler, also Bokeh's own, is created only after the gate has admitted the request."""

import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from traceback import walk_tb
from typing import Any, cast
from urllib.parse import quote

from bokeh.protocol.exceptions import ProtocolError
from bokeh.protocol.message import Message
from bokeh.server.session import ServerSession
from bokeh.server.tornado import BokehTornado
from bokeh.server.views.autoload_js_handler import AutoloadJsHandler
from bokeh.server.views.metadata_handler import MetadataHandler
from bokeh.server.views.ws import WSHandler
from bokeh.util.token import check_token_signature, get_token_payload
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, RequestStartLine, ResponseStartLine
from tornado.web import ErrorHandler, RedirectHandler, RequestHandler
from tornado.websocket import WebSocketHandler

from feedback_wire.problem import Problem
from monitor_platform.access.gate import LOGIN, OPEN, Gate, RetryLater, Visitor
from monitor_platform.access.listener import Connections
from monitor_platform.access.origins import host_of
from monitor_platform.access.plain_page import refuse, root_of, wants_page
from serving.request_head import origin_form

log = logging.getLogger(__name__)

# Bokeh's handlers for pages of other sites that embed a document. They are not used, and would give out session tokens.
NOT_OFFERED = (AutoloadJsHandler, MetadataHandler)

# Bokeh accepts sessions that others created and signed. Our sessions come with a page, and return only in the websocket's head.
FOREIGN_SESSION = ("bokeh-session-id", "bokeh-token")

# The messages of Bokeh's protocol that our pages send. The others are for programs with documents of their own.
TAKEN: dict[str, Callable[..., Any]] = {"PULL-DOC-REQ": ServerSession.pull, "PATCH-DOC": ServerSession.patch}

GONE = 1008
"""Close code of a websocket whose user has lost access (RFC 6455: policy violation)."""


class GuardedBokeh(BokehTornado):
    """Bokeh's server application. Each request passes `gate` first, then `check`, which raises a Problem for a bad one.

    `public_path`: the path under which a reverse proxy publishes it, such as /swarmscope. A proxy may keep or remove that path.
    """

    def __init__(
        self,
        gate: Gate,
        connections: Connections,
        pages: dict[str, Any],
        *,
        check: Callable[[HTTPServerRequest], None],
        public_path: str = "",
        **settings: Any,  # noqa: ANN401 - Bokeh's own
    ) -> None:
        self.gate = gate
        self.connections = connections
        self.sockets: dict[GuardedSocket, Visitor] = {}
        self.check = check
        self.public_path = public_path
        super().__init__(pages, **settings)

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> Any:  # noqa: ANN401 - a private type of Tornado
        _rewrite_absolute_form(request)
        if self.public_path and request.path == self.public_path:
            # Relative links of the overview need the slash at the end.
            return super().get_handler_delegate(request, RedirectHandler, {"url": f"{self.public_path}/", "permanent": False})
        if self.public_path and request.path.startswith(f"{self.public_path}/"):
            request.path = request.path.removeprefix(self.public_path)
            request.uri = (request.uri or "").removeprefix(self.public_path)
        find = super().find_handler
        return _GuardedRequest(self, request, lambda: find(request, **kwargs))

    def get_handler_delegate(
        self,
        request: HTTPServerRequest,
        target_class: type[RequestHandler],
        target_kwargs: dict[str, Any] | None = None,
        path_args: list[bytes] | None = None,
        path_kwargs: dict[str, bytes] | None = None,
    ) -> Any:  # noqa: ANN401 - as above
        if issubclass(target_class, NOT_OFFERED):
            return super().get_handler_delegate(request, ErrorHandler, {"status_code": 404})
        target = GuardedSocket if target_class is WSHandler else _with_head(target_class)  # type: ignore[arg-type]
        return super().get_handler_delegate(request, target, target_kwargs, path_args, path_kwargs)

    def refused(self, request: HTTPServerRequest, problem: Problem) -> HTTPMessageDelegate:
        return super().get_handler_delegate(request, RefusedHandler, {"problem": problem})

    def close_ended_sockets(self) -> None:
        """Close the websockets of ended logins, of removed users, and of users with a new role: their pages load again."""
        for socket, visitor in list(self.sockets.items()):
            if not self.gate.stays(visitor):
                socket.close(GONE, "log in again")
            elif not self.gate.has_role(visitor):
                socket.close(GONE, "the role has changed; reload the page")


@cache
def _with_head(handler: type[RequestHandler]) -> type[RequestHandler]:
    """The handler with HEAD as GET; Tornado omits the body (RFC 9110, section 9.3.2)."""
    if issubclass(handler, WebSocketHandler) or handler.head is not RequestHandler.head:
        return handler
    return type(handler.__name__, (handler,), {"head": handler.get, "__module__": handler.__module__})


def _rewrite_absolute_form(request: HTTPServerRequest) -> None:
    """Rewrite `GET http://host/path` to a request for /path of that host. The Host header is ignored (RFC 9112, section 3.2.2)."""
    target = request.uri or ""
    plain = origin_form(target.encode("latin-1", "replace")).decode("latin-1")
    if plain != target:
        request.host = re.split("[/?#]", target.partition("//")[2])[0]
        request.uri, request.path = plain, plain.partition("?")[0]


class _GuardedRequest(HTTPMessageDelegate):
    """A request that the gate has not admitted yet."""

    def __init__(self, application: GuardedBokeh, request: HTTPServerRequest, handler: Callable[[], HTTPMessageDelegate]) -> None:
        self._application = application
        self._request = request
        self._handler = handler
        self._next = HTTPMessageDelegate()  # does nothing

    async def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        try:
            _check_head(self._request, self._application.gate.refusals)
            visitor = await self._application.gate.admit(self._request)
            vars(self._request)["role"] = visitor.role  # for the document of a page
            self._application.check(self._request)
            self._next = self._handler()
            if self._request.path not in OPEN:  # these need no authentication, so they prove nothing about the sender
                self._application.connections.admit(getattr(self._request.connection, "stream", None))
        except Problem as problem:
            self._next = self._application.refused(self._request, problem)
        waiting = self._next.headers_received(start_line, headers)
        if waiting is not None:
            await waiting

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._next.data_received(chunk)

    def finish(self) -> None:
        self._next.finish()

    def on_connection_close(self) -> None:
        self._next.on_connection_close()


def _check_head(request: HTTPServerRequest, refusals: Counter[str]) -> None:
    """Problem for headers and parameters that Bokeh and Tornado do not handle safely."""
    if "Bokeh-Session-Id" in request.headers or any(name in request.arguments for name in FOREIGN_SESSION):
        refusals["foreign_session"] += 1
        raise Problem(403, "foreign_session", "this page is not open any more, or another site opened it; load the page again")
    if host_of(request.headers.get("Origin", "")) is None:
        refusals["foreign_origin"] += 1
        raise Problem(400, "foreign_origin", "the Origin header is not an origin")


class RefusedHandler(RequestHandler):
    """Answers with the problem. A browser that must log in is redirected to the login page."""

    def initialize(self, problem: Problem) -> None:
        self._problem = problem

    def prepare(self) -> None:
        problem = self._problem
        self.set_header("Cache-Control", "no-store")
        if problem.reason == "login_needed" and wants_page(self.request):
            self.set_header("Location", f"{root_of(self.request)}{LOGIN[1:]}?next={quote(self.request.uri or '/', safe='')}")
            self.set_status(303)
            self.finish()
            return
        if isinstance(problem, RetryLater):
            self.set_header("Retry-After", str(problem.after_s))
        if problem.status == 401 and "Sec-Fetch-Mode" not in self.request.headers:
            # Not for browsers: they would open their own login window, and keep the password after a logout.
            self.set_header("WWW-Authenticate", 'Basic realm="Swarmscope", charset="UTF-8"')
        refuse(self, problem)


class GuardedSocket(WSHandler):
    """Bokeh's websocket. An invalid message closes it, instead of raising an error in the server."""

    application: GuardedBokeh
    _closed = False

    def check_origin(self, origin: str) -> bool:
        """Tornado calls this if the browser does not state that page and websocket have the same origin."""
        allowed = host_of(origin) in self.application.websocket_origins
        if not allowed:
            self.application.gate.refusals["foreign_origin"] += 1
        return allowed

    def open(self, *args: str, **kwargs: str) -> None:
        visitor = self.application.gate.recognise(self.request)
        if visitor is None or not self._is_ours():
            self.application.gate.refusals["foreign_session"] += 1
            self.close(GONE, "reload the page")
            return
        self.application.sockets[self] = visitor
        super().open()

    async def _receive(self, fragment: str | bytes) -> Any:  # noqa: ANN401 - Bokeh's own
        receiver: Any = self.receiver
        try:
            return await receiver.consume(fragment)
        except Exception as error:  # noqa: BLE001 - any error of Bokeh about a forged message
            self._end(error)

    async def _handle(self, message: Message[Any]) -> Any:  # noqa: ANN401 - as above
        try:
            if message.msgtype not in TAKEN:
                raise ProtocolError(f"{message.msgtype} is not sent by our pages")
            return await TAKEN[message.msgtype](message, self.connection)
        except Exception as error:  # noqa: BLE001 - as above
            self._end(error)

    def _end(self, error: Exception) -> None:
        """Log an error of our own code with its traceback. For other errors, which our pages do not cause, log one line."""
        self.application.gate.refusals["bad_message"] += 1
        ours = raised_by_us(error)
        level = logging.ERROR if ours else logging.WARNING
        log.log(level, "bad_message: closed a websocket because of %.200r", error, exc_info=error if ours else None)
        self.close(GONE, "reload the page")  # Bokeh's own answer would contain paths of our files

    async def _async_open(self, token: str) -> None:
        await super()._async_open(token)
        if self._closed:  # while the session was made, so on_close found none
            self._leave()

    def on_close(self) -> None:
        self.application.sockets.pop(self, None)
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        """End the session, unless it has another connection. Bokeh itself would keep it for UNUSED_PAGE_MS."""
        # Bokeh's keep-alive detaches the session of a websocket that is closing.
        session = None if self.connection is None else self.connection._session
        if self.connection is not None and session is not None:
            self.application.client_lost(self.connection)
            if not session.connection_count:
                session.request_expiration()

    def _is_ours(self) -> bool:
        """Whether Bokeh will accept the session token."""
        token, application = cast("str | None", self._token), self.application
        if self.selected_subprotocol != "bokeh" or token is None:
            return False
        try:
            return bool(check_token_signature(token, signed=True, secret_key=application.secret_key)) and _lasts(token)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return False  # errors of Bokeh about a forged token


def _lasts(token: str) -> bool:
    """Whether the token is still valid when Bokeh checks it, a moment later."""
    return bool(get_token_payload(token).get("session_expiry", 0) > time.time() + 1)


def raised_by_us(error: Exception) -> bool:
    """Whether our code is in the traceback. The first frame, which caught the error, is ignored."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)][1:]
    return any(frame.f_globals.get("__name__", "").startswith(("monitor_platform.", "feedback_analysis.")) for frame in frames)
