"""Times that are not in memory, read from the logs on disk when somebody looks, and shown by the same pages.

A stretch of them is a table of its own: a `DashboardState` to which nothing is added. The last ones are kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import has_any
from feedback_analysis.messages.load import TooManyMessages
from feedback_analysis.messages.table import FeedbackTable
from feedback_wire.problem import Problem
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.turns import Turns

MINUTE_MS = 60_000

# Each takes as much memory as what the platform always keeps.
MOST_KEPT = 2


def too_many(error: TooManyMessages) -> Problem:
    """What to tell who asks for a time with more messages than one question may load."""
    most = error.args[0]
    return Problem(
        400,
        "too_many_messages",
        f"the logs of this time hold more than {most:,} messages, which is what one question may load (--keep-messages); "
        "choose a shorter time range, or see the History page for days and months",
    )


class Past:
    """What `read` finds on disk of a span before `begins_ms()`, at most `minutes` of it at once."""

    def __init__(self, read: Callable[[Span], FeedbackTable], *, begins_ms: Callable[[], int], minutes: int) -> None:
        self._read = read
        self._begins_ms = begins_ms
        self._minutes = minutes
        self._kept: OrderedDict[Span, DashboardState] = OrderedDict()
        self._turns = Turns()

    async def looked_at(self, span: Span | None, now: DashboardState) -> DashboardState:
        """`now`, or what holds `span` if that begins before it and anything was recorded then.

        Problem (400) for a span that is too long, or has too many messages, to be read at once.
        """
        if span is None or span.from_ms >= self._begins_ms():
            return now
        if span.to_ms - span.from_ms > self._minutes * MINUTE_MS:
            raise Problem(
                400,
                "too_long",
                f"times that are no longer in memory are read from the logs by {self._minutes} minutes (--keep-minutes) at most; "
                "choose a shorter time range, or see the History page for days and months",
            )
        return await self._holding(span, now) or now

    async def _holding(self, span: Span, now: DashboardState) -> DashboardState | None:
        """One after the other, for each may take much memory; None if nothing was recorded."""
        async with self._turns.turn():
            known = next((held for held in self._kept if held.from_ms <= span.from_ms and span.to_ms <= held.to_ms), None)
            if known is None:
                around, table = await asyncio.to_thread(self._read_around, span)
                # A log that begins before may hold it, and need not.
                if not await asyncio.to_thread(has_any, table, span=around, where={}):
                    table.close()
                    return None
                known = around
                self._kept[known] = now.comparison(table, begins_ms=known.from_ms)
            self._kept.move_to_end(known)
            while len(self._kept) > MOST_KEPT:
                # Not closed: somebody may be asking it still. It goes with the last who does.
                self._kept.popitem(last=False)
            return self._kept[known]

    def _read_around(self, span: Span) -> tuple[Span, FeedbackTable]:
        """As much as may be read around `span`, or `span` alone if that is too many messages; Problem (400) if it still is."""
        around = self._around(span)
        try:
            return around, self._read(around)
        except TooManyMessages:
            pass
        try:
            return span, self._read(span)
        except TooManyMessages as error:
            raise too_many(error) from None

    def _around(self, span: Span) -> Span:
        """As much as may be read, with `span` in its middle, in whole minutes."""
        length_ms = self._minutes * MINUTE_MS
        spare_ms = max(0, length_ms - (span.to_ms - span.from_ms)) // 2
        begin_ms = max(0, span.from_ms - spare_ms) // MINUTE_MS * MINUTE_MS
        return Span(begin_ms, max(begin_ms + length_ms, span.to_ms))
