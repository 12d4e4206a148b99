"""The catalogue: the list of sealed logs and journals that a feedback server offers for download.

`bytes` of an open journal is its durable length: clients may read up to there and no further. A sealed log never changes. It holds
the same records in the same order as the journal with the same stem. A catalogue can be one page of several; `more` is true if
other logs follow its last one.
"""

from dataclasses import dataclass
from typing import Any

from feedback_wire.log_name import Form, LogName

MOST_LOGS = 200_000
"""The largest number of logs in one catalogue. It keeps a catalogue below the 32 MiB that a monitoring platform reads."""


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
        """The entry in decoded JSON; ValueError if it is invalid."""
        match data:
            case {"name": str(name), "bytes": int(size), "records": int(records)} if size >= 0 and records >= 0:
                return cls(name=LogName.parse(name), bytes=size, records=records)
        raise ValueError(f"{str(data)[:200]!r} is not a log entry; an entry has a 'name', 'bytes' and 'records'")

    def to_json(self) -> dict[str, Any]:
        return {"name": str(self.name), "bytes": self.bytes, "records": self.records, "sealed": self.sealed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Logs of one feedback server, in the order of their stems. With `more`, the next page begins after the last one."""

    server: str
    logs: tuple[LogEntry, ...]
    more: bool = False

    def to_json(self) -> dict[str, Any]:
        page = {"server": self.server, "logs": [entry.to_json() for entry in self.logs]}
        return page | {"more": True} if self.more else page

    @classmethod
    def from_json(cls, data: object) -> "Catalogue":
        """The catalogue in decoded JSON; ValueError if it is invalid."""
        match data:
            case {"server": str(server), "logs": list(logs), **rest}:
                return cls(server=server, logs=tuple(map(LogEntry.from_json, logs)), more=rest.get("more") is True)
            case _:
                raise ValueError("a catalogue is an object with a 'server' and a list of 'logs'")
