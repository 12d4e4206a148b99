"""A time limit for queries: when the time is over, their DuckDB statements and their Python code are interrupted.

A query is a function that runs in one thread and reads with `reading()` of a table or a history. The limit belongs to the thread,
so it is not an argument of the functions. Python code is interrupted by an exception that the interpreter raises in the thread;
within `reading()`, the statements are interrupted.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_AGAIN_S = 0.1
"""Seconds between interrupts. An interrupt between two statements stops neither of them, so it is repeated."""

_current = threading.local()


class TookTooLong(Exception):  # noqa: N818 - the name states the error
    """The time limit of a query is over."""


class TimeLimit:
    """The connections with which this thread reads until its time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._done, self._woken = threading.Event(), threading.Event()
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
        self._woken.wait(self._seconds)
        self.over = not self._done.is_set()
        while not self._done.wait(_AGAIN_S):
            with self._lock:
                if self._done.is_set():
                    return
                for connection in self._reading:
                    connection.interrupt()
                if not self._reading:
                    _raise_in(self._thread, ctypes.py_object(TookTooLong))

    def end_early(self) -> None:
        """End the time limit now: interrupt the queries of the thread."""
        self._woken.set()

    def end(self) -> None:
        """Stop interrupting, and cancel an exception that the interpreter has not raised yet."""
        with self._lock:
            self._done.set()
            self._woken.set()
            _raise_in(self._thread, None)


_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc


@contextmanager
def at_most(seconds: float) -> Iterator[TimeLimit]:
    """Within the block, queries of this thread raise TookTooLong after `seconds`."""
    limit = TimeLimit(seconds)
    waiting = threading.Thread(target=limit.wait, name="limit", daemon=True)
    waiting.start()
    _current.limit = limit
    try:
        yield limit
    except duckdb.InterruptException as error:
        raise TookTooLong from error
    finally:
        try:
            limit.end()
        except TookTooLong:  # it was raised before it could be taken back, and no other one follows at once
            limit.end()
            raise
        finally:
            _current.limit = None


@contextmanager
def watched(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt `connection` when the time limit of this thread is over, if it has one."""
    limit: TimeLimit | None = getattr(_current, "limit", None)
    if limit is None:
        yield
    else:
        with limit.watched(connection):
            yield
