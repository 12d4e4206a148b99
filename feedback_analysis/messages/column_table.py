"""A table of recorded logs for one query. It has only the needed columns, and looks for copies once, after everything is read.

Its numbers equal those of a complete table in every digit. Missing texts, locations and scores are computed by the view `feedback`
when a measure reads them, so that no row is copied.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import duckdb

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import EXTRA, UNKNOWN
from feedback_analysis.messages.duplicates import CONTENT, DUPLICATE, RANK, canonical, ranked_copies
from feedback_analysis.messages.ingest import LOCATED, Added, locate_addresses, missing_text, one
from feedback_analysis.messages.outside import OUTSIDE
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import Models
from feedback_analysis.quality.model import Model
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.rows import SQL_TYPES, readable_rows_sql, rows_sql, unreadable_sql
from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_wire.record import NAMED_FIELDS

# Identity and rank of a message, and the columns of every summary.
_ALWAYS = frozenset({*RANK, "weight", "peer_id", "session_id", "seq", "uptime_ms", "startup_ms"})
_RATES = frozenset({"upload_kbps", "download_kbps", "playback_kbps", "continuity", "p2p_ratio"})
_VIEWING = frozenset({"event", "stall_count", "stall_ms", "played_ms"})
SUMMARIZED = _ALWAYS | _RATES | _VIEWING
"""The columns that a summary reads."""

# An uncompressed row has about 230 bytes: half a gigabyte, then the table is compressed.
_COMPRESSED_EVERY = 2_000_000

# A group takes some 100 bytes. Looking for copies in parts limits that to 200 MB for any number of records.
_COMPARED_AT_ONCE = 2_000_000


def columns_for(names: Iterable[str], models: Iterable[Model] = ()) -> frozenset[str]:
    """The columns to keep for a summary that filters and groups by `names`, and for the scores of `models`."""
    return SUMMARIZED.union(*(model.columns for model in models), ("extra" if name.startswith(EXTRA) else name for name in names))


class ColumnTable(FeedbackTable):
    """A table with three phases: logs are added, then it is settled, then measures that need only `columns` read it."""

    compressed_every = _COMPRESSED_EVERY
    _rows = "message"
    _whole = False

    def __init__(self, locator: Locator, mos: MosModel, *, models: Models | None = None, columns: Collection[str]) -> None:
        self._fields = [field for field in NAMED_FIELDS if field.name in _ALWAYS.union(columns)]
        self._extra = "extra" in columns
        self._located = not LOCATED.isdisjoint(columns)
        super().__init__(locator, mos, models=models)

    def several(self) -> list[int]:
        """The times (Unix ms, in order) at which records with equal identities were received; usually none.

        The contents of these records have to be compared before the table is settled: call `compare` for every log that may have
        one of them.
        """
        with self.changing() as db:
            return _several(db)

    def compare(self, logs: Sequence[VerifiedLog]) -> None:
        """Read from `logs` (one form, same columns, read before) the contents of the records that share their identity."""
        columns = ", ".join(self._columns)

        def read(db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog]) -> None:
            rows, parameters = readable_rows_sql(logs)
            db.execute(
                f"INSERT INTO again SELECT {columns}, content, {canonical()}, sent_ms FROM ("
                f"SELECT *, {CONTENT} AS content FROM ({rows}) SEMI JOIN several USING (session_id, seq))",
                parameters,
            )

        logs = [log for log in logs if log.records != 0]
        if logs:
            with self._writing:
                # A log that DuckDB cannot read was noted when it was added.
                self._read(logs, read, lambda _log, _error: None)
                self._version += 1

    def compared(self) -> bool:
        """Whether all contents that have to be compared were read."""
        with self.changing() as db:
            return one(db.execute("SELECT coalesce(sum(copies), 0) FROM several")) <= one(db.execute("SELECT count(*) FROM again"))

    def settle(self) -> int:
        """Leave out the copies of messages and locate the addresses; returns the number of copies. Call it once, at the end."""
        with self.changing() as db:
            copies = _leave_out_copies(db) if one(db.execute("SELECT count(*) FROM several")) else 0
            if self._located:
                locate_addresses(db, "SELECT DISTINCT ip FROM message", self.locator)
            db.execute(f"CREATE VIEW feedback AS {self._view()}")
        return copies

    @property
    def _columns(self) -> list[str]:
        return [field.name for field in self._fields] + ["extra"] * self._extra

    def _schema(self) -> str:
        types = [f"{field.name} {SQL_TYPES[field.kind]}" for field in self._fields] + ["extra JSON"] * self._extra
        return f"""
            CREATE TABLE message ({", ".join(types)});
            CREATE TEMP TABLE again ({", ".join(types)}, content UBIGINT, canonical UBIGINT, sent BIGINT);
            CREATE TEMP TABLE several (session_id VARCHAR, seq BIGINT, copies BIGINT);
            {DUPLICATE};
            {OUTSIDE};
            CREATE TABLE location (ip VARCHAR, country VARCHAR, area VARCHAR, district VARCHAR, located_isp VARCHAR);
        """

    def _add_rows(self, db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog], shown_ms: int | None, only: str = "") -> Added:
        lost = sum(log.lost for log in logs)
        logs = [log for log in logs if log.records != 0]
        if not logs:
            return Added(records=0, duplicates=0, unreadable=lost)
        readable, parameters = readable_rows_sql(logs, self._columns)
        if only:
            readable = f"SELECT * FROM ({readable}) SEMI JOIN {only} USING (session_id, seq)"
        kept = one(db.execute(f"INSERT INTO message BY NAME {readable}", parameters))
        if only:
            return Added(records=kept, duplicates=0, unreadable=0)
        # Frame headers state the number of records. Bare JSON lines have no headers and are read again to be counted.
        bare = any(log.records is None for log in logs)
        rows = f"({rows_sql(logs, self._columns)[0]})"
        records = one(db.execute(f"SELECT count(*) FROM {rows}", parameters)) if bare else sum(log.records or 0 for log in logs)
        reasons = Counter(dict(db.execute(unreadable_sql(rows), parameters).fetchall())) if records > kept else Counter()
        return Added(records=kept, duplicates=0, unreadable=max(0, records - kept) + lost, reasons=reasons)

    def _view(self) -> str:
        texts = missing_text() if self._located else missing_text() | {"isp": f"coalesce(isp, '{UNKNOWN}')"}
        columns = [f"{texts[field.name]} AS {field.name}" if field.name in texts else field.name for field in self._fields]
        names = {field.name for field in self._fields}
        scored = [f"{self.mos.sql()} AS mos"] if {"playback_kbps", "continuity"} <= names else []
        placed = ["country", "area", "district"] if self._located else []
        chosen = ", ".join([*columns, *(["extra"] * self._extra), *placed, *scored])
        return f"SELECT {chosen} FROM message {'JOIN location USING (ip)' if self._located else ''}"


def _several(db: duckdb.DuckDBPyConnection) -> list[int]:
    """Fill the table `several`; returns when its records were received."""
    rows = one(db.execute("SELECT count(*) FROM message"))
    parts = rows // _COMPARED_AT_ONCE + 1
    for part in range(parts):
        _note_several(db, f"hash(session_id) % {parts} = {part}" if parts > 1 else "true")
    if not one(db.execute("SELECT count(*) FROM several")):
        return []
    found = db.execute("SELECT DISTINCT received_ms FROM message SEMI JOIN several USING (session_id, seq) ORDER BY received_ms")
    return [received_ms for (received_ms,) in found.fetchall()]


def _note_several(db: duckdb.DuckDBPyConnection, within: str) -> None:
    # One bit for each number of a session, in blocks of 64. With fewer bits than messages, a number occurs twice, or the hashes of
    # two sessions are equal, so the messages are compared.
    blocks = f"""
        SELECT count(*) AS messages, bit_count(bit_or(1::UBIGINT << (seq & 63)::UBIGINT)) AS numbers
        FROM message WHERE {within} GROUP BY hash(session_id), seq >> 6
    """
    if one(db.execute(f"SELECT count(*) FROM ({blocks}) WHERE messages > numbers")):
        db.execute(
            f"INSERT INTO several SELECT session_id, seq, count(*) FROM message WHERE {within} "
            "GROUP BY session_id, seq HAVING count(*) > 1"
        )


def _leave_out_copies(db: duckdb.DuckDBPyConnection) -> int:
    """Keep only the copy that counts of each message in `several`."""
    # Records that could not be read again, because their log was removed, are ranked without their content.
    gone = "SELECT session_id, seq FROM several ANTI JOIN (SELECT session_id, seq FROM again) AS read USING (session_id, seq)"
    db.execute(f"INSERT INTO again BY NAME SELECT * FROM message SEMI JOIN ({gone}) AS gone USING (session_id, seq)")
    db.execute(f"CREATE OR REPLACE TEMP TABLE copies AS {ranked_copies('again')}")
    db.execute("DELETE FROM message WHERE (session_id, seq) IN (SELECT (session_id, seq) FROM several)")
    db.execute(
        "INSERT INTO message BY NAME SELECT * EXCLUDE (content, canonical, sent, place, conflict) FROM copies WHERE place = 1"
    )
    copies = "SELECT session_id, seq, received_ms, canonical, conflict FROM copies WHERE place > 1"
    left_out = one(db.execute(f"INSERT INTO duplicate {copies}"))
    for table in ("copies", "again", "several"):
        db.execute(f"DROP TABLE {table}")
    return left_out
