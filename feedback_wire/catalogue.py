"""The catalogue: what a feedback server offers for download, sealed logs and the open journal alike.

`bytes` of an open journal is its durable length: everything before it has reached the disk and may be read, nothing behind it.
A sealed log never changes; it holds the same records in the same order as the journal whose stem it bears.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from feedback_wire.log_name import Form, LogName


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One log of the catalogue."""

    name: LogName
    bytes: int
    records: int

    @property
    def sealed(self) -> bool:
        return self.name.form is not Form.JOURNAL

    def to_json(self) -> dict[str, Any]:
        return {"name": str(self.name), "bytes": self.bytes, "records": self.records, "sealed": self.sealed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The logs of one feedback server, by stem."""

    server: str
    logs: tuple[LogEntry, ...]

    def to_json(self) -> dict[str, Any]:
        return {"server": self.server, "logs": [entry.to_json() for entry in self.logs]}

    @classmethod
    def from_json(cls, data: object) -> "Catalogue":
        """The catalogue in decoded JSON; ValueError says what is wrong with it."""
        match data:
            case {"server": str(server), "logs": list(logs)}:
                return cls(server=server, logs=tuple(_entries(logs)))
        raise ValueError("a catalogue is an object with a 'server' and a list of 'logs'")


def _entries(logs: Iterable[object]) -> Iterable[LogEntry]:
    for log in logs:
        match log:
            case {"name": str(name), "bytes": int(size), "records": int(records)} if size >= 0 and records >= 0:
                yield LogEntry(name=LogName.parse(name), bytes=size, records=records)
            case _:
                raise ValueError(f"{str(log)[:200]!r} is no log entry; one has a 'name', 'bytes' and 'records'")
