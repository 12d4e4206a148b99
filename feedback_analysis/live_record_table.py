"""The table of records of a running platform. Its memory is limited: if there are too many records, the oldest are dropped.

The logs on disk keep them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from feedback_analysis.duckdb_database import table_bytes
from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_analysis.record_table import AddedRecords, RecordTable
from feedback_analysis.time_units import FOREVER_MS
from feedback_wire.kinds import RecordKind

log = logging.getLogger(__name__)

MOST_RECORDS = 200_000
"""A day of 140 operations per minute."""

MOST_IDENTITIES = 2_000_000
"""16 bytes each."""

# Records of 2 kB uncompressed: compressing them takes a moment, so it is not done at every addition.
_COMPRESSED_EVERY = 20_000

# The share that is kept when the table is full. Dropping takes time, so it must not happen at every addition.
_KEPT = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBounds:
    """The limits of a live table: its rows, and the memory of rows and queries. Rows take at most half of it."""

    memory_mib: int
    records: int = MOST_RECORDS
    identities: int = MOST_IDENTITIES


class LiveRecordTable(RecordTable):
    """A table of records whose size is limited, for a process that runs for months."""

    def __init__(self, kind: RecordKind, bounds: RecordBounds) -> None:
        super().__init__(kind)
        self._bounds = bounds
        self._uncompressed = 0
        self.dropped = 0
        """Records that were dropped early because there were too many."""
        self.begins_ms = 0
        """Records that were received earlier (Unix ms) may be missing."""
        self._root.execute("SET threads = 1")  # the table is small, and the other cores are for feedback
        self._root.execute(f"SET memory_limit = '{bounds.memory_mib}MiB'")

    def add(self, logs: Sequence[VerifiedLog]) -> AddedRecords:
        """Add logs as to any table, then drop the oldest records if the table is full."""
        with self._writing:
            added = super().add(logs)
            self._uncompressed += added.records
            if self._uncompressed >= _COMPRESSED_EVERY or self._is_full():
                self._compress()
            if self.rows > self._bounds.records or self._is_full():
                self._drop_oldest()
            return added

    def drop_before(self, received_ms: int, *, and_from_ms: int = FOREVER_MS, forget_before_ms: int | None = None) -> int:
        with self._writing:
            dropped = super().drop_before(received_ms, and_from_ms=and_from_ms, forget_before_ms=forget_before_ms)
            self.begins_ms = min(self.begins_ms, and_from_ms)  # later if the table was full at a wrong date
            self._limit_identities()
            return dropped

    def memory_bytes(self) -> int:
        """The memory of the tables now, without the memory of running queries."""
        with self.reading() as cursor:
            return table_bytes(cursor)

    def _refuse(self, log: VerifiedLog, error: duckdb.Error) -> AddedRecords:
        if isinstance(error, duckdb.OutOfMemoryException) and self.rows:
            self._drop_oldest()
            return self._add([log])
        return super()._refuse(log, error)

    def _is_full(self) -> bool:
        return self.memory_bytes() > self._bounds.memory_mib * 2**20 // 2

    def _compress(self) -> None:
        try:
            self.db.execute("CHECKPOINT store")
        except duckdb.TransactionException:
            return  # fails while others read; the next addition tries again
        self._uncompressed = 0

    def _drop_oldest(self) -> None:
        keep = int(min(self.rows, self._bounds.records) * _KEPT)
        [(begins_ms,)] = self.db.execute(
            f"SELECT coalesce(max(received_ms) + 1, 0) FROM "
            f"(SELECT received_ms FROM {self.kind} ORDER BY received_ms DESC OFFSET {keep})"
        ).fetchall()
        dropped = self.drop_before(int(begins_ms))
        self.begins_ms = max(self.begins_ms, int(begins_ms))
        self.dropped += dropped
        self._compress()
        log.warning(
            "%d %s records were dropped from memory early, because there are too many; the logs keep them", dropped, self.kind
        )

    def _limit_identities(self) -> None:
        """Drop the oldest identities above the limit. Copies of these records count as new."""
        excess = self._count("known") - self._bounds.identities
        if excess > 0:
            last = "SELECT received_ms FROM known ORDER BY received_ms LIMIT 1 OFFSET $excess"
            self.db.execute(f"DELETE FROM known WHERE received_ms <= ({last})", {"excess": excess - 1})
