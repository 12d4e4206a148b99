"""Adds the messages of logs to the rollups, each message once. The sums and the note that a log was added are one transaction.

The table `seen` has a bit for each message, and keeps it as long as the history. If a message has copies in different logs, the
copy that was added first counts. Logs are added in the order of their time, so this is the copy that was received first, unless a
log arrives late. The number of messages is correct in both cases.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.continuous_uptime import continue_uptime
from feedback_analysis.history.counter_increases import add_increases
from feedback_analysis.history.log_file import LogFile, note
from feedback_analysis.history.new_names import bound_new_names
from feedback_analysis.history.schema import (
    BLOCK,
    DIMENSIONS,
    MEANS,
    MINUTE,
    PRESENCE,
    SCALED,
    SEEN,
    SESSION_HOUR,
)
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.messages.column_table import ColumnTable
from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, alike, open_if_readable
from feedback_analysis.reading.wrong_clocks import WrongClocks
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS

_NAMES = {"session": "sessions", "peer": "peers"}
_OWN = (
    *("received_ms", "weight", "session_id", "peer_id", "seq", "event"),
    *("uptime_ms", "startup_ms", "stall_count", "stall_ms", "played_ms"),
)
_COLUMNS = (*_OWN, *DIMENSIONS, *MEANS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedLogs:
    """The result of adding logs: the numbers of counted messages, of copies and conflicts that were left out, and so on.

    A conflict is another message with the number of a known one. `unread`: the logs of which nothing could be read. `passed_over`:
    files that look like logs and do not have the name of one. `other_names`: messages whose name was beyond the budget of a day.
    """

    messages: int = 0
    copies: int = 0
    conflicts: int = 0
    unreadable: int = 0
    logs: int = 0
    other_names: int = 0
    unread: tuple[UnreadLog, ...] = ()
    passed_over: tuple[Path, ...] = ()
    wrong_clocks: WrongClocks = field(default_factory=WrongClocks)

    def __add__(self, other: "AddedLogs") -> "AddedLogs":
        return AddedLogs(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


def add_logs(store: HistoryStore, files: Mapping[LogFile, str], locator: Locator, *, again: bool = False) -> AddedLogs:
    """Count the messages of `files`, given with their checksums.

    `again`: these logs were added before, in another form or incomplete; their known messages do not count as copies.
    """
    with ExitStack() as opened, closing(ColumnTable(locator, store.basis.mos, columns=_COLUMNS)) as table:
        found = {file: opened.enter_context(open_if_readable(file.path)) for file in files}
        logs = {file: log for file, log in found.items() if isinstance(log, VerifiedLog)}
        lost_of = _read(table, list(logs.values()))
        arrived = _arrived(table)
        unread = (*(log for log in found.values() if isinstance(log, UnreadLog)), *table.unread)
    lost = {file: lost_of[log.source] for file, log in logs.items() if log.source in lost_of}
    if not lost:
        return AddedLogs(unread=unread)
    with store.writing() as db:
        counted, known, renamed = _count(db, arrived, round(store.basis.period_s * 1000))
        left_out = {
            "copies": Counter() if again else arrived.copied + known,
            "conflicts": Counter() if again else arrived.conflicting,
        }
        note(db, {file: files[file] for file in lost}, lost)
        for name, by_hour in left_out.items():
            if by_hour:
                db.executemany(f"INSERT INTO {name} VALUES (?, ?)", list(by_hour.items()))
    return AddedLogs(
        messages=counted,
        copies=left_out["copies"].total(),
        conflicts=left_out["conflicts"].total(),
        unreadable=sum(lost.values()),
        logs=len(lost),
        other_names=renamed,
        unread=unread,
    )


def _read(table: ColumnTable, logs: Sequence[VerifiedLog]) -> dict[Path, int]:
    """Add the records of `logs` to the empty `table`; returns how many records of each log could not be read.

    A log that was removed meanwhile is not in the result, but in `table.unread`.
    """
    groups = list(alike(logs))
    for group in groups:
        table.add_all(group)
    if table.several():
        for group in groups:
            table.compare(group)
    table.settle()
    removed = {log.path for log in table.unread}
    lost = {log.source: log.lost for log in logs if log.source not in removed}
    if lost:  # DuckDB skipped lines in a sound frame and does not report the log: they count for the last one
        lost[list(lost)[-1]] += table.unreadable - sum(lost.values())
    return lost


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    """The messages of a batch, the slices to which their column `slice` refers, and the number of messages left out, by hour."""

    messages: pa.Table
    slices: pa.Table
    copied: Counter[int]
    conflicting: Counter[int]


def _arrived(table: ColumnTable) -> _Arrived:
    slices = ", ".join(DIMENSIONS)
    with table.reading() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE arrived AS SELECT row_number() OVER () AS slice, * FROM (SELECT DISTINCT {slices} FROM feedback)"
        )
        messages = cursor.sql(
            f"SELECT {', '.join(_OWN)}, {', '.join(MEANS)}, slice FROM feedback JOIN temp.arrived USING ({slices})"
        ).to_arrow_table()
        return _Arrived(
            messages=messages,
            slices=cursor.sql("FROM temp.arrived").to_arrow_table(),
            copied=_left_out_by_hour(cursor, "NOT conflict"),
            conflicting=_left_out_by_hour(cursor, "conflict"),
        )


def _left_out_by_hour(cursor: duckdb.DuckDBPyConnection, which: str) -> Counter[int]:
    sql = f"SELECT received_ms // {HOUR_MS}, count(*) FROM duplicate WHERE {which} GROUP BY 1"
    return Counter(dict(cursor.execute(sql).fetchall()))


def _count(db: duckdb.DuckDBPyConnection, arrived: _Arrived, period_ms: int) -> tuple[int, Counter[int], int]:
    """Add each message of `arrived` once to the rollups.

    Returns how many messages were new, how many were known by hour, and how many names were replaced by `(other)`.
    """
    db.register("arrived", arrived.messages)
    db.register("arrived_slices", arrived.slices)
    renamed = _name_all(db)
    known = _leave_out_known(db)
    continue_uptime(db)
    add_increases(db)
    db.execute(f"INSERT INTO session_hour BY NAME {SESSION_HOUR.of_messages('incoming')}")
    db.execute(f"INSERT INTO seen {SEEN.of_messages('incoming', block=f'seq // {BLOCK}')}")
    db.execute(f"CREATE OR REPLACE TEMP TABLE attended AS {PRESENCE.of_messages(_present(period_ms), hour='minute // 60')}")
    db.execute("INSERT INTO presence FROM attended")
    _add_minutes(db)
    db.execute("INSERT INTO unfolded (SELECT hour FROM incoming UNION SELECT hour FROM attended) EXCEPT SELECT hour FROM unfolded")
    [(counted,)] = db.execute("SELECT count(*) FROM incoming").fetchall()
    for name in ("incoming", "attended", "arrived_named"):
        db.execute(f"DROP TABLE {name}")
    for name in ("arrived", "arrived_slices"):
        db.unregister(name)
    return int(counted), known, renamed


def _name_all(db: duckdb.DuckDBPyConnection) -> int:
    """Create the table `incoming`: the arrived messages, with numbers instead of the names of sessions, peers and slices.

    Returns how many names were replaced by `(other)`.
    """
    for column, table in _NAMES.items():
        new = f"SELECT DISTINCT {column}_id AS name FROM arrived ANTI JOIN {table} ON {table}.name = arrived.{column}_id"
        db.execute(f"INSERT INTO {table} SELECT {_next_id(table)}, name FROM ({new})")
    slices = ", ".join(DIMENSIONS)
    db.execute("CREATE OR REPLACE TEMP TABLE arrived_named AS FROM arrived_slices")
    renamed = bound_new_names(db)
    new = f"SELECT DISTINCT {slices} FROM arrived_named ANTI JOIN slices USING ({slices})"
    db.execute(f"INSERT INTO slices SELECT {_next_id('slices')}, {slices} FROM ({new})")
    numbers = f"SELECT arrived_named.slice, slices.id FROM arrived_named JOIN slices USING ({slices})"
    scaled = ", ".join(f"{value} AS {name}" for name, value in SCALED.items())
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE incoming AS
        SELECT {", ".join(name for name in _OWN if not name.endswith("_id"))}, {", ".join(MEANS)}, {scaled},
               sessions.id AS session, peers.id AS peer, numbers.id AS slice,
               (received_ms // {HOUR_MS})::INTEGER AS hour, (received_ms // {MINUTE_MS})::INTEGER AS minute
        FROM arrived JOIN sessions ON sessions.name = session_id JOIN peers ON peers.name = peer_id
        JOIN ({numbers}) AS numbers ON numbers.slice = arrived.slice
    """)
    return renamed


def _next_id(table: str) -> str:
    return f"(SELECT coalesce(max(id), 0) FROM {table}) + row_number() OVER ()"


def _leave_out_known(db: duckdb.DuckDBPyConnection) -> Counter[int]:
    """Delete from `incoming` the messages that were counted before; returns how many, by hour."""
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT DISTINCT incoming.rowid AS row, incoming.hour
        FROM incoming JOIN seen ON seen.session = incoming.session AND seen.block = incoming.seq // {BLOCK}
        WHERE (numbers >> (seq % {BLOCK})::UBIGINT) & 1::UBIGINT = 1
    """)
    known = Counter(dict(db.execute("SELECT hour, count(*) FROM known GROUP BY hour").fetchall()))
    if known:
        db.execute("DELETE FROM incoming WHERE rowid IN (SELECT row FROM known)")
    db.execute("DROP TABLE known")
    return known


def _present(period_ms: int) -> str:
    """SQL: a row for each end of a minute at which a message makes its peer present; `minute` is the minute that ends."""
    reaches = -(-period_ms // MINUTE_MS)
    minute = f"((received_ms - 1) // {MINUTE_MS})::INTEGER + later"
    rows = f"SELECT slice, peer, weight, received_ms, {minute} AS minute FROM incoming, range({reaches}) AS minutes(later)"
    return f"(SELECT * FROM ({rows}) WHERE (minute + 1) * {MINUTE_MS} - received_ms < {period_ms})"


def _add_minutes(db: duckdb.DuckDBPyConnection) -> None:
    """Add the sums of each minute, for all messages and by each dimension."""
    sums = ", ".join(f"{column.of_messages} AS {column.name}" for column in MINUTE.columns)
    for dimension in ("", *DIMENSIONS):
        value, joined = (f"slices.{dimension}", "JOIN slices ON slices.id = slice") if dimension else ("''", "")
        db.execute(f"""
            INSERT INTO minute_sums BY NAME SELECT hour, '{dimension}' AS dimension, {value} AS value, minute, weight, {sums}
            FROM incoming {joined} GROUP BY hour, {value}, minute, weight
        """)
