"""Ingest keys: who may send, and how much. Keys are part of apps, so they are public: each has its own limits and can be revoked.

A table maps the SHA-256 of a secret to its key. The time of a look-up reveals nothing about the secrets, because an attacker cannot
choose how many leading bytes the digest of a guess shares with a digest in the table.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.worker_counters import KeyCounters
from feedback_wire.limits import BATCH_WIRE_BYTES
from feedback_wire.problem import Problem
from serving.keys_file import digest, keys_tables
from serving.tokens import bearer_token, is_token

BURST_S = 2.0
"""A key may save up unused allowance, up to this many seconds of its rate."""

FREE_TIMES = 3
"""A key may hold this many times the free memory: alone 3/4 of all, two keys 3/7 each. So a new key always finds some free.

Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998.
"""

ANYONE = "anyone"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_PAUSE_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """The limits that an operator gives a key."""

    name: str
    secret: str = field(repr=False)
    messages_per_second: float = math.inf
    batch_bytes: int = BATCH_WIRE_BYTES
    revoked: bool = False

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None or self.name == ANYONE:
            raise ValueError(f"the key name {self.name!r} must be 1 to 64 of A-Z, a-z, 0-9, _, . and -, and not {ANYONE!r}")
        if not is_token(self.secret):
            raise ValueError(f"key {self.name}: the secret must be made of visible ASCII characters without spaces")
        if not _is_number(self.messages_per_second) or not self.messages_per_second > 0:
            raise ValueError(f"key {self.name}: messages_per_second must be above 0; to block a key, set revoked = true")
        if type(self.batch_bytes) is not int or not 0 < self.batch_bytes <= BATCH_WIRE_BYTES:
            raise ValueError(f"key {self.name}: batch_bytes must be 1 to {BATCH_WIRE_BYTES}")
        if type(self.revoked) is not bool:
            raise ValueError(f"key {self.name}: revoked must be true or false")


def read_terms(secrets: Iterable[str], file: Path | None) -> tuple[KeyTerms, ...]:
    """The keys of --key (named key-1, key-2, …) and of a TOML file. ValueError, whose text never contains a secret."""
    terms = [KeyTerms(name=f"key-{number}", secret=secret) for number, secret in enumerate(secrets, 1)]
    terms += _file_terms(file) if file is not None else []
    owners: dict[str, str] = {}
    for each in terms:
        if (other := owners.setdefault(each.secret, each.name)) != each.name:
            raise ValueError(f"the keys {other} and {each.name} have the same secret; give each its own")
    return tuple(terms)


class IngestKey:
    """A key in use: what it may still send, holds and has sent. Plain numbers, because every request changes them."""

    __slots__ = (
        "allowance",
        "batch_bytes",
        "burst",
        "charged",
        "held_bytes",
        "messages",
        "messages_per_second",
        "name",
        "rate_limited",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages_per_second = self.burst = self.allowance = math.inf
        self.batch_bytes = BATCH_WIRE_BYTES
        self.held_bytes = 0
        self.messages = 0
        self.charged = 0
        """Units (`dialects.native_body.cost`): a message of usual size is one."""
        self.rate_limited = 0

    def apply(self, terms: KeyTerms, workers: int) -> None:
        """Apply these terms from now on. Each worker grants its share of the rate."""
        rate = terms.messages_per_second / workers
        if rate != self.messages_per_second:
            self.messages_per_second = rate
            self.burst = self.allowance = max(1.0, rate * BURST_S)
        self.batch_bytes = terms.batch_bytes

    def charge(self, units: int) -> None:
        self.charged += units
        self.allowance -= units

    def refill(self, elapsed_s: float) -> None:
        self.allowance = min(self.burst, self.allowance + self.messages_per_second * elapsed_s)

    def pause_s(self) -> int:
        """Whole seconds until a key without allowance may send again.

        A request may use more than is left, so that batches of any size are possible. That debt is paid off first.
        """
        return min(_LONGEST_PAUSE_S, 1 + math.ceil(-self.allowance / self.messages_per_second))


class IngestKeys:
    """All keys of one worker."""

    def __init__(self, terms: Iterable[KeyTerms], *, workers: int = 1) -> None:
        self.anyone = IngestKey(ANYONE)
        """Holds the bytes of requests whose key is not known yet. Without keys, all requests use it."""
        self._workers = workers
        self._by_name: dict[str, IngestKey] = {ANYONE: self.anyone}
        self.load(terms)

    def load(self, terms: Iterable[KeyTerms]) -> None:
        """Only these keys are valid from now on. The counts of a key with the same name continue."""
        terms = tuple(terms)
        self._open = not terms
        self._by_digest: dict[bytes, IngestKey] = {}
        for each in terms:
            if not each.revoked:
                key = self._by_name.setdefault(each.name, IngestKey(each.name))
                key.apply(each, self._workers)
                self._by_digest[digest(each.secret)] = key

    def find(self, authorization: bytes) -> IngestKey:
        """The key of a request; Problem (401) if it is not valid."""
        if self._open:
            return self.anyone
        key = self._by_digest.get(digest(bearer_token(authorization.decode("latin-1"))))
        if key is None:
            raise Problem(401, "unauthorized", "send a valid ingest key: Authorization: Bearer KEY")
        return key

    def refill(self, elapsed_s: float) -> None:
        for key in self._by_name.values():
            key.refill(elapsed_s)

    def counted(self) -> dict[str, KeyCounters]:
        return {
            key.name: KeyCounters(
                messages=key.messages, charged=key.charged, rate_limited=key.rate_limited, held_bytes=key.held_bytes
            )
            for key in self._by_name.values()
        }


def _file_terms(file: Path) -> list[KeyTerms]:
    tables = keys_tables(file, page="docs/coordinator.md", needs='secret = "…"')
    return [_table_terms(name, table) for name, table in tables.items()]


def _table_terms(name: str, table: object) -> KeyTerms:
    if not isinstance(table, dict) or "secret" not in table:
        raise ValueError(f'key {name}: give it a table [keys.{name}] with secret = "…"')
    if unknown := set(table) - {"secret", "messages_per_second", "batch_bytes", "revoked"}:
        raise ValueError(f"key {name}: {min(unknown)!r} is unknown; a key may have messages_per_second, batch_bytes and revoked")
    return KeyTerms(name=name, **table)


def _is_number(value: object) -> bool:
    return type(value) in (int, float)
