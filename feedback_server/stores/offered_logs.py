"""The offered: which logs there are right now. Threads put logs on it, requests read it, and long polls wait for it to change.

A log stands under its stem, so the step from journal to sealed log is one exchange: readers see either, never both, never none.
"""

import asyncio
import secrets
import threading
from collections.abc import Collection, Iterable, Mapping

from feedback_server.stores.sealed_logs import SealedLog, SealedLogs, names_sum
from feedback_wire.catalogue import MOST_LOGS, Catalogue, LogEntry
from feedback_wire.log_name import LogName


class OfferedLogs:
    """The catalogue of one running server; safe to use from any thread, `changed` from the event loop only."""

    def __init__(self, server: str, entries: Iterable[LogEntry] = (), *, sealed: SealedLogs | None = None) -> None:
        self._server = server
        self._sealed = SealedLogs() if sealed is None else sealed
        self._journals: dict[str, LogEntry] = {}
        self._lock = threading.Lock()
        self._run = secrets.token_hex(4)  # an ETag of an earlier run must not match by chance
        self._version = 0
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        for entry in entries:
            self.put(entry)

    @property
    def etag(self) -> str:
        return f'"{self._run}-{self._version}"'

    def put(self, entry: LogEntry, *, written_ns: int = 0) -> None:
        """Show a log, in the place of what stood under its stem; `written_ns`: when a sealed one's file was last written."""
        with self._lock:
            stem = entry.name.stem
            if entry.sealed:
                self._sealed.put(SealedLog(entry=entry, written_ns=written_ns))
                self._journals.pop(stem, None)
            else:
                self._journals[stem] = entry
            self._announce()

    def remove(self, name: LogName) -> None:
        with self._lock:
            gone = self._journals.pop(name.stem, None) is not None
            if self._sealed.remove(name.stem) or gone:
                self._announce()

    def find(self, stem: str) -> LogEntry | None:
        with self._lock:
            return self._journals.get(stem) or self._sealed_entry(stem)

    def latest(self) -> LogEntry | None:
        with self._lock:
            return max([*self._journals.values(), *(log.entry for log in self._sealed.last())], key=_stem, default=None)

    def sealed(self, most: int = MOST_LOGS) -> list[LogEntry]:
        """The `most` oldest sealed logs, oldest first."""
        return [log.entry for log in self.sealed_after("", most)]

    def sealed_after(self, stem: str, most: int) -> list[SealedLog]:
        """At most `most` sealed logs whose stem is greater, as they lay on the disk."""
        with self._lock:
            found = self._sealed.after(stem, most)
        return list(found)

    def begins_s(self) -> list[int]:
        """When each sealed log begins, Unix time in seconds."""
        with self._lock:
            return self._sealed.begins_s()

    def foreign(self) -> dict[str, int]:
        """How many sealed logs carry the name of each other server: of this one before it was renamed, or of a copied folder's."""
        with self._lock:
            return {server: count for server, count in self._sealed.counts().items() if server != self._server}

    def journals(self) -> list[LogEntry]:
        """The journals on offer: the open one, and those that wait to be sealed."""
        with self._lock:
            return list(self._journals.values())

    def totals(self) -> tuple[int, int]:
        """How many sealed logs there are, and their bytes."""
        with self._lock:
            return len(self._sealed), self._sealed.bytes

    def after(self, stem: str = "", limit: int = MOST_LOGS) -> tuple[Catalogue, str]:
        """At most `limit` logs whose stem is greater, and the ETag of exactly this state."""
        with self._lock:
            sealed = self._sealed.after(stem, limit + 1)
            journals = [entry for each, entry in self._journals.items() if each > stem]
            etag = self.etag
        found = sorted([*(log.entry for log in sealed), *journals], key=_stem)
        return Catalogue(server=self._server, logs=tuple(found[:limit]), more=len(found) > limit), etag

    def holds_exactly(self, names: Collection[str]) -> bool:
        """Whether `names` are the names of the sealed logs, none more and none less."""
        with self._lock:
            return len(names) == len(self._sealed) and names_sum(names) == self._sealed.names_sum

    def index(self, folder_ns: int) -> bytes:
        """The sealed logs as they are kept on the disk for the next start."""
        with self._lock:
            return self._sealed.to_bytes(folder_ns)

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

    def _sealed_entry(self, stem: str) -> LogEntry | None:
        log = self._sealed.find(stem)
        return log.entry if log is not None else None

    def _announce(self) -> None:
        self._version += 1
        for change, loop in self._waiting.items():
            loop.call_soon_threadsafe(_finish, change)
        self._waiting.clear()


def in_words(foreign: Mapping[str, int]) -> str:
    """How many logs carry each name, for people."""
    names = ", ".join(f"{count} of {name}" for name, count in sorted(foreign.items()))
    return f"{sum(foreign.values())} logs ({names})"


def _stem(entry: LogEntry) -> str:
    return entry.name.stem


def _finish(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)
