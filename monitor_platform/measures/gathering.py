"""Recorded logs for one question: only the columns that it needs are kept, and copies are looked for once, when all is read.

The numbers are those of a whole table, to the last digit; what is spared is writing down what nobody asks for. Missing text,
places and scores are worked out by the view `feedback` when a measure reads them, so no row is ever copied.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import duckdb

from monitor_platform.geo.locator import Locator
from monitor_platform.measures.intake import PLACED, RANK, Added, missing_text, one, place_addresses
from monitor_platform.measures.mos import MosModel
from monitor_platform.measures.quality.catalogue import Models
from monitor_platform.measures.quality.model import Model
from monitor_platform.measures.selection import EXTRA, UNKNOWN
from monitor_platform.measures.table import FeedbackTable
from monitor_platform.reading.rows import ROW_FIELDS, SQL_TYPES, readable_rows_sql, rows_sql, unreadable_sql
from monitor_platform.reading.verified_log import VerifiedLog

# Identity and rank of a message, and what every summary asks of it.
_ALWAYS = frozenset({*RANK, "weight", "peer_id", "session_id", "seq", "uptime_ms", "startup_ms"})
_RATES = frozenset({"upload_kbps", "download_kbps", "playback_kbps", "continuity"})
SUMMARIZED = _ALWAYS | _RATES
"""The columns that a summary reads."""

# About 230 bytes a row as it comes in: half a gigabyte, then it is compressed.
_COMPRESSED_EVERY = 2_000_000

# A group takes some 100 bytes; looking for copies in parts keeps that below 200 MB whatever there is to read.
_COMPARED_AT_ONCE = 2_000_000


def columns_for(names: Iterable[str], models: Iterable[Model] = ()) -> frozenset[str]:
    """The columns to keep for a summary that filters and groups by `names`, and for the scores of `models`."""
    return SUMMARIZED.union(*(model.columns for model in models), ("extra" if name.startswith(EXTRA) else name for name in names))


class Gathering(FeedbackTable):
    """A table that only grows, then is settled, then is read: by measures that need no more than `columns`."""

    compressed_every = _COMPRESSED_EVERY

    def __init__(self, locator: Locator, mos: MosModel, *, models: Models | None = None, columns: Collection[str]) -> None:
        self._fields = [field for field in ROW_FIELDS if field.name in _ALWAYS.union(columns)]
        self._extra = "extra" in columns
        self._placed = not PLACED.isdisjoint(columns)
        super().__init__(locator, mos, models=models)

    def settle(self) -> int:
        """Leave out the copies of messages and place the addresses; how many copies there were. To be called once, at the end."""
        with self.changing() as db:
            copies = _leave_out_copies(db)
            if self._placed:
                place_addresses(db, "SELECT DISTINCT ip FROM message", self.locator)
            db.execute(f"CREATE VIEW feedback AS {self._view()}")
        return copies

    def _schema(self) -> str:
        types = [f"{field.name} {SQL_TYPES[field.kind]}" for field in self._fields] + ["extra JSON"] * self._extra
        return f"""
            CREATE TABLE message ({", ".join(types)});
            CREATE TABLE duplicate (received_ms BIGINT);
            CREATE TABLE place (ip VARCHAR, country VARCHAR, area VARCHAR, district VARCHAR, located_isp VARCHAR);
        """

    def _intake(self, db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog], shown_ms: int | None) -> Added:
        lost = sum(log.lost for log in logs)
        logs = [log for log in logs if log.records != 0]
        if not logs:
            return Added(records=0, duplicates=0, unreadable=lost)
        columns = [field.name for field in self._fields] + ["extra"] * self._extra
        readable, parameters = readable_rows_sql(logs, columns)
        kept = one(db.execute(f"INSERT INTO message BY NAME {readable}", parameters))
        # Headers say how many records there are. Bare JSON lines have no headers: they are read once more to be counted.
        bare = any(log.records is None for log in logs)
        rows = f"({rows_sql(logs, columns)[0]})"
        records = one(db.execute(f"SELECT count(*) FROM {rows}", parameters)) if bare else sum(log.records or 0 for log in logs)
        reasons = Counter(dict(db.execute(unreadable_sql(rows), parameters).fetchall())) if records > kept else Counter()
        return Added(records=kept, duplicates=0, unreadable=max(0, records - kept) + lost, reasons=reasons)

    def _view(self) -> str:
        said = missing_text() if self._placed else missing_text() | {"isp": f"coalesce(isp, '{UNKNOWN}')"}
        columns = [f"{said[field.name]} AS {field.name}" if field.name in said else field.name for field in self._fields]
        names = {field.name for field in self._fields}
        scored = [f"{self.mos.sql()} AS mos"] if {"playback_kbps", "continuity"} <= names else []
        placed = ["country", "area", "district"] if self._placed else []
        chosen = ", ".join([*columns, *(["extra"] * self._extra), *placed, *scored])
        return f"SELECT {chosen} FROM message {'JOIN place USING (ip)' if self._placed else ''}"


def _leave_out_copies(db: duckdb.DuckDBPyConnection) -> int:
    rows = one(db.execute("SELECT count(*) FROM message"))
    parts = rows // _COMPARED_AT_ONCE + 1
    return sum(_leave_out_part(db, parts, part) for part in range(parts))


def _leave_out_part(db: duckdb.DuckDBPyConnection, parts: int, part: int) -> int:
    within = f"hash(session_id) % {parts} = {part}" if parts > 1 else "true"
    # Different hashes are different messages, and cheap to count; the same hash may be two messages, so then one looks closely.
    if one(db.execute(f"SELECT count(*) = count(DISTINCT hash(session_id, seq)) FROM message WHERE {within}")):
        return 0
    several = f"SELECT session_id, seq FROM message WHERE {within} GROUP BY ALL HAVING count(*) > 1"
    db.execute(f"CREATE OR REPLACE TEMP TABLE several AS {several}")
    if one(db.execute("SELECT count(*) FROM several")) == 0:
        return 0
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE copies AS
        SELECT message.rowid AS row, received_ms FROM message SEMI JOIN several USING (session_id, seq)
        QUALIFY row_number() OVER (PARTITION BY session_id, seq ORDER BY {", ".join(RANK)}, message.rowid) > 1
    """)
    db.execute("INSERT INTO duplicate SELECT received_ms FROM copies")
    return one(db.execute("DELETE FROM message WHERE rowid IN (SELECT row FROM copies)"))
