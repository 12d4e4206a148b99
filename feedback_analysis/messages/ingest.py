"""Adds logs to the table in steps: stage, leave out copies, locate, score, store. Each step is one statement over all rows.

Copies are rare. Without copies, only the check for them takes time.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import duckdb

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import UNKNOWN
from feedback_analysis.messages.duplicates import CONTENT, DUPLICATE, RANK, canonical, ranked_copies
from feedback_analysis.messages.outside import OUTSIDE, SESSION
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.rows import READABLE, SQL_TYPES, rows_sql, unreadable_sql
from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_wire.record import NAMED_FIELDS

_FIELDS = ", ".join(f"{field.name} {SQL_TYPES[field.kind]}" for field in NAMED_FIELDS)
SCHEMA = f"""
    CREATE TABLE feedback (
        {_FIELDS}, extra JSON, country VARCHAR, area VARCHAR, district VARCHAR, mos DOUBLE, shown_ms BIGINT, content UBIGINT
    );
    {DUPLICATE};
    {OUTSIDE};
    CREATE TABLE location (ip VARCHAR, country VARCHAR, area VARCHAR, district VARCHAR, located_isp VARCHAR);
    CREATE TEMP TABLE incoming ({_FIELDS}, extra JSON, content UBIGINT);
"""

LOCATED = frozenset({"isp", "country", "area", "district"})
"""The columns that depend on the location of an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """How many records of a log were new, duplicates, conflicts (another message under a known number), or unreadable."""

    records: int
    duplicates: int
    unreadable: int
    conflicts: int = 0
    reasons: Counter[str] = field(default_factory=Counter, compare=False)
    """The number of unreadable records by reason, as far as it is known; see `unreadable_sql`."""

    def __add__(self, other: "Added") -> "Added":
        return Added(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


def ingest(
    db: duckdb.DuckDBPyConnection,
    logs: Sequence[VerifiedLog],
    locator: Locator,
    mos: MosModel,
    shown_ms: int | None,
    *,
    limit: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
    only: str = "",
) -> Added:
    """Add the records of `logs` (one form, same columns, one clock) to the table within the caller's transaction.

    `limit` may rewrite names in `incoming` before they are stored. `only`: the name of a table of `(session_id, seq)`; the other
    records are skipped, and nothing is counted as unreadable.
    """
    staged = _stage(db, [log for log in logs if log.records != 0], only)
    if logs and logs[0].ahead_ms:
        db.execute("UPDATE incoming SET received_ms = greatest(0, received_ms - $ahead)", {"ahead": logs[0].ahead_ms})
    reasons = _leave_out_unreadable(db)
    readable = staged - reasons.total()
    left_out = _leave_out_copies_within(db) + _leave_out_copies_of_known(db) + _leave_out_copies_of_others(db)
    _locate_new_addresses(db, locator)
    if limit is not None:
        limit(db)
    _store(db, mos, shown_ms)
    added = Added(records=readable, duplicates=0, unreadable=0) + left_out
    if only:
        return added
    # DuckDB does not report the lines that it skips, so the frame headers give the number of records. Bare JSON lines have none.
    records = staged if any(log.records is None for log in logs) else sum(log.records or 0 for log in logs)
    lost = max(0, records - readable) + sum(log.lost for log in logs)
    return added + Added(records=0, duplicates=0, unreadable=lost, reasons=reasons)


def _stage(db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog], only: str) -> int:
    if not logs:
        return 0
    rows, parameters = rows_sql(logs)
    chosen = f"SEMI JOIN {only} USING (session_id, seq)" if only else ""
    return _changed(db.execute(f"INSERT INTO incoming SELECT *, {CONTENT} FROM ({rows}) {chosen}", parameters))


def _leave_out_unreadable(db: duckdb.DuckDBPyConnection) -> Counter[str]:
    """Delete unreadable rows from `incoming`; returns how many, by reason."""
    reasons = Counter(dict(db.execute(unreadable_sql("incoming")).fetchall()))
    if reasons:
        db.execute(f"DELETE FROM incoming WHERE NOT ({READABLE})")
    return reasons


def _leave_out_copies_within(db: duckdb.DuckDBPyConnection) -> Added:
    if one(db.execute("SELECT count(*) = (SELECT count(*) FROM (SELECT 1 FROM incoming GROUP BY session_id, seq)) FROM incoming")):
        return _NOTHING
    several = f"""(
        SELECT incoming.rowid AS row, session_id, seq, {", ".join(RANK)}, content, {canonical()} AS canonical,
               sent_ms AS sent FROM incoming
        SEMI JOIN (SELECT session_id, seq FROM incoming GROUP BY ALL HAVING count(*) > 1) AS several USING (session_id, seq)
    )"""
    db.execute(f"CREATE OR REPLACE TEMP TABLE copies AS FROM ({ranked_copies(several)}) WHERE place > 1")
    return _leave_out(db)


def _leave_out_copies_of_known(db: duckdb.DuckDBPyConnection) -> Added:
    order = (*RANK, "content", "sent_ms")
    earlier = " < ".join(f"({', '.join(f'{side}.{name}' for name in order)})" for side in ("incoming", "feedback"))
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT *, conflicting AND canonical <> known_canonical AS conflict FROM (
            SELECT incoming.rowid AS row, feedback.rowid AS known_row, session_id, seq, incoming.received_ms,
                   {canonical("incoming.")} AS canonical, feedback.received_ms AS known_ms,
                   {canonical("feedback.")} AS known_canonical, {earlier} AS earlier,
                   incoming.content <> feedback.content AS conflicting
            FROM incoming JOIN feedback USING (session_id, seq)
        )
    """)
    if one(db.execute("SELECT count(*) FROM known")) == 0:
        return _NOTHING
    # A copy that was received earlier replaces the known one; the other copies are then compared with it.
    db.execute("""
        UPDATE duplicate SET conflict = duplicate.content <> known.canonical FROM known
        WHERE earlier AND known.session_id = duplicate.session_id AND known.seq = duplicate.seq
    """)
    # Otherwise, copies among the new records, which were compared with each other, are compared with the known one.
    changed = db.execute("""
        UPDATE duplicate SET conflict = NOT duplicate.conflict FROM known
        WHERE NOT earlier AND known.session_id = duplicate.session_id AND known.seq = duplicate.seq
            AND duplicate.conflict <> (duplicate.content <> known.known_canonical)
        RETURNING duplicate.conflict
    """).fetchall()
    more = sum(1 if conflict else -1 for (conflict,) in changed)
    db.execute("INSERT INTO duplicate SELECT session_id, seq, known_ms, known_canonical, conflict FROM known WHERE earlier")
    [(replaced, conflicts)] = db.execute("SELECT count(*), count(*) FILTER (WHERE conflict) FROM known WHERE earlier").fetchall()
    db.execute("DELETE FROM feedback WHERE rowid IN (SELECT known_row FROM known WHERE earlier)")
    db.execute("CREATE OR REPLACE TEMP TABLE copies AS FROM known WHERE NOT earlier")
    compared = Added(records=0, duplicates=-more, conflicts=more, unreadable=0)
    return _left_out(replaced, conflicts) + _leave_out(db) + compared


def _leave_out_copies_of_others(db: duckdb.DuckDBPyConnection) -> Added:
    """Leave out copies of counted messages that are no longer in the table; their content is not known."""
    if one(db.execute("SELECT count(*) FROM outside")) == 0:
        return _NOTHING
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE copies AS
        SELECT incoming.rowid AS row, session_id, seq, received_ms, {canonical()} AS canonical, false AS conflict
        FROM incoming JOIN outside ON session = {SESSION} WHERE seq BETWEEN low AND high
    """)
    return _leave_out(db)


def _leave_out(db: duckdb.DuckDBPyConnection) -> Added:
    """Move the rows listed in `copies` from `incoming` to `duplicate`."""
    db.execute("INSERT INTO duplicate SELECT session_id, seq, received_ms, canonical, conflict FROM copies")
    [(rows, conflicts)] = db.execute("SELECT count(*), count(*) FILTER (WHERE conflict) FROM copies").fetchall()
    db.execute("DELETE FROM incoming WHERE rowid IN (SELECT row FROM copies)")
    return _left_out(rows, conflicts)


_NOTHING = Added(records=0, duplicates=0, unreadable=0)


def _left_out(rows: int, conflicts: int) -> Added:
    return Added(records=-rows, duplicates=rows - conflicts, conflicts=conflicts, unreadable=0)


def _locate_new_addresses(db: duckdb.DuckDBPyConnection, locator: Locator) -> None:
    locate_addresses(db, "SELECT DISTINCT ip FROM incoming ANTI JOIN location USING (ip)", locator)


def locate_addresses(db: duckdb.DuckDBPyConnection, addresses: str, locator: Locator) -> None:
    """Add the location of each of `addresses` (a SELECT of them) to the table `location`."""
    found = [(ip, locator.locate(ip)) for (ip,) in db.execute(addresses).fetchall()]
    if found:
        columns = zip(*((ip, each.country, each.area, each.district, each.isp) for ip, each in found), strict=True)
        db.execute(
            "INSERT INTO location SELECT unnest($ip), unnest($country), unnest($area), unnest($district), unnest($isp)",
            dict(zip(("ip", "country", "area", "district", "isp"), map(list, columns), strict=True)),
        )


def missing_text() -> dict[str, str]:
    """SQL of the columns that are "unknown" where a record lacks them; `located_isp` is the ISP of the address."""
    texts = {name: f"coalesce({name}, '{UNKNOWN}')" for name in ("channel", "app", "platform")}
    return texts | {"isp": f"coalesce(isp, located_isp, '{UNKNOWN}')"}


def _store(db: duckdb.DuckDBPyConnection, mos: MosModel, shown_ms: int | None) -> None:
    texts = missing_text()
    fields = ", ".join(texts.get(field.name, field.name) for field in NAMED_FIELDS)
    db.execute(
        f"""
        INSERT INTO feedback
        SELECT {fields}, extra, country, area, district, {mos.sql()}, $shown, content FROM incoming JOIN location USING (ip)
        """,
        {"shown": shown_ms},
    )
    db.execute("DELETE FROM incoming")


def _changed(result: duckdb.DuckDBPyConnection) -> int:
    """The number of rows that the statement wrote or deleted."""
    return one(result)


def one(result: duckdb.DuckDBPyConnection) -> int:
    """The whole number that a statement returns."""
    row = result.fetchone()
    return int(row[0]) if row else 0
