"""Sealing: a closed journal becomes a log in the configured form, in the background, and only then goes away.

Write, fsync, rename, fsync of the folder, then remove the journal: a crash between any two of them leaves either a whole sealed log
or the whole journal, and recovery drops the one that is too many. While sealing fails, the journal simply stays on offer.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from queue import Empty, SimpleQueue

from feedback_server.archive import log_writer
from feedback_server.archive.framed import Inflated, line_frames
from feedback_server.counters import Counters
from feedback_server.folder import Folder
from feedback_server.retention import PatientClock, to_retire
from feedback_server.settings import FORMS, Settings
from feedback_server.shelf import Shelf
from feedback_wire.catalogue import LogEntry
from feedback_wire.frames import Damage
from feedback_wire.log_name import LogName

log = logging.getLogger(__name__)

RECENT = "recent-batches"
SEALING_SUFFIX = ".sealing"
_RETRY_S = 5.0
_RETENTION_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedJournal:
    """A journal that is written no more: its durable length, and the batch ids known when it was closed."""

    name: LogName
    length: int
    recent: bytes


def temporary(name: str) -> str:
    """What a file is called until it is whole."""
    return f".{name}{SEALING_SUFFIX}"


class Sealer(threading.Thread):
    """Seals closed journals in their order, and removes sealed logs whose time is over."""

    def __init__(self, settings: Settings, folder: Folder, *, shelf: Shelf, counters: Counters) -> None:
        super().__init__(name="sealer", daemon=True)
        self._settings = settings
        self._form = FORMS[settings.format]
        self._folder = folder
        self._shelf = shelf
        self._counters = counters
        self._queue: SimpleQueue[ClosedJournal | None] = SimpleQueue()
        self._pending: deque[ClosedJournal] = deque()
        self._clock = PatientClock(time.time(), time.monotonic())

    def seal_later(self, journal: ClosedJournal) -> None:
        self._queue.put(journal)

    def stop(self) -> None:
        """Seal what has been handed over, end."""
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        going_on = True
        while going_on:
            going_on = self._take()
            self._seal_pending()
            self._retire()

    def _take(self) -> bool:
        """Wait for a journal, or until something else is due; False when there will be no more."""
        try:
            journal = self._queue.get(timeout=_RETRY_S if self._pending else _RETENTION_EVERY_S)
        except Empty:
            return True
        if journal is not None:
            self._pending.append(journal)
        return journal is not None

    def _seal_pending(self) -> None:
        while self._pending:
            try:
                with self._counters.seal.timing():
                    self._seal(self._pending[0])
            except OSError as error:
                self._counters.seal_errors += 1
                log.warning("%s stays a journal for now, sealing it failed: %s", self._pending[0].name, error)
                return
            self._pending.popleft()

    def _seal(self, journal: ClosedJournal) -> None:
        sealed = journal.name.sealed(self._form)
        closed = self._shelf.find(journal.name.stem)
        records = self._write(journal, sealed)
        lost = closed.records - records if closed else 0
        with self._folder.replacing(RECENT, temporary=temporary(RECENT)) as file:
            file.write(journal.recent)
        if records:
            self._shelf.put(LogEntry(name=sealed, bytes=self._folder.size(str(sealed)), records=records))
            self._counters.sealed += 1
            self._counters.sealed_records += records
        else:
            self._shelf.remove(journal.name)
        self._counters.quarantined_records += lost
        self._folder.remove(str(journal.name))
        self._folder.sync()

    def _write(self, journal: ClosedJournal, sealed: LogName) -> int:
        """Write the sealed log; how many records it has. Without any, no log is made."""
        data = self._folder.read(str(journal.name), journal.length)
        frames = self._sound(journal.name, data)
        first = next(frames, None)
        if first is None:
            return 0
        with self._folder.replacing(str(sealed), temporary=temporary(str(sealed))) as file:
            log_file = log_writer(self._form, file)
            for frame in chain([first], frames):
                log_file.add(frame.text, frame.header.records)
            return log_file.finish()

    def _sound(self, name: LogName, data: bytes) -> Iterator[Inflated]:
        """The journal's frames; what is damaged goes into quarantine."""
        for found in line_frames(data):
            if isinstance(found, Inflated):
                yield found
            else:
                self._quarantine(name, data, found)

    def _quarantine(self, name: LogName, data: bytes, damage: Damage) -> None:
        self._folder.quarantine(f"{name}.{damage.offset}", data[damage.offset : damage.offset + damage.size])
        self._counters.quarantined += 1
        self._counters.quarantined_bytes += damage.size
        log.error(
            "%s: %d bytes from offset %d on are lost, they are kept in quarantine: %s",
            name,
            damage.size,
            damage.offset,
            damage.reason,
        )

    def _retire(self) -> None:
        """Remove sealed logs that are older or more than the operator wants."""
        now_s = int(self._clock.now_s(time.time(), time.monotonic()))
        for entry in to_retire(
            self._shelf.sealed(), now_s=now_s, keep_days=self._settings.keep_days, keep_bytes=self._settings.keep_bytes
        ):
            try:
                self._folder.remove(str(entry.name))
            except OSError as error:
                log.warning("%s could not be removed, its time is over: %s", entry.name, error)
                return
            self._shelf.remove(entry.name)
            self._counters.retired += 1
            self._counters.retired_bytes += entry.bytes
