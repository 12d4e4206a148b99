"""A time limit for queries: their DuckDB statements are interrupted when the time is over.

A query is a function that runs in one thread and reads with `reading()` of a table or a history. The limit belongs to the thread,
so it is not an argument of the functions.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_AGAIN_S = 0.1
"""Seconds between interrupts. An interrupt between two statements stops neither of them, so it is repeated."""

_current = threading.local()


class TookTooLong(Exception):  # noqa: N818 - the name states the error
    """The time limit of a query is over."""


class _Limit:
    """The connections with which one thread reads until its time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._reading: list[duckdb.DuckDBPyConnection] = []
        self.over = False

    @contextmanager
    def watched(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        if self.over:
            raise TookTooLong
        with self._lock:
            self._reading.append(connection)
        try:
            yield
        finally:
            with self._lock:
                self._reading.remove(connection)

    def wait(self) -> None:
        if self._done.wait(self._seconds):
            return
        self.over = True
        while not self._done.wait(_AGAIN_S):
            with self._lock:
                for connection in self._reading:
                    connection.interrupt()

    def end(self) -> None:
        self._done.set()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Within the block, queries of this thread raise TookTooLong after `seconds`."""
    limit = _Limit(seconds)
    waiting = threading.Thread(target=limit.wait, name="limit", daemon=True)
    waiting.start()
    _current.limit = limit
    try:
        yield
    except duckdb.InterruptException as error:
        raise TookTooLong from error
    finally:
        _current.limit = None
        limit.end()


@contextmanager
def watched(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt `connection` when the time limit of this thread is over, if it has one."""
    limit: _Limit | None = getattr(_current, "limit", None)
    if limit is None:
        yield
    else:
        with limit.watched(connection):
            yield
