"""A table of the records of one kind other than feedback, from verified logs. A copy of a record that is known is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feedback_analysis.duckdb_database import open_database
from feedback_analysis.measures.selection import Span
from feedback_analysis.reading.log_files import UnreadLog, find_logs
from feedback_analysis.reading.rows import SQL_TYPES, clean, scan
from feedback_analysis.reading.verified_log import VerifiedLog, alike, open_if_readable
from feedback_wire.frames import Damage
from feedback_wire.kinds import CONTRACTS, RecordKind
from feedback_wire.record import RECORD_FIELDS


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedRecords:
    """How many records are new, known already, or unreadable; and the damaged parts of files."""

    records: int = 0
    copies: int = 0
    unreadable: int = 0
    damages: tuple[tuple[Path, Damage], ...] = ()
    unread: tuple[UnreadLog, ...] = ()

    def __add__(self, other: "AddedRecords") -> "AddedRecords":
        return AddedRecords(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


class RecordTable:
    """A DuckDB table in memory with the name of its kind: the record's fields, and the objects of the kind as JSON."""

    def __init__(self, kind: RecordKind) -> None:
        self.kind = kind
        self.db = open_database(temp="")
        contract = CONTRACTS[kind]
        self._fields = (*RECORD_FIELDS, *contract.fields)
        self._types = {field.name: SQL_TYPES[field.kind] for field in self._fields}
        self._objects = contract.objects
        self._identity = ", ".join(contract.identity)
        self._readable = " AND ".join(f"{field.name} IS NOT NULL" for field in self._fields if field.required)
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in (self._types | dict.fromkeys(self._objects, "JSON")).items())
        self.db.execute(f"CREATE TABLE {kind} ({columns}); CREATE TEMP TABLE incoming AS FROM {kind}")

    def close(self) -> None:
        self.db.close()

    def add(self, logs: Sequence[VerifiedLog]) -> AddedRecords:
        """Add the records of `logs`, all of one form and with the same columns."""
        chosen = [f"{clean(field) if field.name in logs[0].columns else 'NULL'} AS {field.name}" for field in self._fields]
        chosen += [f'{_object(name) if name in logs[0].columns else "NULL"} AS "{name}"' for name in self._objects]
        source = scan(logs[0], self._types, [*self._types, *self._objects])
        self.db.execute("TRUNCATE incoming")
        self.db.execute(
            f"INSERT INTO incoming SELECT {', '.join(chosen)} FROM {source}", {"paths": [str(log.path) for log in logs]}
        )
        staged = self._count("incoming")
        self.db.execute(f"DELETE FROM incoming WHERE NOT ({self._readable})")
        readable = self._count("incoming")
        before = self._count(self.kind)
        self.db.execute(f"""
            INSERT INTO {self.kind}
            SELECT * FROM incoming ANTI JOIN {self.kind} USING ({self._identity})
            QUALIFY row_number() OVER (PARTITION BY {self._identity} ORDER BY received_ms) = 1
        """)
        added = self._count(self.kind) - before
        records = staged if any(log.records is None for log in logs) else sum(log.records or 0 for log in logs)
        return AddedRecords(
            records=added,
            copies=readable - added,
            unreadable=max(0, records - readable) + sum(log.lost for log in logs),
            damages=tuple((log.source, damage) for log in logs for damage in log.damages),
        )

    def keep(self, span: Span) -> None:
        """Keep only the records that were received in `span`."""
        ends = {"first": span.from_ms, "last": span.to_ms}
        self.db.execute(f"DELETE FROM {self.kind} WHERE received_ms < $first OR received_ms >= $last", ends)

    def _count(self, table: str) -> int:
        [(count,)] = self.db.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)


def open_records(paths: Sequence[Path], kind: RecordKind, span: Span | None = None) -> tuple[RecordTable, AddedRecords]:
    """The records of this kind in the logs among and below `paths`, received in `span` (None: all), and how many there were.

    FileNotFoundError for a path that does not exist, ValueError for a log of another kind. Damage does not raise.
    """
    found = find_logs(paths, kind=kind)
    table, added = RecordTable(kind), AddedRecords(unread=found.unread)
    try:
        for path in found.logs:
            with open_if_readable(path) as log:
                if isinstance(log, UnreadLog):
                    added += AddedRecords(unread=(log,))
                    continue
                for logs in alike([log]):
                    added += table.add(logs)
        if span is not None:
            table.keep(span)
    except BaseException:
        table.close()
        raise
    return table, added


def _object(name: str) -> str:
    quoted = f'"{name}"'
    return f"CASE WHEN json_valid({quoted}) THEN {quoted}::JSON END"
