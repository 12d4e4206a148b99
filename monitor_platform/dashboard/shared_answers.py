"""Queries run in a few threads. Equal queries of the same state of the table run once and share the answer.

The event loop never waits for a query, and a thousand users of the same page cost as much as one user.
"""

import asyncio
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import duckdb

from feedback_analysis.history.store import HistoryStore
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_limit import TimeLimit, TookTooLong, at_most
from feedback_wire.problem import Problem
from serving.memory import is_no_memory
from serving.threads import started_pool

Answer = TypeVar("Answer")

THREADS = max(2, min(4, os.cpu_count() or 1))
"""At least two, so that a slow query does not block a quick one. DuckDB uses all cores for a query if live, one if static."""

QUERY_LIMIT_S = 30.0
"""A query that takes longer is stopped. With an hour of 20,000 viewers, the slowest query of a page takes two seconds."""

MOST_WAITING = 200
"""Queries that run or wait: about fifteen pages with different queries. More are refused."""

# A page needs about six queries, so this holds the last pages of some fifty different queries.
REMEMBERED = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """A version of the table, when pages began to show it, and when its oldest new record arrived (Unix ms)."""

    version: int
    at_ms: int
    news_ms: int


class SharedAnswers:
    """The answers of one table or history, shared by all pages and scripts."""

    def __init__(self, table: FeedbackTable | HistoryStore | RecordTable, *, threads: int = THREADS) -> None:
        self._table = table
        self._pool = started_pool(threads, "query")
        self._limits: set[TimeLimit] = set()
        """Of the running queries."""
        self._known: OrderedDict[Hashable, asyncio.Future[Any]] = OrderedDict()
        self._awaited: Counter[asyncio.Future[Any]] = Counter()
        self._closed = False
        self.refused = 0
        self.stopped = 0
        self.asked = 0
        self.computed = 0
        self.running = 0
        self.seconds = 0.0

    async def ask(self, moment: Moment, query: Callable[..., Answer], **arguments: object) -> Answer:
        """The result of `query(table, **arguments)` at `moment`; its error is raised for all that share it.

        Problem (503) while too many queries wait, for a query that needs too much time or memory, and when the platform ends.
        """
        self.asked += 1
        if self._closed:
            raise _stopping()
        key = (moment, query, _frozen(arguments))
        answer = self._known.get(key)
        if answer is None:
            if self.running >= MOST_WAITING:
                self.refused += 1
                raise Problem(503, "busy", f"{self.running} queries are already waiting; try again in a few seconds")
            self.running += 1
            answer = self._known[key] = asyncio.ensure_future(self._compute(query, arguments))
            answer.add_done_callback(partial(self._end, key))
            self._remove_old()
        self._known.move_to_end(key)
        # Shielded: a page that closes must not cancel the query of other pages.
        self._awaited[answer] += 1
        try:
            return cast("Answer", await asyncio.shield(answer))
        except asyncio.CancelledError:
            if answer.cancelled():  # by `close`, before its turn came
                raise _stopping() from None
            raise
        finally:
            self._awaited[answer] -= 1
            if not self._awaited[answer]:
                del self._awaited[answer]
                self._give_up(key, answer)

    def close(self) -> None:
        """Stop all queries, without waiting for them."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for limit in tuple(self._limits):
            limit.end_early()

    async def _compute(self, query: Callable[..., Answer], arguments: Mapping[str, object]) -> Answer:
        self.computed += 1
        began = time.monotonic()
        try:
            work = partial(self._within_limit, partial(query, self._table, **arguments))
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except Exception as error:
            if not is_too_much(error):
                raise
            self.stopped += 1
            raise too_much(error) from error
        finally:
            self.seconds += time.monotonic() - began

    def _within_limit(self, query: Callable[[], Answer]) -> Answer:
        with at_most(QUERY_LIMIT_S) as limit:
            self._limits.add(limit)
            try:
                return query()
            finally:
                self._limits.discard(limit)

    def _give_up(self, key: Hashable, answer: asyncio.Future[Any]) -> None:
        """Cancel a query that no page awaits any more. If it has not begun, the queries behind it begin earlier."""
        if not answer.done():
            answer.cancel()
            if self._known.get(key) is answer:
                del self._known[key]

    def _end(self, key: Hashable, answer: asyncio.Future[Any]) -> None:
        """Count a query as ended, also one that was cancelled before it began. Remove an error: the next attempt may succeed."""
        self.running -= 1
        failed = answer.cancelled() or answer.exception() is not None
        if failed and self._known.get(key) is answer:
            del self._known[key]

    def _remove_old(self) -> None:
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _stopping() -> Problem:
    return Problem(503, "stopping", "the monitoring platform is stopping; send the request again when it runs")


def is_too_much(error: Exception) -> bool:
    """Whether a query failed because it needs too much time or memory."""
    return isinstance(error, TookTooLong | duckdb.OutOfMemoryException) or is_no_memory(error)


def too_much(error: Exception) -> Problem:
    """The answer to a query that needs too much time or memory."""
    if isinstance(error, TookTooLong):
        what, reason = f"took more than {QUERY_LIMIT_S:.0f} s and was stopped", "took_too_long"
    else:
        what, reason = "needs more memory than there is", "out_of_memory"
    return Problem(503, reason, f"the query {what}; choose a shorter time range, fewer groups or more filters")


def _frozen(value: object) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((name, _frozen(item)) for name, item in value.items()))
    return tuple(value) if isinstance(value, list) else value
