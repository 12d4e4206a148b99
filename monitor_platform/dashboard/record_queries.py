"""Queries of the records of one kind: of those in memory, or of an older time range, which is read from the logs.

Equal queries share an answer, as for feedback. A time range that was read stays loaded for the next queries.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable, TooManyRecords
from feedback_wire.problem import Problem
from monitor_platform.dashboard.one_at_a_time import OneAtATime
from monitor_platform.dashboard.shared_answers import Answer, Moment, SharedAnswers, is_too_much, too_much
from monitor_platform.kind_records import KindRecords
from monitor_platform.recorded_logs import Versions

MOST_KEPT = 2
"""Time ranges that stay loaded. A year of many measurements takes as much memory as the platform's own table."""

QUERY_THREADS = 1
"""For each table. Records of other kinds than feedback are few."""


class RecordQueries:
    """Use it on the event loop only."""

    def __init__(self, records: KindRecords) -> None:
        self.records = records
        self._answers = SharedAnswers(records.table, threads=QUERY_THREADS)
        self._older: OrderedDict[Span, tuple[RecordTable, SharedAnswers]] = OrderedDict()
        self._versions: dict[Span, Versions] = {}
        self._reading = OneAtATime()

    def span(self, from_ms: int | None, to_ms: int | None) -> Span:
        """The time range of a script; an open end is that of the records in memory. Problem (400) if it ends before it begins."""
        begins_ms = self.records.begins_ms()
        from_ms = begins_ms if from_ms is None else from_ms
        to_ms = max(time.time_ns() // 1_000_000 + 1, begins_ms) if to_ms is None else to_ms
        if from_ms > to_ms:
            raise Problem(400, "bad_parameter", "'from' is later than 'to'")
        return Span(from_ms, to_ms)

    async def ask(self, query: Callable[..., Answer], *, span: Span, **arguments: object) -> Answer:
        """The result of `query(table, span=span, **arguments)`, where `table` has all records that were received in `span`.

        Problem (503) as of `SharedAnswers.ask`, also if the logs of `span` need too much memory, and Problem (400) if they have too
        many records.
        """
        table, answers = await self._table_of(span)
        return await answers.ask(Moment(table.version, 0, 0), query, span=span, **arguments)

    async def ask_all(self, query: Callable[..., Answer], **arguments: object) -> Answer:
        """The result of `query(table, **arguments)` over the records in memory."""
        return await self._answers.ask(Moment(self.records.table.version, 0, 0), query, **arguments)

    async def table(self, span: Span) -> RecordTable:
        """A table that has all records that were received in `span`, for a query over several tables."""
        table, _ = await self._table_of(span)
        return table

    def close(self) -> None:
        self._answers.close()
        for _, answers in self._older.values():
            answers.close()

    async def _table_of(self, span: Span) -> tuple[RecordTable, SharedAnswers]:
        if span.from_ms >= self.records.begins_ms():
            return self.records.table, self._answers
        async with self._reading.turn():
            versions = await asyncio.to_thread(self.records.versions, span)
            if span in self._older and self._versions[span] != versions:
                del self._older[span]  # a log has arrived or grown since
            if span not in self._older:
                table = await self._read(span)
                self._versions[span] = versions
                self._older[span] = table, SharedAnswers(table, threads=QUERY_THREADS)
            self._older.move_to_end(span)
            while len(self._older) > MOST_KEPT:
                # Not closed, because a page may still query it. The garbage collector closes the table, and ends the threads.
                oldest, _ = self._older.popitem(last=False)
                del self._versions[oldest]
            return self._older[span]

    async def _read(self, span: Span) -> RecordTable:
        try:
            return await asyncio.to_thread(self.records.recorded, span)
        except TooManyRecords as error:
            what = f"the logs of this time have more than {error.args[0]:,} {self.records.kind} records"
            raise Problem(400, "too_many_records", f"{what}, the limit of one query; choose a shorter time range") from None
        except Exception as error:
            if is_too_much(error):
                raise too_much(error) from error
            raise
