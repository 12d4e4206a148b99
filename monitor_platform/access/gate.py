"""Decides of each request, before anything else looks at it, who comes. What is not said to be open is closed: also a page that
does not exist, and every page that will be added.
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
from dataclasses import dataclass
from hashlib import sha256

from tornado.httputil import HTTPServerRequest

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.access.attempts import Attempts
from monitor_platform.access.passwords import Hash
from monitor_platform.access.proxies import Proxies
from monitor_platform.access.tickets import Ticket, Tickets
from monitor_platform.access.user_file import checked_name
from monitor_platform.access.users import Users, proves

log = logging.getLogger(__name__)

LOGIN = "/login"
LOGOUT = "/logout"
OPEN = frozenset({routes.HEALTH, routes.READY, LOGIN, LOGOUT, "/assets/icon.svg"})

QUEUE = 16
"""Passwords that wait for being checked, one after the other: 4 s of work."""

TELL_UNKNOWN_S = 60.0

KNOWN_BASIC = 256
"""Scripts whose password need not be checked anew at every request."""


class ComeLater(Problem):
    """Too many tries, or too many at once."""

    def __init__(self, status: int, reason: str, detail: str, *, after_s: int) -> None:
        super().__init__(status, reason, detail)
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who may see the dashboard; a `ticket` if it is for a session, `secret` if it is for a password."""

    name: str = ""
    ticket: Ticket | None = None
    secret: Hash | None = None


class Gate:
    """Knows the users (None: nobody has to log in), the proxies, and the names under which the dashboard may be asked."""

    def __init__(
        self, *, users: Users | None, proxies: Proxies, tickets: Tickets, cookie: str, knows: Callable[[str], bool]
    ) -> None:
        self.users = users
        self.proxies = proxies
        self.tickets = tickets
        self.cookie = cookie
        self.refusals: Counter[str] = Counter()
        self.senders_unknown: Counter[str] = Counter()
        """Requests of trusted proxies whose sender cannot be read, by reason; the proxy's own address counts instead."""
        self._told_s = -TELL_UNKNOWN_S
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
        """Whether one has to say who one is."""
        return self.users is not None or bool(self.proxies.user_header)

    async def admit(self, request: HTTPServerRequest) -> None:
        """Problem if the request is not for whoever sends it."""
        if request.path in OPEN:
            return
        self.refresh()
        visitor = self.recognise(request)
        if visitor is None and self.users is not None and _takes_basic(request) and _basic(request) is not None:
            await self._admit_basic(request)
        elif visitor is None:
            raise self._unknown(request)

    def recognise(self, request: HTTPServerRequest) -> Visitor | None:
        """Who comes, as far as that can be told without checking a password."""
        if not self.closed:
            return Visitor() if self._knows(request.host) else None
        return self._vouched(request) or self._with_ticket(request) or self._known_basic(request)

    def stays(self, visitor: Visitor) -> bool:
        """Whether somebody who came in may still be here."""
        if visitor.secret is not None and (self.users is None or self.users.hash_of(visitor.name) != visitor.secret):
            return False
        return visitor.ticket is None or self.tickets.lasts(visitor.ticket, time.time())

    def refresh(self) -> None:
        """See whether the file of users has changed."""
        if self.users is not None:
            self.users.refresh()

    def ticket(self, request: HTTPServerRequest) -> Ticket | None:
        cookie = request.cookies.get(self.cookie)
        if self.users is None or cookie is None:
            return None
        return self.tickets.read(cookie.value, self.users.hash_of, time.time())

    def client(self, request: HTTPServerRequest) -> str:
        """The address that a request is counted under."""
        found = self.proxies.sender(peer(request), request.headers.get_list(self.proxies.header))
        if found.unknown:
            self._note_unknown(found.unknown)
        return found.address or peer(request)

    def _note_unknown(self, reason: str) -> None:
        """Count a sender who cannot be read; in the log a line a minute is enough, and no address belongs there."""
        self.senders_unknown[reason] += 1
        if time.monotonic() - self._told_s >= TELL_UNKNOWN_S:
            self._told_s = time.monotonic()
            log.warning("%s of a trusted proxy names no sender who can be read (%s); docs/monitor.md", self.proxies.header, reason)

    async def prove(self, request: HTTPServerRequest, name: str, password: str) -> Hash:
        """The hash of the user whom name and password prove; Problem if they prove none."""
        self.refresh()
        name = _as_kept(name)
        address = self.client(request)
        self._may_try(address, name)
        secret = self.users.hash_of(name) if self.users is not None else None
        if not await self._proves(secret, password) or secret is None:
            self.refusals["wrong_password"] += 1
            raise Problem(401, "wrong_password", "this name with this password is no user's")
        self._attempts.succeeded(address, name)
        return secret

    def _may_try(self, address: str, name: str) -> None:
        wait_s = self._attempts.begin(address, name, time.monotonic())
        if wait_s:
            self.refusals["too_many_attempts"] += 1
            raise ComeLater(
                429, "too_many_attempts", f"too many attempts; try again in {int(wait_s) + 1} s", after_s=int(wait_s) + 1
            )
        if self._checking >= QUEUE:
            self.refusals["too_many_logins"] += 1
            raise ComeLater(503, "too_many_logins", "too many want to log in at this moment; try again in 5 s", after_s=5)

    async def _proves(self, secret: Hash | None, password: str) -> bool:
        self._checking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, proves, secret, password)
        finally:
            self._checking -= 1

    async def _admit_basic(self, request: HTTPServerRequest) -> None:
        name, password = _basic(request) or ("", "")
        secret = await self.prove(request, name, password)
        self._basic[self._basic_digest(request)] = Visitor(name=_as_kept(name), secret=secret)
        if len(self._basic) > KNOWN_BASIC:
            self._basic.popitem(last=False)

    def _known_basic(self, request: HTTPServerRequest) -> Visitor | None:
        """What has been checked once; the table holds keyed digests, which are of no use elsewhere."""
        if not _takes_basic(request) or "Authorization" not in request.headers:
            return None
        visitor = self._basic.get(self._basic_digest(request))
        return visitor if visitor is not None and self.stays(visitor) else None

    def _basic_digest(self, request: HTTPServerRequest) -> bytes:
        return hmac.digest(self._basic_key, request.headers["Authorization"].encode("utf-8", "surrogateescape"), sha256)

    def _with_ticket(self, request: HTTPServerRequest) -> Visitor | None:
        ticket = self.ticket(request)
        if ticket is None or self.users is None:
            return None
        return Visitor(name=ticket.name, ticket=ticket, secret=self.users.hash_of(ticket.name))

    def _vouched(self, request: HTTPServerRequest) -> Visitor | None:
        header = self.proxies.user_header
        name = self.proxies.user(peer(request), request.headers.get_list(header)) if header else None
        return None if name is None else Visitor(name=name)

    def _unknown(self, request: HTTPServerRequest) -> Problem:
        problem = self._why(request)
        self.refusals[problem.reason] += 1
        return problem

    def _why(self, request: HTTPServerRequest) -> Problem:
        if not self.closed:
            # A page of another site whose name is made to lead here must not read anything (DNS rebinding).
            return Problem(403, "unknown_host", "this dashboard is known by other names; ask it under the address that it printed")
        if self.users is not None:
            return Problem(401, "login_needed", f"log in at {LOGIN}; scripts send name and password as HTTP Basic")
        if not self.proxies.trusts(peer(request)):
            return Problem(403, "not_through_proxy", "this dashboard is reached through its proxy, which says who comes")
        return Problem(403, "no_user_named", f"the proxy has to name one user, in {self.proxies.user_header}")


def peer(request: HTTPServerRequest) -> str:
    """The address at the other end of the connection, whatever headers say."""
    return request.remote_ip or ""


def _takes_basic(request: HTTPServerRequest) -> bool:
    return request.path == routes.METRICS or request.path.startswith("/api/")


def _basic(request: HTTPServerRequest) -> tuple[str, str] | None:
    """Name and password of an Authorization header (RFC 7617); None if it has none."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (name, password) if colon else None


def _as_kept(name: str) -> str:
    """The name as the file of users has it; nobody's if it cannot be in there."""
    try:
        return checked_name(name.strip())
    except ValueError:
        return ""
