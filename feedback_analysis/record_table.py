"""A table of the records of one kind other than feedback, from verified logs: the fields of its contract, and its objects as JSON.

The contract names the fields that identify a record. A copy of a record that is known is left out.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path

import duckdb

from feedback_analysis.duckdb_database import open_database, transaction
from feedback_analysis.measures.selection import Span
from feedback_analysis.reading.log_files import Begins, UnreadLog, find_logs
from feedback_analysis.reading.rows import SQL_TYPES, clean, scan
from feedback_analysis.reading.verified_log import VerifiedLog, open_if_readable, removed_since
from feedback_analysis.reading.wrong_clocks import WrongClocks
from feedback_analysis.time_limit import watched
from feedback_analysis.time_units import FOREVER_MS, MINUTE_MS
from feedback_wire.frames import Damage
from feedback_wire.kinds import CONTRACTS, RecordKind
from feedback_wire.log_name import kind_of
from feedback_wire.record import RECORD_FIELDS
from serving.memory import is_no_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedRecords:
    """How many records are new, known already, or unreadable; the damaged parts of files; the files that were not read."""

    records: int = 0
    copies: int = 0
    unreadable: int = 0
    damages: tuple[tuple[Path, Damage], ...] = ()
    unread: tuple[UnreadLog, ...] = ()
    wrong_clocks: WrongClocks = field(default_factory=WrongClocks)

    def __add__(self, other: "AddedRecords") -> "AddedRecords":
        return AddedRecords(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


class TooManyRecords(Exception):  # noqa: N818 - the name states the error
    """The logs of a time range have more records than may be loaded; `args` has that limit."""


class RecordTable:
    """An in-memory DuckDB table with the name of its kind. One thread at a time writes; any number of threads read."""

    def __init__(self, kind: RecordKind) -> None:
        contract = CONTRACTS[kind]
        self.kind = kind
        self._fields = (*RECORD_FIELDS, *contract.fields)
        self._objects = contract.objects
        self._types = {field.name: SQL_TYPES[field.kind] for field in self._fields}
        self._readable = " AND ".join(f"{field.name} IS NOT NULL" for field in self._fields if field.required)
        self._identity = f"hash({', '.join(contract.identity)})"
        self._root = open_database(temp="")
        self._root.execute("ATTACH ':memory:' AS store (COMPRESS)")
        self.db = self.cursor()
        columns = ", ".join(f'"{name}" {sql}' for name, sql in (self._types | dict.fromkeys(self._objects, "JSON")).items())
        self.db.execute(f"""
            CREATE TABLE {kind} ({columns});
            CREATE TABLE known (identity UBIGINT, received_ms BIGINT);
            CREATE TEMP TABLE incoming AS SELECT *, 0::UBIGINT AS identity FROM {kind}
        """)
        self._writing = threading.RLock()
        self.rows = 0
        self.version = 0
        """Grows with every change of the table."""
        self.added = AddedRecords()
        """The sum of all additions."""

    def close(self) -> None:
        self.db.close()
        self._root.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection for one thread, which has to close it."""
        cursor = self._root.cursor()
        cursor.execute("USE store")
        return cursor

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on which all queries see the table in the same state."""
        with closing(self.cursor()) as cursor, transaction(cursor), watched(cursor):
            yield cursor

    def add(self, logs: Sequence[VerifiedLog]) -> AddedRecords:
        """Add the records of `logs`: all of one form, with the same columns, and stamped by the same clock.

        A log with right checksums that DuckDB cannot read counts as damage.
        """
        with self._writing:
            added = self._add(logs)
            self.added += added
            self.version += 1
            return added

    def add_identities(self, logs: Sequence[VerifiedLog]) -> None:
        """Add only the identities of the records in `logs`, so that copies of these records are not added later."""
        with self._writing, transaction(self.db):
            self._stage(logs)
            self.db.execute("INSERT INTO known SELECT identity, received_ms FROM incoming ANTI JOIN known USING (identity)")

    def drop_before(self, received_ms: int, *, and_from_ms: int = FOREVER_MS, forget_before_ms: int | None = None) -> int:
        """Drop the records received before `received_ms`, and those from `and_from_ms` on; returns how many. Their identities stay
        known, except those received before `forget_before_ms` (None: none).
        """
        with self._writing, transaction(self.db):
            [(dropped,)] = self.db.execute(
                f"DELETE FROM {self.kind} WHERE received_ms < $before OR received_ms >= $from",
                {"before": received_ms, "from": and_from_ms},
            ).fetchall()
            if forget_before_ms is not None:
                self.db.execute("DELETE FROM known WHERE received_ms < $before", {"before": forget_before_ms})
        self.rows -= int(dropped)
        self.version += bool(dropped)
        return int(dropped)

    def keep(self, span: Span) -> None:
        """Keep only the records that were received in `span`."""
        with self._writing:
            ends = {"first": span.from_ms, "last": span.to_ms}
            self.db.execute(f"DELETE FROM {self.kind} WHERE received_ms < $first OR received_ms >= $last", ends)
            self.rows = self._count(self.kind)
            self.version += 1

    def _add(self, logs: Sequence[VerifiedLog]) -> AddedRecords:
        try:
            with transaction(self.db):
                added = self._insert(logs)
        except duckdb.Error as error:
            if is_no_memory(error):
                raise MemoryError from error
            if len(logs) == 1:
                return self._refuse(logs[0], error)
            return sum((self._add([log]) for log in logs), AddedRecords())
        self.rows += added.records
        return added

    def _insert(self, logs: Sequence[VerifiedLog]) -> AddedRecords:
        staged, readable = self._stage(logs)
        self.db.execute("""
            DELETE FROM incoming WHERE rowid NOT IN (
                SELECT first(rowid ORDER BY received_ms, rowid) FROM incoming ANTI JOIN known USING (identity) GROUP BY identity
            )
        """)
        self.db.execute("INSERT INTO known SELECT identity, received_ms FROM incoming")
        self.db.execute(f"INSERT INTO {self.kind} SELECT * EXCLUDE (identity) FROM incoming")
        new = self._count("incoming")
        records = staged if any(log.records is None for log in logs) else sum(log.records or 0 for log in logs)
        return AddedRecords(
            records=new,
            copies=readable - new,
            unreadable=max(0, records - readable) + sum(log.lost for log in logs),
            damages=tuple((log.source, damage) for log in logs for damage in log.damages),
        )

    def _stage(self, logs: Sequence[VerifiedLog]) -> tuple[int, int]:
        """Put the readable records of `logs` into the table `incoming`; returns how many records there are, and how many are
        readable."""
        first = logs[0]
        chosen = [f"{clean(field) if field.name in first.columns else 'NULL'} AS {field.name}" for field in self._fields]
        chosen += [f'{_object(name) if name in first.columns else "NULL"} AS "{name}"' for name in self._objects]
        source = scan(first, self._types, [*self._types, *self._objects])
        rows = f"SELECT * REPLACE (received_ms - {first.ahead_ms} AS received_ms) FROM (SELECT {', '.join(chosen)} FROM {source})"
        self.db.execute("DELETE FROM incoming")
        self.db.execute(
            f"INSERT INTO incoming SELECT *, {self._identity} FROM ({rows})", {"paths": [str(log.path) for log in logs]}
        )
        staged = self._count("incoming")
        self.db.execute(f"DELETE FROM incoming WHERE NOT ({self._readable})")
        return staged, self._count("incoming")

    def _refuse(self, log: VerifiedLog, error: duckdb.Error) -> AddedRecords:
        if removed := removed_since(log):
            return AddedRecords(unread=(removed,))
        damage = Damage(0, log.end, f"whole, yet not readable: {str(error).splitlines()[0]}")
        return AddedRecords(unreadable=(log.records or 0) + log.lost, damages=((log.source, damage),))

    def _count(self, table: str) -> int:
        [(count,)] = self.db.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)


def open_records(
    paths: Sequence[Path], kind: RecordKind, span: Span | None = None, *, most: float = inf
) -> tuple[RecordTable, AddedRecords]:
    """The records of `kind` in the logs among and below `paths`, received in `span` (None: all), and how many there were.

    FileNotFoundError for a path that does not exist, ValueError for a file that is no log of this kind,
    TooManyRecords if there are more than `most`. Damage does not raise.
    """
    # A server may write a last batch into a log when the next log has begun, but not for longer than a minute.
    begins = None if span is None else Begins.between(span.from_ms - MINUTE_MS, span.to_ms)
    found = find_logs(paths, begins, kind=kind)
    table, added = RecordTable(kind), AddedRecords(unread=found.unread, wrong_clocks=WrongClocks.of(found.logs))
    try:
        for path in found.logs:
            with open_if_readable(path) as log:
                added += AddedRecords(unread=(log,)) if isinstance(log, UnreadLog) else table.add([log])
            if span is not None:
                table.keep(span)
            if table.rows > most:
                raise TooManyRecords(most)
    except BaseException:
        table.close()
        raise
    return table, added


def paths_of_kind(paths: Iterable[Path], kind: RecordKind) -> list[Path]:
    """The folders among `paths`, and the files that have the name of a log of `kind`. A bare file is a log of feedback.

    A path that does not exist is in the result, so that its reader reports it.
    """
    return [path for path in paths if path.is_dir() or kind_of(path.name) is kind or not path.exists()]


def _object(name: str) -> str:
    quoted = f'"{name}"'
    return f"CASE WHEN json_valid({quoted}) THEN {quoted}::JSON END"
