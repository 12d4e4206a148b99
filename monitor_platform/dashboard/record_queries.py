"""Queries of the records of one kind: of those in memory, or of an older time range, which is read from the logs.

Equal queries share an answer, as for feedback. A time range that was read stays loaded for the next questions.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable
from monitor_platform.dashboard.one_at_a_time import OneAtATime
from monitor_platform.dashboard.shared_answers import Answer, Moment, SharedAnswers, is_too_much, too_much
from monitor_platform.kind_records import KindRecords

MOST_KEPT = 2
"""Time ranges that stay loaded. A year of many measurements takes as much memory as the platform's own table."""


class RecordQueries:
    """Use it on the event loop only."""

    def __init__(self, records: KindRecords) -> None:
        self.records = records
        self._answers = SharedAnswers(records.table)
        self._older: OrderedDict[Span, tuple[RecordTable, SharedAnswers]] = OrderedDict()
        self._reading = OneAtATime()

    async def ask(self, query: Callable[..., Answer], *, span: Span, **arguments: object) -> Answer:
        """The result of `query(table, span=span, **arguments)`, where `table` has all records that were received in `span`.

        Problem (503) as of `SharedAnswers.ask`, also if the logs of `span` need too much memory.
        """
        table, answers = await self._table_of(span)
        return await answers.ask(Moment(table.version, 0, 0), query, span=span, **arguments)

    async def ask_all(self, query: Callable[..., Answer], **arguments: object) -> Answer:
        """The result of `query(table, **arguments)` over the records in memory."""
        return await self._answers.ask(Moment(self.records.table.version, 0, 0), query, **arguments)

    def close(self) -> None:
        self._answers.close()
        for _, answers in self._older.values():
            answers.close()

    async def _table_of(self, span: Span) -> tuple[RecordTable, SharedAnswers]:
        if span.from_ms >= self.records.begins_ms():
            return self.records.table, self._answers
        async with self._reading.turn():
            if span not in self._older:
                table = await self._read(span)
                self._older[span] = table, SharedAnswers(table)
            self._older.move_to_end(span)
            while len(self._older) > MOST_KEPT:
                # The table is not closed, because a page may still query it. The garbage collector closes it.
                self._older.popitem(last=False)[1][1].close()
            return self._older[span]

    async def _read(self, span: Span) -> RecordTable:
        try:
            return await asyncio.to_thread(self.records.recorded, span)
        except Exception as error:
            if is_too_much(error):
                raise too_much(error) from error
            raise
