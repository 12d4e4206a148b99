"""Login page and logout. Both change state, so only requests from our own pages are accepted."""

from typing import Any

from tornado.web import RequestHandler

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.access.gate import LOGIN, Gate, RetryLater
from monitor_platform.access.origins import host_of
from monitor_platform.access.plain_page import POLICY, TEMPLATES, local_path, root_of
from monitor_platform.access.user_file import checked_name

WORDS = {
    "wrong_password": "The name or the password is wrong.",
    "too_many_logins": "Too many people are logging in. Try again in a few seconds.",
    "foreign_origin": "This form was not sent by this page. Log in here.",
}


class LoginHandler(RequestHandler):
    """The login form, and the login cookie for a correct password."""

    def initialize(self, gate: Gate, secure: bool, cookie_path: str) -> None:
        self._gate = gate
        self._cookie: dict[str, Any] = {"path": cookie_path, "httponly": True, "samesite": "Lax", "secure": secure}

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-store")

    def get(self) -> None:
        if self._gate.ticket(self.request) is not None:
            self.redirect(_from_here(self.get_query_argument("next", "/")))
            return
        self._show(200, self.get_query_argument("next", "/"))

    async def post(self) -> None:
        name, password = self.get_body_argument("name", "", strip=False), self.get_body_argument("password", "", strip=False)
        wanted = self.get_body_argument("next", "/")
        try:
            check_origin(self)
            secret = await self._gate.prove(self.request, name, password)
        except Problem as problem:
            self._refuse(problem, wanted, name)
            return
        ticket = self._gate.tickets.issue(checked_name(name.strip()), secret)
        self._gate.logins += 1
        self.set_cookie(self._gate.cookie, ticket, max_age=int(self._gate.tickets.lasts_s), **self._cookie)
        self.redirect(_from_here(wanted), status=303)

    def _refuse(self, problem: Problem, wanted: str, name: str) -> None:
        words = WORDS.get(problem.reason, "Too many attempts.")
        if isinstance(problem, RetryLater):
            self.set_header("Retry-After", str(problem.after_s))
            words = WORDS.get(problem.reason, f"Too many attempts. Try again in {problem.after_s} seconds.")
        # 403 instead of 401: for a 401 the browser would open its own login window.
        self._show(403 if problem.status == 401 else problem.status, wanted, words=words, name=name)

    def _show(self, status: int, wanted: str, *, words: str = "", name: str = "") -> None:
        self.set_status(status)
        page = TEMPLATES.get_template("login.html")
        root = root_of(self.request)
        self.finish(page.render(action=LOGIN[1:], wanted=local_path(wanted), words=words, name=name[:64], root=root))


class LogoutHandler(RequestHandler):
    """Ends the login, with all copies of its cookie, and closes its open pages."""

    def initialize(self, gate: Gate, secure: bool, cookie_path: str) -> None:
        self._gate = gate
        self._cookie: dict[str, Any] = {"path": cookie_path, "httponly": True, "samesite": "Lax", "secure": secure}

    def post(self) -> None:
        try:
            check_origin(self)
        except Problem as problem:
            self.set_status(problem.status)
            self.set_header("Content-Type", routes.PROBLEM)
            self.finish(problem.body())
            return
        ticket = self._gate.ticket(self.request)
        if ticket is not None:
            self._gate.tickets.end(ticket)
            self.application.close_ended_sockets()  # type: ignore[attr-defined]
        self.clear_cookie(self._gate.cookie, **self._cookie)
        self.redirect(LOGIN[1:], status=303)


def _from_here(wanted: str) -> str:
    """The path `wanted` of this dashboard as a link from the login page, which is directly below the root."""
    return f".{local_path(wanted)}"


def check_origin(handler: RequestHandler) -> None:
    """Problem (403) if the browser's headers show that the request comes from another site. Other clients send no such header."""
    headers = handler.request.headers
    site = headers.get("Sec-Fetch-Site", "same-origin" if "Origin" not in headers else "")
    if site in {"same-origin", "none"} or (not site and _own(headers["Origin"], handler)):
        return
    raise Problem(403, "foreign_origin", "only pages of this dashboard may send its forms")


def _own(origin: str, handler: RequestHandler) -> bool:
    host = host_of(origin)
    return host == handler.request.host.lower() or host in handler.application.websocket_origins  # type: ignore[attr-defined]
