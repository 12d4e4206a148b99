"""Session cookies: who, until when, and an HMAC-SHA256 over both and the user's password hash.

So nothing is stored for a session, and a user who is removed or has a new password has no session any more. The key lives as long
as the process: a restart asks everybody to log in again.
"""

import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from monitor_platform.access.passwords import Hash

LONGEST = 512
"""Characters of a ticket's body: 64 of a name are at most 256 bytes, the rest is below 64, and base64 adds a third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A session."""

    name: str
    number: str
    ends_s: float


class Tickets:
    """Gives tickets out and knows them again."""

    def __init__(self, *, lasts_s: float) -> None:
        self.lasts_s = lasts_s
        self._key = secrets.token_bytes(32)
        self._ended: dict[str, float] = {}

    def issue(self, name: str, secret: Hash, now_s: float) -> str:
        said = json.dumps([name, secrets.token_urlsafe(12), now_s + self.lasts_s], ensure_ascii=False).encode()
        return f"{_text(said)}.{_text(self._sign(said, secret))}"

    def read(self, text: str, hash_of: Callable[[str], Hash | None], now_s: float) -> Ticket | None:
        """The ticket that `text` is; None if it was not given out here, is over, or its user is no more."""
        body, _, signature = text.partition(".")
        try:
            said, signed = _bytes(body), _bytes(signature)
            name, number, ends_s = json.loads(said)
        except (ValueError, TypeError, RecursionError):
            return None
        secret = hash_of(name) if isinstance(name, str) else None
        if secret is None or not hmac.compare_digest(signed, self._sign(said, secret)):
            return None
        # From here on it is our own text.
        ticket = Ticket(name=name, number=number, ends_s=ends_s)
        return ticket if self.lasts(ticket, now_s) else None

    def lasts(self, ticket: Ticket, now_s: float) -> bool:
        return now_s < ticket.ends_s and ticket.number not in self._ended

    def end(self, ticket: Ticket, now_s: float) -> None:
        """From now on it is worth nothing, also where a copy of it is kept."""
        self._ended = {number: ends_s for number, ends_s in self._ended.items() if ends_s > now_s}
        self._ended[ticket.number] = ticket.ends_s

    def _sign(self, said: bytes, secret: Hash) -> bytes:
        return hmac.digest(self._key, said + b"\n" + str(secret).encode(), sha256)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    if len(text) > LONGEST:
        raise ValueError("longer than any ticket")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
