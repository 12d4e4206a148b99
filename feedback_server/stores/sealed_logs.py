"""All sealed logs of a server in memory, 40 bytes each. Five years of minutes are 2.6 million logs; as objects they take 1 GB.

The rows are sorted by stem, as text, because monitoring platforms request the logs after a given one in this order.
"""

import json
import os
import struct
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from feedback_wire.catalogue import LogEntry
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName

# Start of the period, bytes, records, time of the last write in nanoseconds, number of the server's name, part, form.
_ROW = struct.Struct("<qQQqHHB3x")
# A row's form. These numbers are saved in the index: a new form gets a new number.
_FORM_NUMBERS = {Form.JOURNAL: 0, Form.JSONL: 1, Form.CSV: 2, Form.PARQUET: 3}
_FORMS = {number: form for form, number in _FORM_NUMBERS.items()}
_MAGIC = b"SWSI0001"
_HEAD = struct.Struct("<8sIIqQQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedLog:
    """One sealed log and the time of the last write to its file."""

    entry: LogEntry
    written_ns: int
    """When its file was last written. If this and the size are the same, the file has not changed."""


class SealedLogs:
    """Sealed logs of one kind by stem, oldest first; not thread-safe."""

    def __init__(self, logs: Iterable[SealedLog] = (), *, kind: RecordKind = RecordKind.FEEDBACK) -> None:
        self._kind = kind
        self._rows = bytearray()
        self._servers: list[str] = []
        self._counts: list[int] = []
        self.bytes = 0
        """Bytes of all of them."""
        self.names_sum = 0
        """The `names_sum` of their names."""
        self.put_all(sorted(logs, key=lambda log: log.entry.name.stem))

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def __getitem__(self, at: int) -> SealedLog:
        return _log(_ROW.unpack_from(self._rows, at * _ROW.size), self._servers, self._kind)

    def __iter__(self) -> Iterator[SealedLog]:
        return self.after("", len(self))

    def last(self) -> list[SealedLog]:
        """The newest log in a list, or an empty list."""
        return [self[len(self) - 1]] if len(self) else []

    def put(self, log: SealedLog) -> None:
        """Add a log; it replaces one with the same stem."""
        at = len(self)
        # Nearly always, a log begins after all others.
        if at and _ROW.unpack_from(self._rows, (at - 1) * _ROW.size)[0] >= log.entry.name.begins_s:
            stem = log.entry.name.stem
            at = bisect_left(range(len(self)), stem, key=self._stem)
            if at < len(self) and self._stem(at) == stem:
                self._delete(at, at + 1)
        self._rows[at * _ROW.size : at * _ROW.size] = self._packed(log, log.entry.name.stem)

    def put_all(self, logs: Iterable[SealedLog]) -> None:
        """Add many logs, most of them in the order of their stems. Each single one before others would move all later rows."""
        rows, count, at, last = bytearray(), len(self), 0, ""
        unordered: list[SealedLog] = []
        ahead = self._stem(0) if count else None
        for log in logs:
            stem = log.entry.name.stem
            if stem <= last:
                unordered.append(log)
                continue
            last = stem
            if ahead is not None and ahead <= stem:
                end = bisect_left(range(count), stem, lo=at, key=self._stem)
                rows += self._rows[at * _ROW.size : end * _ROW.size]
                at = end
                if at < count and self._stem(at) == stem:
                    self._uncount(at)
                    at += 1
                ahead = self._stem(at) if at < count else None
            rows += self._packed(log, stem)
        self._rows = rows + self._rows[at * _ROW.size :]
        for log in unordered:
            self.put(log)

    def remove(self, stem: str) -> bool:
        """Remove the log with this stem; whether there was one."""
        at = bisect_left(range(len(self)), stem, key=self._stem)
        if at == len(self) or self._stem(at) != stem:
            return False
        self._delete(at, at + 1)
        return True

    def remove_before(self, name: str) -> None:
        """Remove the logs with smaller names: they no longer exist in a folder whose smallest name is `name`."""
        at = bisect_left(range(len(self)), name.split(".")[0], key=self._stem)
        self._delete(0, at)

    def find(self, stem: str) -> SealedLog | None:
        at = bisect_left(range(len(self)), stem, key=self._stem)
        return self[at] if at < len(self) and self._stem(at) == stem else None

    def after(self, stem: str, limit: int) -> Iterator[SealedLog]:
        """At most `limit` logs with a greater stem. Later changes do not affect the result."""
        at = bisect_right(range(len(self)), stem, key=self._stem)
        rows, servers = bytes(self._rows[at * _ROW.size : (at + limit) * _ROW.size]), tuple(self._servers)
        return (_log(row, servers, self._kind) for row in _ROW.iter_unpack(rows))

    def begins_s(self) -> list[int]:
        """When each log begins, Unix time in seconds."""
        return [row[0] for row in _ROW.iter_unpack(bytes(self._rows))]

    def counts(self) -> dict[str, int]:
        """The number of logs per server name."""
        return {server: count for server, count in zip(self._servers, self._counts, strict=True) if count}

    def to_bytes(self, folder_ns: int) -> bytes:
        """The saved form of the rows, with the time of the last change to the folder."""
        servers = json.dumps([self._servers, self._counts]).encode()
        body = servers + self._rows
        return _HEAD.pack(_MAGIC, zlib.crc32(body), len(servers), folder_ns, self.bytes, self.names_sum) + body

    @classmethod
    def from_bytes(cls, data: bytes, kind: RecordKind = RecordKind.FEEDBACK) -> "tuple[SealedLogs, int]":
        """The logs and the time of the last change to the folder; ValueError unless `data` is exactly a result of `to_bytes`."""
        if len(data) < _HEAD.size:
            raise ValueError("the index is too short")
        magic, checksum, servers, folder_ns, size, logs_sum = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if magic != _MAGIC or zlib.crc32(body) != checksum or (len(body) - servers) % _ROW.size:
            raise ValueError("the index is damaged or of another version")
        logs = cls(kind=kind)
        logs._servers, logs._counts = json.loads(bytes(body[:servers]))
        logs._rows = bytearray(body[servers:])
        logs.bytes, logs.names_sum = size, logs_sum
        return logs, folder_ns

    def _delete(self, begin: int, end: int) -> None:
        for at in range(begin, end):
            self._uncount(at)
        del self._rows[begin * _ROW.size : end * _ROW.size]

    def _uncount(self, at: int) -> None:
        entry = self[at].entry
        self.bytes -= entry.bytes
        self.names_sum -= names_sum([str(entry.name)])
        self._counts[self._servers.index(entry.name.server)] -= 1

    def _packed(self, log: SealedLog, stem: str) -> bytes:
        """The row of a log; the log is also added to the counts."""
        entry = log.entry
        name = entry.name
        if name.server not in self._servers:
            self._servers.append(name.server)
            self._counts.append(0)
        server = self._servers.index(name.server)
        self._counts[server] += 1
        self.bytes += entry.bytes
        self.names_sum += zlib.crc32((stem + name.suffix).encode())
        numbers = server, name.part, _FORM_NUMBERS[name.form]
        return _ROW.pack(name.begins_s, entry.bytes, entry.records, log.written_ns, *numbers)

    def _stem(self, at: int) -> str:
        return self[at].entry.name.stem


def names_sum(names: Collection[str]) -> int:
    """A number that is equal for equal names in any order; faster than comparing millions of names."""
    try:
        return sum(map(zlib.crc32, map(str.encode, names)))
    except UnicodeEncodeError:  # the name of a file of other software; `fsencode` takes three times as long
        return sum(map(zlib.crc32, map(os.fsencode, names)))


def _log(row: Sequence[int], servers: Sequence[str], kind: RecordKind) -> SealedLog:
    begins_s, size, records, written_ns, server, part, form = row
    name = LogName(begins_s, servers[server], part, _FORMS[form], kind)
    return SealedLog(entry=LogEntry(name=name, bytes=size, records=records), written_ns=written_ns)
