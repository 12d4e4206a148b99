"""The rights of clients and agents: each key of the keys file has a name and a role.

A requester may submit requests, rarely, and sees its own ones. A manager has no such limits and sees everything. An agent's key is
bound to the agent's name: no other agent can take its place.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from feedback_wire.problem import Problem
from serving.keys_file import digest, keys_tables
from serving.tokens import bearer_token, is_token

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class KeyRole(StrEnum):
    """The role of a key."""

    REQUESTER = "requester"
    MANAGER = "manager"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementKey:
    """One table [keys.NAME] of the keys file."""

    name: str
    role: KeyRole
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"the key name {self.name!r} must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -")
        if not is_token(self.secret) or len(self.secret) < 16:
            raise ValueError(f"key {self.name}: the secret must be at least 16 visible ASCII characters without spaces")


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The sender of a request to the master."""

    name: str
    role: KeyRole

    @property
    def is_manager(self) -> bool:
        return self.role is KeyRole.MANAGER


class MeasurementKeys:
    """Finds the holder of a key. Without any key (--insecure), every client is a manager and every agent is admitted."""

    def __init__(self, keys: Iterable[MeasurementKey]) -> None:
        self._by_digest = {digest(each.secret): each for each in keys}

    def holder(self, authorization: str | None) -> KeyHolder:
        """The holder of the key of a request; Problem 401 without a valid key."""
        if not self._by_digest:
            return KeyHolder("anyone", KeyRole.MANAGER)
        key = self._by_digest.get(digest(bearer_token(authorization or "")))
        if key is None:
            raise Problem(401, "unauthorized", "send a valid key of the master's keys file: Authorization: Bearer KEY")
        return KeyHolder(key.name, key.role)

    def check_agent(self, authorization: str | None, name: str) -> None:
        """Problem 401 or 403 unless the key is the one of this agent."""
        visitor = self.holder(authorization)
        if self._by_digest and (visitor.role is not KeyRole.AGENT or visitor.name != name):
            raise Problem(403, "not_this_agent", f"this key is not the key of the agent {name!r}: see its table in the keys file")

    def requester(self, authorization: str | None) -> KeyHolder:
        """Problem 401 or 403 unless the key is one of a requester or manager."""
        visitor = self.holder(authorization)
        if visitor.role is KeyRole.AGENT:
            raise Problem(403, "not_allowed", "this is the key of an agent; use the key of a requester or manager")
        return visitor

    def manager(self, authorization: str | None) -> KeyHolder:
        """Problem 401 or 403 unless the key is one of a manager."""
        visitor = self.requester(authorization)
        if not visitor.is_manager:
            raise Problem(403, "not_allowed", "only managers may do or see this; ask one, or use a manager's key")
        return visitor


def read_measurement_keys(file: Path) -> tuple[MeasurementKey, ...]:
    """The keys of a TOML file; ValueError, whose text never contains a secret."""
    tables = keys_tables(file, page="docs/measurement-master.md", needs="role and secret")
    keys = tuple(_key(name, table) for name, table in tables.items())
    owners: dict[bytes, str] = {}
    for key in keys:
        if (other := owners.setdefault(digest(key.secret), key.name)) is not key.name:
            raise ValueError(f"the keys {other} and {key.name} have the same secret; give each its own")
    return keys


def _key(name: str, table: object) -> MeasurementKey:
    match table:
        case {"role": str(role), "secret": str(secret), **rest} if not rest:
            if role not in set(KeyRole):
                raise ValueError(f"key {name}: the role is {role!r}; use requester, manager or agent")
            return MeasurementKey(name=name, role=KeyRole(role), secret=secret)
        case _:
            raise ValueError(f'key {name}: give it a table [keys.{name}] with role = "requester" and secret = "…" only')
