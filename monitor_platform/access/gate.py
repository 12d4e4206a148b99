"""Authenticates each request before any handler sees it. Only the paths in OPEN need no authentication. All other paths need it,
including paths without a page and paths of future pages.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256

from tornado.httputil import HTTPServerRequest

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.access.attempts import Attempts
from monitor_platform.access.passwords import Hash
from monitor_platform.access.proxies import Proxies
from monitor_platform.access.roles import UserRole, may_send
from monitor_platform.access.tickets import Ticket, Tickets
from monitor_platform.access.user_file import checked_name
from monitor_platform.access.users import Users, proves

log = logging.getLogger(__name__)

LOGIN = "/login"
LOGOUT = "/logout"
OPEN = frozenset({routes.HEALTH, routes.READY, LOGIN, LOGOUT, "/assets/icon.svg"})

QUEUE = 16
"""Passwords that may wait for their check, one at a time: 4 s of work."""

LOG_UNKNOWN_EVERY_S = 60.0

KNOWN_BASIC = 256
"""Scripts whose password is checked only once."""


class RetryLater(Problem):
    """Too many attempts, or too many at once."""

    def __init__(self, status: int, reason: str, detail: str, *, after_s: int) -> None:
        super().__init__(status, reason, detail)
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """An authenticated user. `ticket`: of the login, if any. `secret`: the hash of the password that was checked, if any.

    `role`: at the time of the request. Without a login everyone is a manager.
    """

    name: str = ""
    role: UserRole = UserRole.MANAGER
    ticket: Ticket | None = None
    secret: Hash | None = None


class Gate:
    """Authenticates requests by `users` (None: no login), trusted `proxies` or login `tickets`.

    `knows`: whether the dashboard accepts a Host header. Only a dashboard without authentication needs it.
    """

    def __init__(
        self, *, users: Users | None, proxies: Proxies, tickets: Tickets, cookie: str, knows: Callable[[str], bool]
    ) -> None:
        self.users = users
        self.proxies = proxies
        self.tickets = tickets
        self.cookie = cookie
        self.refusals: Counter[str] = Counter()
        self.senders_unknown: Counter[str] = Counter()
        """Requests of trusted proxies without a readable sender, by reason. The proxy's own address is used for them."""
        self._logged_s = -LOG_UNKNOWN_EVERY_S
        self.logins = 0
        self._knows = knows
        self._attempts = Attempts()
        self._basic_key = secrets.token_bytes(32)
        self._basic: OrderedDict[bytes, Visitor] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, "passwords")
        self._checking = 0

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    @property
    def closed(self) -> bool:
        """Whether requests need authentication."""
        return self.users is not None or bool(self.proxies.user_header)

    async def admit(self, request: HTTPServerRequest) -> Visitor:
        """The user of a request; Problem if the sender may not make this request."""
        if request.path in OPEN:
            return Visitor(role=UserRole.VIEWER)
        self.refresh()
        visitor = self.recognise(request)
        if visitor is None and self.users is not None and _takes_basic(request) and _basic(request) is not None:
            visitor = await self._admit_basic(request)
        elif visitor is None:
            raise self._refusal(request)
        if not may_send(visitor.role, request.method or "", request.path):
            self.refusals["not_a_manager"] += 1
            raise Problem(403, "not_a_manager", "your role is viewer, which only reads; ask a manager for this change")
        return visitor

    def recognise(self, request: HTTPServerRequest) -> Visitor | None:
        """The user of a request, without checking a password; None if unknown."""
        if not self.closed:
            return Visitor() if self._knows(request.host) else None
        return self._proxy_user(request) or self._with_ticket(request) or self._known_basic(request)

    def stays(self, visitor: Visitor) -> bool:
        """Whether an authenticated user still has access."""
        if visitor.secret is not None and (self.users is None or self.users.hash_of(visitor.name) != visitor.secret):
            return False
        return visitor.ticket is None or self.tickets.lasts(visitor.ticket)

    def has_role(self, visitor: Visitor) -> bool:
        """Whether the file of users still has the role with which the visitor was admitted."""
        role = self.users.role_of(visitor.name) if self.users is not None else None
        return role is None or role is visitor.role

    def refresh(self) -> None:
        """Read the file of users again if it has changed."""
        if self.users is not None:
            self.users.refresh()

    def ticket(self, request: HTTPServerRequest) -> Ticket | None:
        cookie = request.cookies.get(self.cookie)
        if self.users is None or cookie is None:
            return None
        return self.tickets.read(cookie.value, self.users.hash_of)

    def client(self, request: HTTPServerRequest) -> str:
        """The address for the limit of attempts."""
        found = self.proxies.sender(peer(request), request.headers.get_list(self.proxies.header))
        if found.unknown:
            self._note_unknown(found.unknown)
        return found.address or peer(request)

    def _note_unknown(self, reason: str) -> None:
        """Count a sender that cannot be read. The log gets one line a minute, without an address."""
        self.senders_unknown[reason] += 1
        if time.monotonic() - self._logged_s >= LOG_UNKNOWN_EVERY_S:
            self._logged_s = time.monotonic()
            log.warning("%s of a trusted proxy has no readable sender (%s); see docs/access.md", self.proxies.header, reason)

    async def prove(self, request: HTTPServerRequest, name: str, password: str) -> Hash:
        """The hash of the user's password; Problem if name and password do not match."""
        self.refresh()
        name = _stored_name(name)
        address = self.client(request)
        self._check_limits(address, name)
        secret = self.users.hash_of(name) if self.users is not None else None
        if not await self._proves(secret, password) or secret is None:
            self.refusals["wrong_password"] += 1
            raise Problem(401, "wrong_password", "the name or the password is wrong; try again, or ask the operator")
        self._attempts.succeeded(address, name)
        return secret

    def _check_limits(self, address: str, name: str) -> None:
        wait_s = self._attempts.begin(address, name, time.monotonic())
        if wait_s:
            self.refusals["too_many_attempts"] += 1
            raise RetryLater(
                429, "too_many_attempts", f"too many attempts; try again in {int(wait_s) + 1} s", after_s=int(wait_s) + 1
            )
        if self._checking >= QUEUE:
            self.refusals["too_many_logins"] += 1
            raise RetryLater(503, "too_many_logins", "too many logins at this moment; try again in 5 s", after_s=5)

    async def _proves(self, secret: Hash | None, password: str) -> bool:
        self._checking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, proves, secret, password)
        finally:
            self._checking -= 1

    async def _admit_basic(self, request: HTTPServerRequest) -> Visitor:
        name, password = _basic(request) or ("", "")
        secret = await self.prove(request, name, password)
        visitor = self._with_role(Visitor(name=_stored_name(name), secret=secret))
        self._basic[self._basic_digest(request)] = visitor
        if len(self._basic) > KNOWN_BASIC:
            self._basic.popitem(last=False)
        return visitor

    def _known_basic(self, request: HTTPServerRequest) -> Visitor | None:
        """The user of an Authorization header that was checked before. The table has only keyed digests, not passwords."""
        if not _takes_basic(request) or "Authorization" not in request.headers:
            return None
        visitor = self._basic.get(self._basic_digest(request))
        return self._with_role(visitor) if visitor is not None and self.stays(visitor) else None

    def _basic_digest(self, request: HTTPServerRequest) -> bytes:
        return hmac.digest(self._basic_key, request.headers["Authorization"].encode("utf-8", "surrogateescape"), sha256)

    def _with_ticket(self, request: HTTPServerRequest) -> Visitor | None:
        ticket = self.ticket(request)
        if ticket is None or self.users is None:
            return None
        return self._with_role(Visitor(name=ticket.name, ticket=ticket, secret=self.users.hash_of(ticket.name)))

    def _with_role(self, visitor: Visitor) -> Visitor:
        """The visitor with the current role of the file of users; a viewer if that has no such user."""
        role = self.users.role_of(visitor.name) if self.users is not None else None
        return replace(visitor, role=role or UserRole.VIEWER)

    def _proxy_user(self, request: HTTPServerRequest) -> Visitor | None:
        header = self.proxies.user_header
        name = self.proxies.user(peer(request), request.headers.get_list(header)) if header else None
        if name is None:
            return None
        role = self.users.role_of(name) if self.users is not None else None
        return Visitor(name=name, role=role or self.proxies.role(request.headers.get_list(self.proxies.role_header)))

    def _refusal(self, request: HTTPServerRequest) -> Problem:
        problem = self._problem(request)
        self.refusals[problem.reason] += 1
        return problem

    def _problem(self, request: HTTPServerRequest) -> Problem:
        if not self.closed:
            # The name of another site may resolve to this address (DNS rebinding). The pages of that site must not read anything.
            return Problem(
                403,
                "unknown_host",
                "this dashboard does not answer to this host name; use the address that it printed at its start",
            )
        if self.users is not None:
            return Problem(401, "login_needed", f"log in at {LOGIN}; scripts send name and password as HTTP Basic")
        if not self.proxies.trusts(peer(request)):
            return Problem(403, "not_through_proxy", "open this dashboard through its reverse proxy, which authenticates users")
        return Problem(403, "no_user_named", f"the proxy must name one user in {self.proxies.user_header}")


def peer(request: HTTPServerRequest) -> str:
    """The address of the peer of the TCP connection; headers do not change it."""
    return request.remote_ip or ""


def _takes_basic(request: HTTPServerRequest) -> bool:
    return request.path == routes.METRICS or request.path.startswith("/api/")


def _basic(request: HTTPServerRequest) -> tuple[str, str] | None:
    """Name and password in an Authorization header (RFC 7617); None without them."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (name, password) if colon else None


def _stored_name(name: str) -> str:
    """The name in the form of the file of users. For an invalid name it is empty, which is the name of no user."""
    try:
        return checked_name(name.strip())
    except ValueError:
        return ""
