"""Login cookies: user name, end, and an HMAC-SHA256 over both and the user's password hash.

So the server stores nothing for a login, and logins end when a user is removed or gets a new password. The key is created at
the start of the process: after a restart all users must log in again. So the monotonic clock counts, which no wrong date changes.
"""

import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from monitor_platform.access.passwords import Hash

LONGEST = 512
"""Characters of a ticket's body: 64 of a name are at most 256 bytes, the rest is below 64, and base64 adds a third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The login of a user, as its cookie has it."""

    name: str
    number: str
    ends_s: float


class Tickets:
    """Issues and verifies tickets."""

    def __init__(self, *, lasts_s: float) -> None:
        self.lasts_s = lasts_s
        self._key = secrets.token_bytes(32)
        self._ended: dict[str, float] = {}

    def issue(self, name: str, secret: Hash) -> str:
        content = json.dumps([name, secrets.token_urlsafe(12), time.monotonic() + self.lasts_s], ensure_ascii=False).encode()
        return f"{_text(content)}.{_text(self._sign(content, secret))}"

    def read(self, text: str, hash_of: Callable[[str], Hash | None]) -> Ticket | None:
        """The ticket in `text`; None if it was not issued here, has ended, or its user was removed."""
        body, _, signature = text.partition(".")
        try:
            content, signed = _bytes(body), _bytes(signature)
            name, number, ends_s = json.loads(content)
        except (ValueError, TypeError, RecursionError):
            return None
        secret = hash_of(name) if isinstance(name, str) else None
        if secret is None or not hmac.compare_digest(signed, self._sign(content, secret)):
            return None
        # The signature is valid, so this server wrote the content.
        ticket = Ticket(name=name, number=number, ends_s=ends_s)
        return ticket if self.lasts(ticket) else None

    def lasts(self, ticket: Ticket) -> bool:
        return time.monotonic() < ticket.ends_s and ticket.number not in self._ended

    def end(self, ticket: Ticket) -> None:
        """End a ticket and all its copies."""
        now_s = time.monotonic()
        self._ended = {number: ends_s for number, ends_s in self._ended.items() if ends_s > now_s}
        self._ended[ticket.number] = ticket.ends_s

    def _sign(self, content: bytes, secret: Hash) -> bytes:
        return hmac.digest(self._key, content + b"\n" + str(secret).encode(), sha256)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    if len(text) > LONGEST:
        raise ValueError("longer than any ticket")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
