"""A table of measurements: one row for each operation, from verified logs. A copy of a row that is known is left out."""

import json
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

_CONTRACT = CONTRACTS[RecordKind.MEASUREMENT]
_FIELDS = (*RECORD_FIELDS, *_CONTRACT.fields)
_TYPES = {field.name: SQL_TYPES[field.kind] for field in _FIELDS}
_COLUMNS = ", ".join(f'"{name}" {kind}' for name, kind in (_TYPES | dict.fromkeys(_CONTRACT.objects, "JSON")).items())
_READABLE = " AND ".join(f"{field.name} IS NOT NULL" for field in _FIELDS if field.required)

DIMENSIONS = ("technique", "destination", "address", "agent", "agent_address", "status", "quality", "request_id", "via")
"""What measurements can be grouped and filtered by, besides `tags.NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedMeasurements:
    """How many operations are new, known already, or unreadable; and the damaged parts of files."""

    operations: int = 0
    copies: int = 0
    unreadable: int = 0
    damages: tuple[tuple[Path, Damage], ...] = ()
    unread: tuple[UnreadLog, ...] = ()

    def __add__(self, other: "AddedMeasurements") -> "AddedMeasurements":
        return AddedMeasurements(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


class MeasurementTable:
    """The DuckDB table `measurement`, in memory: the record's fields, and `values`, `hops` and `tags` as JSON."""

    def __init__(self) -> None:
        self.db = open_database(temp="")
        self.db.execute(f"CREATE TABLE measurement ({_COLUMNS}); CREATE TEMP TABLE incoming AS FROM measurement")

    def close(self) -> None:
        self.db.close()

    def add(self, logs: Sequence[VerifiedLog]) -> AddedMeasurements:
        """Add the operations of `logs`, all of one form and with the same columns."""
        chosen = [f"{clean(field) if field.name in logs[0].columns else 'NULL'} AS {field.name}" for field in _FIELDS]
        chosen += [f'{_object(name) if name in logs[0].columns else "NULL"} AS "{name}"' for name in _CONTRACT.objects]
        source = scan(logs[0], _TYPES, [*_TYPES, *_CONTRACT.objects])
        self.db.execute("TRUNCATE incoming")
        self.db.execute(
            f"INSERT INTO incoming SELECT {', '.join(chosen)} FROM {source}", {"paths": [str(log.path) for log in logs]}
        )
        staged = self._count("incoming")
        self.db.execute(f"DELETE FROM incoming WHERE NOT ({_READABLE})")
        readable = self._count("incoming")
        before = self._count("measurement")
        self.db.execute("""
            INSERT INTO measurement
            SELECT * FROM incoming ANTI JOIN measurement USING (operation_id)
            QUALIFY row_number() OVER (PARTITION BY operation_id ORDER BY received_ms) = 1
        """)
        added = self._count("measurement") - before
        records = staged if any(log.records is None for log in logs) else sum(log.records or 0 for log in logs)
        return AddedMeasurements(
            operations=added,
            copies=readable - added,
            unreadable=max(0, records - readable) + sum(log.lost for log in logs),
            damages=tuple((log.source, damage) for log in logs for damage in log.damages),
        )

    def keep(self, span: Span) -> None:
        """Keep only the operations that were received in `span`."""
        self.db.execute("DELETE FROM measurement WHERE received_ms < $first OR received_ms >= $last", _ends(span))

    def _count(self, table: str) -> int:
        [(count,)] = self.db.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)


def open_measurements(paths: Sequence[Path], span: Span | None = None) -> tuple[MeasurementTable, AddedMeasurements]:
    """The measurements in the logs among and below `paths`, received in `span` (None: all), and how many there were.

    FileNotFoundError for a path that does not exist, ValueError for a file that is no log of measurements. Damage does not raise.
    """
    found = find_logs(paths, kind=RecordKind.MEASUREMENT)
    table, added = MeasurementTable(), AddedMeasurements(unread=found.unread)
    try:
        for path in found.logs:
            with open_if_readable(path) as log:
                if isinstance(log, UnreadLog):
                    added += AddedMeasurements(unread=(log,))
                    continue
                for logs in alike([log]):
                    added += table.add(logs)
        if span is not None:
            table.keep(span)
    except BaseException:
        table.close()
        raise
    return table, added


def dimension_sql(name: str) -> str:
    """SQL: the value of a dimension of `measurement` as text; ValueError if there is no such dimension."""
    if name in DIMENSIONS:
        return name
    if name.startswith("tags.") and len(name) > len("tags."):
        path = "$." + json.dumps(name.removeprefix("tags."), ensure_ascii=False)
        return f"json_extract_string(tags, '{path.replace(chr(39), chr(39) * 2)}')"
    raise ValueError(f"{name!r} is no dimension of measurements; use one of {', '.join(DIMENSIONS)}, or tags.NAME")


def _object(name: str) -> str:
    quoted = f'"{name}"'
    return f"CASE WHEN json_valid({quoted}) THEN {quoted}::JSON END"


def _ends(span: Span) -> dict[str, float]:
    return {"first": span.from_ms, "last": span.to_ms}
