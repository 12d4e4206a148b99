"""The catalogue: what a feedback server offers for download, sealed logs and the open journal alike.

`bytes` of an open journal is its durable length: everything before it has reached the disk and may be read, nothing behind it.
A sealed log never changes; it holds the same records in the same order as the journal whose stem it bears.
A catalogue may be one page of several: `more` says that logs follow the last one of it.
"""

from dataclasses import dataclass
from typing import Any

from feedback_wire.log_name import Form, LogName

MOST_LOGS = 200_000
"""So many logs one catalogue holds at most, whatever is asked for: below the 32 MiB that a monitoring platform reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One log of the catalogue."""

    name: LogName
    bytes: int
    records: int

    @property
    def sealed(self) -> bool:
        return self.name.form is not Form.JOURNAL

    @classmethod
    def from_json(cls, data: object) -> "LogEntry":
        """The entry in decoded JSON; ValueError says what is wrong with it."""
        match data:
            case {"name": str(name), "bytes": int(size), "records": int(records)} if size >= 0 and records >= 0:
                return cls(name=LogName.parse(name), bytes=size, records=records)
        raise ValueError(f"{str(data)[:200]!r} is no log entry; one has a 'name', 'bytes' and 'records'")

    def to_json(self) -> dict[str, Any]:
        return {"name": str(self.name), "bytes": self.bytes, "records": self.records, "sealed": self.sealed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The logs of one feedback server, by stem; with `more`, others follow, which are asked for after the last one of these."""

    server: str
    logs: tuple[LogEntry, ...]
    more: bool = False

    def to_json(self) -> dict[str, Any]:
        page = {"server": self.server, "logs": [entry.to_json() for entry in self.logs]}
        return page | {"more": True} if self.more else page

    @classmethod
    def from_json(cls, data: object) -> "Catalogue":
        """The catalogue in decoded JSON; ValueError says what is wrong with it."""
        match data:
            case {"server": str(server), "logs": list(logs), **rest}:
                return cls(server=server, logs=tuple(map(LogEntry.from_json, logs)), more=rest.get("more") is True)
        raise ValueError("a catalogue is an object with a 'server' and a list of 'logs'")
