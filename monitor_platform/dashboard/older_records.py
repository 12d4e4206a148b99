"""Records that are no longer in memory. Only this module reads them from the logs, for pages and scripts.

Reading takes much memory and seconds of time, so logs are read for one query at a time, and only a few queries may wait.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import has_any
from feedback_analysis.messages.load import TooManyMessages
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.problem import Problem
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.comparison import shifted
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.one_at_a_time import OneAtATime
from monitor_platform.dashboard.page_queries import RecordSource
from monitor_platform.dashboard.shared_answers import is_too_much, too_much
from monitor_platform.dashboard.snapshot import Snapshot, span_of
from monitor_platform.recorded_logs import RecordedLogs, Versions

MOST_KEPT = 2
"""Time ranges that stay loaded after a query. Each takes as much memory as the platform's own table."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The state of a time range, and the versions of its logs before they were read."""

    state: DashboardState
    versions: Versions


class OlderRecords:
    """Records of `logs` from before `begins_ms()`, the start of the memory of `now`. A page gets at most `minutes` of them at
    once."""

    def __init__(self, logs: RecordedLogs, now: DashboardState, *, begins_ms: Callable[[], int], minutes: int) -> None:
        self.begins_ms = begins_ms
        self._logs = logs
        self._now = now
        self.minutes = minutes
        self._kept: OrderedDict[Span, Loaded] = OrderedDict()
        self._reading = OneAtATime()

    def may_read(self, span: Span | None) -> bool:
        """Whether a page may have the messages of `span`: it is in memory, or short enough."""
        return span is None or span.from_ms >= self.begins_ms() or span.to_ms - span.from_ms <= self.minutes * MINUTE_MS

    async def state_for(self, span: Span | None) -> DashboardState:
        """The state with a table that holds `span`: the current state, or a state that is read from the logs.

        If nothing is recorded of an older time, it is the current state. Problem (400) for a time range that is too long, or that
        has too many messages.
        """
        if span is None or span.from_ms >= self.begins_ms():
            return self._now
        if not self.may_read(span):
            raise Problem(
                400,
                "too_long",
                f"times that are not in memory are read from the logs, at most {self.minutes} minutes (--keep-minutes) at once; "
                "choose a shorter time range, or see the History page for days and months",
            )
        async with self._reading.turn():
            with _refusing():
                return await self._loaded(span) or self._now

    async def compared_with(self, query: AddressQuery, state: DashboardState, snapshot: Snapshot) -> RecordSource | None:
        """The records of the other time of a comparison; None if `state` has them, or if nothing is recorded of it.

        Problem (400) as of `state_for`.
        """
        if not query.compare:
            return None
        older = await self.state_for(shifted(query.compare, span_of(query, snapshot)))
        recorded = await older.snapshot(older.moment()) if older is not state else None
        return RecordSource(older.answers, recorded) if recorded is not None else None

    async def summary(
        self, span: Span, where: Mapping[str, str], by: Sequence[str], top: int, proved_ms: int | None
    ) -> dict[str, Any]:
        """The summary of a time range of any length. Problem (400) if it has too many messages."""
        async with self._reading.turn():
            with _refusing():
                return await asyncio.to_thread(self._logs.summary, span, where, by, top, proved_ms)

    async def _loaded(self, span: Span) -> DashboardState | None:
        """The state that holds `span`; None if nothing is recorded in `span`. The state stays loaded for the next queries."""
        known = next((held for held in self._kept if held.from_ms <= span.from_ms and span.to_ms <= held.to_ms), None)
        if known is not None and not await asyncio.to_thread(self._is_current, known):
            del self._kept[known]
            known = None
        if known is None:
            around, versions, table = await asyncio.to_thread(self._read_around, span)
            # A log that begins before the span does not always have a record of it.
            if not await asyncio.to_thread(has_any, table, span=around, where={}):
                table.close()
                return None
            known = around
            self._kept[known] = Loaded(self._now.of_older(table, begins_ms=known.from_ms), versions)
        self._kept.move_to_end(known)
        while len(self._kept) > MOST_KEPT:
            # Not closed, because a page may still query it. The garbage collector closes it after the last page.
            self._kept.popitem(last=False)
        return self._kept[known].state

    def _is_current(self, known: Span) -> bool:
        """Whether the logs of a loaded time range have not changed since they were read: a log may arrive later, and a journal
        grows."""
        try:
            return self._logs.versions(known) == self._kept[known].versions
        except OSError:
            return True  # without the logs, the loaded records are the best answer

    def _read_around(self, span: Span) -> tuple[Span, Versions, FeedbackTable]:
        """The longest time range around `span`, or only `span` if the longest one has too many messages; TooManyMessages if `span`
        also has too many."""
        try:
            return self._read(self._around(span))
        except TooManyMessages:
            return self._read(span)

    def _read(self, span: Span) -> tuple[Span, Versions, FeedbackTable]:
        versions = self._logs.versions(span)  # first: a log that changes during the reading makes the result outdated
        return span, versions, self._logs.table(span)

    def _around(self, span: Span) -> Span:
        """The longest time range that may be read, in whole minutes, with `span` in its middle.

        It ends where memory begins, unless `span` ends later, because current logs change all the time.
        """
        length_ms = self.minutes * MINUTE_MS
        spare_ms = max(0, length_ms - (span.to_ms - span.from_ms)) // 2
        begin_ms = max(0, span.from_ms - spare_ms) // MINUTE_MS * MINUTE_MS
        return Span(begin_ms, max(min(begin_ms + length_ms, self.begins_ms()), span.to_ms))


@contextmanager
def _refusing() -> Iterator[None]:
    """Problem (400) for too many messages, and Problem (503) without memory for them."""
    try:
        yield
    except TooManyMessages as error:
        raise _too_many(error) from None
    except Exception as error:
        if is_too_much(error):
            raise too_much(error) from error
        raise


def _too_many(error: TooManyMessages) -> Problem:
    most = error.args[0]
    return Problem(
        400,
        "too_many_messages",
        f"the logs of this time have more than {most:,} messages, the limit of one query (--keep-messages); "
        "choose a shorter time range, or see the History page for days and months",
    )
