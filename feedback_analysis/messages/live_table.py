"""The table of a running platform. Its memory is limited, for any messages that end hosts send.

Names beyond the budgets are stored as `(other)`. If there are too many messages, the oldest minutes are dropped. The logs on disk
keep them, and queries about the time before `begins_ms` are answered from the logs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import duckdb

from feedback_analysis.duckdb_database import table_bytes
from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import REPORTING_PERIOD_S
from feedback_analysis.messages.budgets import Budgets
from feedback_analysis.messages.ingest import Added, ingest
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import Models
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_analysis.time_units import FOREVER_MS, MINUTE_MS

log = logging.getLogger(__name__)

MOST_ROWS = 5_000_000
"""An hour of 40,000 viewers; 65 bytes each when compressed, with the names and `extra` that players usually send."""

MEMORY_MIB = 2_048
"""For messages (at most half of it), for the uncompressed rows of a new log, and for queries."""

_ONE_PIECE = 122_880
"""Rows that DuckDB never divides among cores. Its other threads would only take processor time from the queries."""

# The share that is kept when the table is full. Dropping takes time, so it must not happen at every addition.
_KEPT = 0.75


class OutOfMemory(OSError):  # noqa: N818 - the name states the error
    """The table is unusable; the platform has to restart, and reads the logs back from the mirror."""


class _NoRoom(Exception):  # noqa: N818 - the caller makes room and tries again
    """A log did not fit into memory."""

    def __init__(self, cause: duckdb.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of a live table.

    `messages_mib` is well below `memory_mib`: DuckDB invalidates a table if it has no memory to compress it.
    """

    rows: int = MOST_ROWS
    memory_mib: int = MEMORY_MIB
    messages_mib: int = MEMORY_MIB // 2


class LiveTable(FeedbackTable):
    """A table of messages whose size is limited, for a process that runs for months."""

    def __init__(
        self,
        locator: Locator,
        mos: MosModel,
        *,
        models: Models | None = None,
        budgets: Budgets | None = None,
        bounds: Bounds | None = None,
        period_s: float = REPORTING_PERIOD_S,
    ) -> None:
        super().__init__(locator, mos, models=models)
        self.period_s = period_s
        self.budgets = budgets or Budgets()
        self.dropped = 0
        """Messages that were dropped early because there were too many."""
        self.begins_ms = 0
        """Messages that were received earlier (Unix ms) may be missing."""
        self.rows = 0
        self.held_bytes = 0
        """The memory of the messages when it was last measured."""
        self._bounds = bounds or Bounds()
        self._one_core = False
        # Nothing is written to disk.
        self._root.execute("SET temp_directory = ''")
        self._root.execute(f"SET memory_limit = '{self._bounds.memory_mib}MiB'")

    def add_all(self, logs: Sequence[VerifiedLog], *, shown_ms: int | None = None) -> Added:
        """Add logs as to any table, then drop the oldest minutes if the table is full."""
        added = super().add_all(logs, shown_ms=shown_ms)
        self.rows += added.records
        self._choose_cores()
        if self.rows > self._bounds.rows or (self._is_full() and self._is_full_compressed()):
            self._drop_oldest()
        return added

    def drop_before(self, received_ms: int, *, and_from_ms: int = FOREVER_MS) -> int:
        dropped = super().drop_before(received_ms, and_from_ms=and_from_ms)
        self.begins_ms = min(self.begins_ms, and_from_ms)  # later if the table was full at a wrong date
        self.rows -= dropped
        self._choose_cores()
        self.budgets.drop_before(received_ms)
        return dropped

    def _choose_cores(self) -> None:
        """Use one core for a query of a small table, and all of them for a query of a large one."""
        one = self.rows <= _ONE_PIECE
        if one == self._one_core:
            return
        with self._writing:
            self._writer.execute("SET threads = 1" if one else "RESET threads")
        self._one_core = one

    def memory_bytes(self) -> int:
        """The memory of the tables now, without the memory of running queries."""
        with self.reading() as cursor:
            return table_bytes(cursor)

    def _add_rows(self, db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog], shown_ms: int | None, only: str = "") -> Added:
        return ingest(db, logs, self.locator, self.mos, shown_ms, limit=self.budgets.apply, only=only)

    def _ingest(self, logs: Sequence[VerifiedLog], shown_ms: int | None) -> Added:
        try:
            return super()._ingest(logs, shown_ms)
        except _NoRoom:
            self._drop_oldest()
        try:
            return super()._ingest(logs, shown_ms)
        except _NoRoom as error:
            return super()._refuse(logs[0], error.cause)

    def _refuse(self, log: VerifiedLog, error: duckdb.Error) -> Added:
        if "invalidated" in str(error):
            raise OutOfMemory(f"the table of messages cannot be used any more: {str(error).splitlines()[0]}") from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise _NoRoom(error)
        return super()._refuse(log, error)

    def _is_full(self) -> bool:
        self.held_bytes = self.memory_bytes()
        return self.held_bytes > self._bounds.messages_mib * 2**20

    def _is_full_compressed(self) -> bool:
        with self._writing:
            self._compress_now()
        return self._is_full()

    def _drop_oldest(self) -> None:
        """Drop the oldest minutes until at most the share `_KEPT` of the messages, or of the allowed rows, is left."""
        keep = int(min(self.rows, self._bounds.rows) * _KEPT)
        with self.reading() as cursor:
            minutes = cursor.execute(
                f"SELECT received_ms // {MINUTE_MS}, count(*) FROM feedback GROUP BY 1 ORDER BY 1 DESC"
            ).fetchall()
        if not minutes:
            return
        so_far = accumulate(count for _, count in minutes)
        kept = [minute for (minute, _), total in zip(minutes, so_far, strict=True) if total <= keep]
        # A minute that is too large by itself is dropped completely, because a part of it would give wrong numbers.
        begins_ms = (min(kept) if kept else minutes[0][0] + 1) * MINUTE_MS
        dropped = self.drop_before(begins_ms)
        self.begins_ms = max(self.begins_ms, begins_ms)
        self.dropped += dropped
        self._is_full_compressed()
        log.warning("%d messages were dropped from memory early, because there are too many; the logs keep them", dropped)
