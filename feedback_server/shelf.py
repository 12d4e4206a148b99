"""The shelf: which logs there are right now. Threads put logs on it, requests read it, and long polls wait for it to change.

A log stands under its stem, so the step from journal to sealed log is one exchange: readers see either, never both, never none.
"""

import asyncio
import secrets
import threading
from bisect import bisect_right
from collections.abc import Iterable

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import LogName


class Shelf:
    """The catalogue of one running server; safe to use from any thread, `changed` from the event loop only."""

    def __init__(self, server: str, entries: Iterable[LogEntry] = ()) -> None:
        self._server = server
        self._entries = {entry.name.stem: entry for entry in sorted(entries, key=lambda entry: entry.name.stem)}
        self._stems = list(self._entries)
        self._lock = threading.Lock()
        self._run = secrets.token_hex(4)  # an ETag of an earlier run must not match by chance
        self._version = 0
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    @property
    def etag(self) -> str:
        return f'"{self._run}-{self._version}"'

    def put(self, entry: LogEntry) -> None:
        """Show a log, in the place of what stood under its stem."""
        with self._lock:
            stem = entry.name.stem
            if stem not in self._entries:
                self._stems.insert(bisect_right(self._stems, stem), stem)
            self._entries[stem] = entry
            self._announce()

    def remove(self, name: LogName) -> None:
        with self._lock:
            if self._entries.pop(name.stem, None) is not None:
                self._stems.remove(name.stem)
                self._announce()

    def find(self, stem: str) -> LogEntry | None:
        return self._entries.get(stem)

    def latest(self) -> LogEntry | None:
        with self._lock:
            return self._entries[self._stems[-1]] if self._stems else None

    def sealed(self) -> list[LogEntry]:
        """The sealed logs, oldest first."""
        with self._lock:
            return [entry for stem in self._stems if (entry := self._entries[stem]).sealed]

    def after(self, stem: str = "") -> tuple[Catalogue, str]:
        """The logs whose stem is greater, and the ETag of exactly this state."""
        with self._lock:
            stems = self._stems[bisect_right(self._stems, stem) :]
            return Catalogue(server=self._server, logs=tuple(self._entries[stem] for stem in stems)), self.etag

    async def changed(self, etag: str, *, within_s: float) -> None:
        """Return as soon as the ETag is another one than `etag`, or when the time is over."""
        loop = asyncio.get_running_loop()
        change = loop.create_future()
        with self._lock:
            if self.etag != etag:
                return
            self._waiting[change] = loop
        try:
            await asyncio.wait([change], timeout=within_s)
        finally:
            with self._lock:
                self._waiting.pop(change, None)

    def release(self) -> None:
        """Let all who wait go, because the server stops."""
        with self._lock:
            self._announce()

    def _announce(self) -> None:
        self._version += 1
        for change, loop in self._waiting.items():
            loop.call_soon_threadsafe(_finish, change)
        self._waiting.clear()


def _finish(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)
