"""Messages into the rollups, each once: all that some logs hold and the fact that they were taken in, in one transaction.

`seen` remembers every message for as long as the history does, a bit each. Of copies in different logs the one taken in first
counts; logs are taken in by time, so that it is the one received first unless a log came late. Then too the count is right.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from feedback_wire.log_name import LogName
from monitor_platform.geo.locator import Locator
from monitor_platform.history.schema import BLOCK, DIMENSIONS, HOUR_MS, MEANS, MINUTE, MINUTE_MS, PRESENCE, SEEN, SESSION_HOUR
from monitor_platform.history.store import HistoryStore
from monitor_platform.measures.table import FeedbackTable
from monitor_platform.reading.verified_log import VerifiedLog, open_log

_NAMES = {"session": "sessions", "peer": "peers"}
_OWN = ("received_ms", "weight", "session_id", "peer_id", "seq", "uptime_ms", "startup_ms", "stall_count", "stall_ms", "played_ms")
_COLUMNS = (*_OWN, *DIMENSIONS, *MEANS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A log as it lies on disk. `stem` is what its other forms share with it; of a file that is no named log, its path."""

    path: Path
    bytes: int
    modified_ns: int

    @classmethod
    def at(cls, path: Path) -> "LogFile":
        found = path.stat()
        return cls(path=path, bytes=found.st_size, modified_ns=found.st_mtime_ns)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def stem(self) -> str:
        try:
            return LogName.parse(self.name).stem
        except ValueError:
            return str(self.path)

    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of some logs: messages counted, copies left out, records beyond reading."""

    messages: int = 0
    copies: int = 0
    unreadable: int = 0
    logs: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


def take_in(store: HistoryStore, files: Mapping[LogFile, str], locator: Locator, *, again: bool = False) -> Taken:
    """Count the messages of `files`, given with their checksums.

    `again`: logs that were taken in before, in another form or before they were whole; what is known of them is no copy.
    """
    with ExitStack() as opened, closing(FeedbackTable(locator, store.basis.mos)) as table:
        lost = _read(table, [opened.enter_context(open_log(file.path)) for file in files])
        messages, copied = _messages(table)
        with store.writing() as db:
            counted, known = _count(db, messages, round(store.basis.period_s * 1000))
            copied = Counter() if again else copied + known
            for file, (digest, unreadable) in zip(files, zip(files.values(), lost, strict=True), strict=True):
                note(db, file, digest, unreadable)
            if copied:
                db.executemany("INSERT INTO copies VALUES (?, ?)", list(copied.items()))
    return Taken(messages=counted, copies=copied.total(), unreadable=sum(lost), logs=len(files))


def note(db: duckdb.DuckDBPyConnection, file: LogFile, sha256: str, unreadable: int) -> None:
    """Remember that `file` was taken in; what an earlier reading of the same log could not read does not count any more."""
    db.execute("UPDATE logs SET unreadable = 0 WHERE stem = $stem AND unreadable > 0", {"stem": file.stem})
    db.execute(
        "INSERT INTO logs VALUES ($name, $stem, $bytes, $modified_ns, $sha256, $unreadable)",
        {
            "name": file.name,
            "stem": file.stem,
            "bytes": file.bytes,
            "modified_ns": file.modified_ns,
            "sha256": sha256,
            "unreadable": unreadable,
        },
    )


def _read(table: FeedbackTable, logs: Sequence[VerifiedLog]) -> list[int]:
    """Put the records of `logs` into the empty `table`; how many of each could not be read."""
    for _, alike in groupby(sorted(logs, key=_form), key=_form):
        table.add_all(list(alike))
    lost = [log.lost for log in logs]
    if lost:  # lines that an engine skipped in a whole frame: nobody knows in which log, so the last one answers for them
        lost[-1] += table.unreadable - sum(lost)
    return lost


def _form(log: VerifiedLog) -> tuple[str, tuple[str, ...]]:
    return (log.form or "", log.columns)


def _messages(table: FeedbackTable) -> tuple[pa.Table, Counter[int]]:
    """The messages in `table`, and how many copies of them were received in which hour."""
    with table.reading() as cursor:
        messages = cursor.sql(f"SELECT {', '.join(_COLUMNS)} FROM feedback").to_arrow_table()
        copied = cursor.execute(f"SELECT received_ms // {HOUR_MS}, count(*) FROM duplicate GROUP BY 1").fetchall()
    return messages, Counter(dict(copied))


def _count(db: duckdb.DuckDBPyConnection, messages: pa.Table, period_ms: int) -> tuple[int, Counter[int]]:
    """Add `messages`, each of them once, to the rollups; how many were new, and the hours of those that were not."""
    db.register("arrived", messages)
    _name_all(db)
    known = _leave_out_known(db)
    db.execute(f"INSERT INTO session_hour {SESSION_HOUR.of_messages('incoming', hour=_HOUR)}")
    db.execute(f"INSERT INTO seen {SEEN.of_messages('incoming', hour=_HOUR, block=f'seq // {BLOCK}')}")
    db.execute(f"INSERT INTO presence {PRESENCE.of_messages(_present(period_ms), hour='minute // 60')}")
    _add_minutes(db)
    db.execute(f"INSERT INTO unfolded SELECT DISTINCT {_HOUR} AS hour FROM incoming EXCEPT SELECT hour FROM unfolded")
    [(counted,)] = db.execute("SELECT count(*) FROM incoming").fetchall()
    db.execute("DROP TABLE incoming")
    db.unregister("arrived")
    return int(counted), known


_HOUR = f"(received_ms // {HOUR_MS})::INTEGER"


def _name_all(db: duckdb.DuckDBPyConnection) -> None:
    """The table `incoming`: what arrived, with numbers for the names of sessions, peers and slices."""
    for column, table in _NAMES.items():
        new = f"SELECT DISTINCT {column}_id AS name FROM arrived ANTI JOIN {table} ON {table}.name = arrived.{column}_id"
        db.execute(f"INSERT INTO {table} SELECT {_next_id(table)}, name FROM ({new})")
    slices = ", ".join(DIMENSIONS)
    new = f"SELECT DISTINCT {slices} FROM arrived EXCEPT SELECT {slices} FROM slices"
    db.execute(f"INSERT INTO slices SELECT {_next_id('slices')}, {slices} FROM ({new})")
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE incoming AS
        SELECT arrived.* EXCLUDE (session_id, peer_id), sessions.id AS session, peers.id AS peer, slices.id AS slice
        FROM arrived JOIN sessions ON sessions.name = session_id JOIN peers ON peers.name = peer_id JOIN slices USING ({slices})
    """)


def _next_id(table: str) -> str:
    return f"(SELECT coalesce(max(id), 0) FROM {table}) + row_number() OVER ()"


def _leave_out_known(db: duckdb.DuckDBPyConnection) -> Counter[int]:
    """Take out of `incoming` what was counted before; how many of each hour."""
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT DISTINCT incoming.rowid AS row, {_HOUR.replace("received_ms", "incoming.received_ms")} AS hour
        FROM incoming JOIN seen ON seen.session = incoming.session AND seen.block = incoming.seq // {BLOCK}
        WHERE (numbers >> (seq % {BLOCK})::UBIGINT) & 1::UBIGINT = 1
    """)
    known = Counter(dict(db.execute("SELECT hour, count(*) FROM known GROUP BY hour").fetchall()))
    if known:
        db.execute("DELETE FROM incoming WHERE rowid IN (SELECT row FROM known)")
    db.execute("DROP TABLE known")
    return known


def _present(period_ms: int) -> str:
    """SQL: a row for each end of a minute at which a message makes its peer present; `minute` is the one that ends."""
    reaches = -(-period_ms // MINUTE_MS)
    minute = f"((received_ms - 1) // {MINUTE_MS})::INTEGER + later"
    rows = f"SELECT slice, peer, weight, received_ms, {minute} AS minute FROM incoming, range({reaches}) AS minutes(later)"
    return f"(SELECT * FROM ({rows}) WHERE (minute + 1) * {MINUTE_MS} - received_ms < {period_ms})"


def _add_minutes(db: duckdb.DuckDBPyConnection) -> None:
    """The sums of each minute by each dimension, made of sums by slice."""
    sums = ", ".join(f"{column.of_messages} AS {column.name}" for column in MINUTE.columns)
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE minutes AS
        SELECT {_HOUR} AS hour, (received_ms // {MINUTE_MS})::INTEGER AS minute, weight, slice, {sums} FROM incoming GROUP BY ALL
    """)
    merged = ", ".join(f"{column.merged}" for column in MINUTE.columns)
    for dimension in ("", *DIMENSIONS):
        value = f"slices.{dimension}" if dimension else "''"
        db.execute(f"""
            INSERT INTO minute_sums SELECT hour, '{dimension}', {value}, minute, weight, {merged}
            FROM minutes JOIN slices ON slices.id = minutes.slice GROUP BY hour, {value}, minute, weight
        """)
    db.execute("DROP TABLE minutes")
