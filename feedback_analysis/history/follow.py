"""Keeps a history up to date while the platform runs: one thread looks for new sealed logs and adds them by time.

It reads the folders and not the feed, so it needs no state of its own: after a restart it continues with the files on disk.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.add_logs import AddedLogs
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.new_logs import SettledFiles
from feedback_analysis.history.retention import KEEP_ALL, Retention
from feedback_analysis.history.store import DroppedDays, HistoryStore
from feedback_analysis.reading.log_files import UnreadLog, passed_over_in_words

log = logging.getLogger(__name__)

# Logs are sealed once a minute.
LOOKS_EVERY_S = 30.0

# Listing millions of logs takes seconds. The pause then grows, so that listing takes at most a fiftieth of a core.
REST_FOR = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryProgress:
    """How much of the logs on disk is added: the bytes of the logs that were new in the last search, and the error that stops
    it."""

    taken: AddedLogs = field(default_factory=AddedLogs)
    done_bytes: int = 0
    all_bytes: int = 0
    error: str = ""
    dropped: DroppedDays = field(default_factory=DroppedDays)

    @property
    def complete(self) -> bool:
        return self.done_bytes >= self.all_bytes and not self.error


class HistoryFollower:
    """Adds the new logs below `paths` every half minute, and drops days that are too old, while the context is open."""

    def __init__(self, store: HistoryStore, paths: Sequence[Path], locator: Locator, *, retention: Retention = KEEP_ALL) -> None:
        self._store = store
        self._paths = paths
        self._locator = locator
        self._retention = retention
        self._settled = SettledFiles()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._began_s = 0.0
        self._searched_s: float | None = None
        self.progress = HistoryProgress()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._began_s, self._searched_s = time.thread_time(), None
            try:
                self._look()
            except (duckdb.Error, OSError, ValueError) as error:
                if not self.progress.error:
                    log.warning("the history is not updated: %s", error)
                self.progress = replace(self.progress, done_bytes=0, all_bytes=0, error=str(error).splitlines()[0])
            self._ended.wait(max(LOOKS_EVERY_S, REST_FOR * (self._searched_s or 0)))

    def _look(self) -> None:
        so_far = self.progress
        self._retention.look(self._store)
        taken = catch_up(
            self._store,
            [path for path in self._paths if path.exists()],
            self._locator,
            progress=self._advance,
            wanted=lambda: not self._ended.is_set(),
            settled=self._settled,
        )
        self._name_unread(so_far.taken.unread, taken.unread)
        self._name_passed_over(so_far.taken.passed_over, taken.passed_over)
        # Logs that were not readable in the last search are tried again, and must not count twice.
        now = replace(self.progress, taken=replace(so_far.taken, unread=(), passed_over=()) + taken, error="")
        self.progress = replace(now, dropped=so_far.dropped + self._retention.apply(self._store))

    def _name_unread(self, known: Sequence[UnreadLog], now: Sequence[UnreadLog]) -> None:
        for unread in now:
            if unread not in known:
                log.error("a log is missing from the history: %s", unread)

    def _name_passed_over(self, known: Sequence[Path], now: Sequence[Path]) -> None:
        if now and now != known:
            log.warning("history: %s", passed_over_in_words(now))

    def _advance(self, done: int, of: int) -> None:
        if self._searched_s is None:
            self._searched_s = time.thread_time() - self._began_s
        self.progress = replace(self.progress, done_bytes=done, all_bytes=of, error="")
