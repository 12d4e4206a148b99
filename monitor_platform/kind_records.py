"""The records of the kinds other than feedback: for each kind a table in memory, a feed that fills it, and the logs on disk."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feedback_analysis.live_record_table import LiveRecordTable
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable, open_records
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.kinds import RecordKind
from monitor_platform.recorded_logs import Versions, versions_of
from monitor_platform.retrieval.feed import Feed

KEPT_MINUTES = 24 * 60
"""Records of other kinds are few, and a page shows a day of them, so they stay in memory for longer than feedback."""

MOST_OF_LOGS = 500_000
"""Records that one query may read from the logs: some seconds, and some hundred megabytes."""

OTHER_KINDS: tuple[RecordKind, ...] = tuple(kind for kind in RecordKind if kind is not RecordKind.FEEDBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRecords:
    """The records of one kind. `feed` is None in static mode. `paths`: the logs on disk, or folders that have them."""

    table: RecordTable
    feed: Feed | None
    paths: Sequence[Path]

    @property
    def kind(self) -> RecordKind:
        return self.table.kind

    @property
    def dropped(self) -> int:
        """Records that were dropped from memory early because there were too many."""
        return self.table.dropped if isinstance(self.table, LiveRecordTable) else 0

    def begins_ms(self) -> int:
        """The start of the time of which all records are in memory, in Unix ms; recorded files are all in memory."""
        if self.feed is None:
            return 0
        dropped_ms = self.table.begins_ms if isinstance(self.table, LiveRecordTable) else 0
        return max(time.time_ns() // 1_000_000 - KEPT_MINUTES * MINUTE_MS, dropped_ms, self.feed.begins_ms)

    def recorded(self, span: Span) -> RecordTable:
        """A table of the records of `span`, read from the logs; the caller closes it. Blocks until they are read.

        TooManyRecords if there are more than `MOST_OF_LOGS`.
        """
        table, _ = open_records(self._existing(), self.kind, span, most=MOST_OF_LOGS)
        return table

    def versions(self, span: Span) -> Versions:
        """The logs that can have records of `span`. The result changes when such a log arrives, grows or is replaced."""
        return versions_of(self._existing(), span, self.kind)

    def _existing(self) -> list[Path]:
        return [path for path in self.paths if path.exists()]  # the mirror has no folder for a kind without logs


AllKinds = Mapping[RecordKind, KindRecords]
