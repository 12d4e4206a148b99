"""The logs that the server offers now. Threads add logs, requests read the list, and long polls wait for a change.

Each stem has one entry, so sealing replaces the journal by the sealed log in one step: readers see one of them, never both or none.
"""

import asyncio
import secrets
import threading
from collections.abc import Collection, Iterable, Mapping

from feedback_server.stores.sealed_logs import SealedLog, SealedLogs, names_sum
from feedback_wire.catalogue import MOST_LOGS, Catalogue, LogEntry
from feedback_wire.log_name import LogName


class OfferedLogs:
    """The logs of one kind of a running server. All methods are thread-safe; `wait_for_change` is for the event loop only."""

    def __init__(self, server: str, entries: Iterable[LogEntry] = (), *, sealed: SealedLogs | None = None) -> None:
        self._server = server
        self._sealed = SealedLogs() if sealed is None else sealed
        self._journals: dict[str, LogEntry] = {}
        self._lock = threading.Lock()
        self._run = secrets.token_hex(4)  # an ETag of an earlier run must not match by accident
        self._version = 0
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        for entry in entries:
            self.put(entry)

    @property
    def etag(self) -> str:
        return f'"{self._run}-{self._version}"'

    def put(self, entry: LogEntry, *, written_ns: int = 0) -> None:
        """Offer a log in place of an earlier one with its stem. `written_ns` is the last write to a sealed log's file."""
        with self._lock:
            stem = entry.name.stem
            if entry.sealed:
                self._sealed.put(SealedLog(entry=entry, written_ns=written_ns))
                self._journals.pop(stem, None)
            else:
                self._journals[stem] = entry
            self._notify()

    def remove(self, name: LogName) -> None:
        with self._lock:
            was_journal = self._journals.pop(name.stem, None) is not None
            if self._sealed.remove(name.stem) or was_journal:
                self._notify()

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
        """At most `most` sealed logs with a greater stem, and when their files were written."""
        with self._lock:
            found = self._sealed.after(stem, most)
        return list(found)

    def begins_s(self) -> list[int]:
        """When each sealed log begins, Unix time in seconds."""
        with self._lock:
            return self._sealed.begins_s()

    def foreign(self) -> dict[str, int]:
        """The number of sealed logs per other server name: from before a renaming, or from a copied folder."""
        with self._lock:
            return {server: count for server, count in self._sealed.counts().items() if server != self._server}

    def journals(self) -> list[LogEntry]:
        """The offered journals: the open one, and those that wait to be sealed."""
        with self._lock:
            return list(self._journals.values())

    def totals(self) -> tuple[int, int]:
        """The number of sealed logs, and their bytes."""
        with self._lock:
            return len(self._sealed), self._sealed.bytes

    def after(self, stem: str = "", limit: int = MOST_LOGS) -> tuple[Catalogue, str]:
        """At most `limit` logs with a greater stem, and the ETag of exactly this state."""
        with self._lock:
            sealed = self._sealed.after(stem, limit + 1)
            journals = [entry for each, entry in self._journals.items() if each > stem]
            etag = self.etag
        found = sorted([*(log.entry for log in sealed), *journals], key=_stem)
        return Catalogue(server=self._server, logs=tuple(found[:limit]), more=len(found) > limit), etag

    def holds_exactly(self, names: Collection[str]) -> bool:
        """Whether `names` are exactly the names of the sealed logs."""
        with self._lock:
            return len(names) == len(self._sealed) and names_sum(names) == self._sealed.names_sum

    def to_bytes(self, folder_ns: int) -> bytes:
        """The sealed logs as bytes, to be saved for the next start."""
        with self._lock:
            return self._sealed.to_bytes(folder_ns)

    async def wait_for_change(self, etag: str, *, within_s: float) -> None:
        """Return as soon as the ETag differs from `etag`, or after `within_s` seconds."""
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

    def end_waits(self) -> None:
        """End all waits for a change, because the server stops."""
        with self._lock:
            self._notify()

    def _sealed_entry(self, stem: str) -> LogEntry | None:
        log = self._sealed.find(stem)
        return log.entry if log is not None else None

    def _notify(self) -> None:
        self._version += 1
        for change, loop in self._waiting.items():
            loop.call_soon_threadsafe(_finish, change)
        self._waiting.clear()


def foreign_text(foreign: Mapping[str, int]) -> str:
    """The number of logs per server name, for people."""
    names = ", ".join(f"{count} of {name}" for name, count in sorted(foreign.items()))
    return f"{sum(foreign.values())} logs ({names})"


def _stem(entry: LogEntry) -> str:
    return entry.name.stem


def _finish(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)
