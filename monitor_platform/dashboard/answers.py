"""Queries run in a few threads, each once: whoever asks the same of the same state of the table gets the same answer.

The event loop never waits for a query, and a thousand viewers who look at the same page cost as much as one.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from monitor_platform.history.store import HistoryStore
from monitor_platform.measures.table import FeedbackTable

Answer = TypeVar("Answer")

THREADS = max(2, min(4, os.cpu_count() or 1))
"""So that a slow query does not delay a quick one. Live, DuckDB uses all cores for each query, of recorded files one (`rest`)."""

# A page asks about six queries; this remembers the last pages of some fifty different selections.
REMEMBERED = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of the table, when everybody began to look at it, and when its oldest news came in (Unix ms)."""

    version: int
    at_ms: int
    news_ms: int


class Answers:
    """The answers of one table or one history, shared by all viewers."""

    def __init__(self, table: FeedbackTable | HistoryStore) -> None:
        self._table = table
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="query")
        self._known: OrderedDict[Hashable, asyncio.Future[Any]] = OrderedDict()
        self.asked = 0
        self.computed = 0
        self.running = 0
        self.seconds = 0.0

    async def ask(self, moment: Moment, query: Callable[..., Answer], **arguments: object) -> Answer:
        """`query(table, **arguments)` as of `moment`; what it raises is raised for everybody who asks."""
        self.asked += 1
        key = (moment, query, _frozen(arguments))
        if key not in self._known:
            self._known[key] = asyncio.ensure_future(self._compute(query, arguments))
            self._forget_old()
        self._known.move_to_end(key)
        # Shielded: a viewer who leaves must not take the answer away from the others.
        return cast("Answer", await asyncio.shield(self._known[key]))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def _compute(self, query: Callable[..., Answer], arguments: Mapping[str, object]) -> Answer:
        self.computed += 1
        self.running += 1
        began = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, partial(query, self._table, **arguments))
        finally:
            self.running -= 1
            self.seconds += time.monotonic() - began

    def _forget_old(self) -> None:
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _frozen(value: object) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((name, _frozen(item)) for name, item in value.items()))
    return tuple(value) if isinstance(value, list) else value
