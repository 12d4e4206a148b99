"""The tables in memory as a feed uses them: feedback has a table of its own, each other kind a table of records."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from feedback_analysis.messages.ingest import Added
from feedback_analysis.messages.load import load_identities
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, open_if_readable
from feedback_analysis.record_table import RecordTable
from feedback_wire.kinds import RecordKind
from monitor_platform.retrieval.display_delay import DelayWindow
from monitor_platform.retrieval.feed_status import RetrievalCounts
from monitor_platform.retrieval.fetch_plan import REMEMBERED_MS


class KindTable(Protocol):
    """The table of one kind. Its methods block."""

    @property
    def kind(self) -> RecordKind: ...

    def add(self, log: VerifiedLog, *, fresh: bool) -> RetrievalCounts:
        """Add the records of a log. `fresh`: they come from a feedback server now, and not from the mirror."""

    def add_identities(self, log: VerifiedLog) -> None:
        """Add only the identities of the records, so that copies of them are recognised."""

    def load_identities(self, paths: Sequence[Path]) -> None:
        """As `add_identities`, for the logs `paths`."""

    def drop_outside(self, from_ms: int, to_ms: int) -> None:
        """Drop the records that were received before `from_ms`, or from `to_ms` on."""

    def delay(self) -> tuple[float, float, int] | None:
        """Display delay of the last minutes: median and 95th percentile in ms, and the number of records; None without records."""


class FeedbackRecords:
    """The table of feedback, with the display delay of its records. Records received before the start do not count for it."""

    kind = RecordKind.FEEDBACK

    def __init__(self, table: FeedbackTable) -> None:
        self._table = table
        self._delays = DelayWindow()
        self._since_ms = _now_ms()
        self._last_shown_ms = 0

    def add(self, log: VerifiedLog, *, fresh: bool) -> RetrievalCounts:
        if not fresh:
            return _counts(self._table.add(log))
        shown_ms = self._last_shown_ms = max(_now_ms(), self._last_shown_ms + 1)
        added = self._table.add(log, shown_ms=shown_ms)
        self._since_ms = min(self._since_ms, _now_ms())  # this machine's clock may have been set back
        with self._table.reading() as cursor:
            sent = cursor.execute(
                "SELECT sent_ms FROM feedback WHERE shown_ms = $shown AND received_ms >= $since",
                {"shown": shown_ms, "since": self._since_ms},
            ).fetchnumpy()["sent_ms"]
        return _counts(added) + RetrievalCounts(implausible_clocks=self._delays.shown(sent, now_ms=_now_ms()))

    def add_identities(self, log: VerifiedLog) -> None:
        self._table.add_identities([log])

    def load_identities(self, paths: Sequence[Path]) -> None:
        load_identities(self._table, paths)

    def drop_outside(self, from_ms: int, to_ms: int) -> None:
        self._table.drop_before(from_ms, and_from_ms=to_ms)

    def delay(self) -> tuple[float, float, int] | None:
        return self._delays.percentiles(_now_ms())


class OtherRecords:
    """The table of another kind."""

    def __init__(self, table: RecordTable) -> None:
        self._table = table

    @property
    def kind(self) -> RecordKind:
        return self._table.kind

    def add(self, log: VerifiedLog, *, fresh: bool) -> RetrievalCounts:
        added = self._table.add([log])
        return RetrievalCounts(records_taken=added.records, duplicates_dropped=added.copies, unreadable_records=added.unreadable)

    def add_identities(self, log: VerifiedLog) -> None:
        self._table.add_identities([log])

    def load_identities(self, paths: Sequence[Path]) -> None:
        for path in paths:
            with open_if_readable(path) as log:
                if not isinstance(log, UnreadLog):
                    self._table.add_identities([log])

    def drop_outside(self, from_ms: int, to_ms: int) -> None:
        self._table.drop_before(from_ms, and_from_ms=to_ms, forget_before_ms=from_ms - REMEMBERED_MS)

    def delay(self) -> None:
        return None


def _counts(added: Added) -> RetrievalCounts:
    return RetrievalCounts(
        records_taken=added.records,
        duplicates_dropped=added.duplicates,
        conflicts_dropped=added.conflicts,
        unreadable_records=added.unreadable,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
