"""How long a question may take: what it runs in DuckDB is interrupted when its time is over.

A question is a function that runs in one thread and reads with `reading()` of a table or a history; nothing has to be passed along.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_AGAIN_S = 0.1
"""An interrupt between two statements stops neither, so it is repeated."""

_current = threading.local()


class TookTooLong(Exception):  # noqa: N818 - it reads as what it says
    """The time of a question was over before its answer was there."""


class _Patience:
    """The connections that one thread reads with until its time is over."""

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
    """What this thread reads within the block ends with TookTooLong after `seconds`."""
    patience = _Patience(seconds)
    waiting = threading.Thread(target=patience.wait, name="patience", daemon=True)
    waiting.start()
    _current.patience = patience
    try:
        yield
    except duckdb.InterruptException as error:
        raise TookTooLong from error
    finally:
        _current.patience = None
        patience.end()


@contextmanager
def watched(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt what `connection` runs when the time of this thread's question is over, if it has one."""
    patience: _Patience | None = getattr(_current, "patience", None)
    if patience is None:
        yield
    else:
        with patience.watched(connection):
            yield
