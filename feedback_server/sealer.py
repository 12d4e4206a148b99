"""Sealing: a background thread turns each closed journal into a log in the configured form, and then removes the journal.

The order is: write, fsync, rename, fsync of the folder, remove the journal. A crash between any two steps leaves a whole sealed log
or the whole journal, and recovery removes the surplus one. If sealing fails, the journal is still offered, and is tried again after
the other waiting journals: one unreadable journal must not block the later ones.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from queue import Empty, SimpleQueue

from feedback_server.counters import Counters
from feedback_server.forms import log_writer
from feedback_server.forms.framed import Inflated, line_frames
from feedback_server.journal import ClosedJournal
from feedback_server.log_retention import LogRetention
from feedback_server.settings import FORMS, Settings
from feedback_server.stores.data_folder import WRITE_ERRORS, DataFolder, reason_of
from feedback_server.stores.folder_layout import RECENT_BATCHES
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.stores.sealed_log_index import SealedLogIndex
from feedback_wire.catalogue import LogEntry
from feedback_wire.frames import Damage, walk
from feedback_wire.log_name import LogName
from serving.few_lines import few_lines

log = logging.getLogger(__name__)

_RETRY_S = 5.0
_RETENTION_EVERY_S = 60.0


class Sealer(threading.Thread):
    """Seals closed journals in order, and removes sealed logs that have expired."""

    def __init__(self, settings: Settings, folder: DataFolder, *, offered: OfferedLogs, counters: Counters) -> None:
        super().__init__(name="sealer", daemon=True)
        self._settings = settings
        self._form = FORMS[settings.format]
        self._folder = folder
        self._offered = offered
        self._counters = counters
        self._queue: SimpleQueue[ClosedJournal | None] = SimpleQueue()
        self._pending: deque[ClosedJournal] = deque()
        self._to_remove: set[LogName] = set()
        """Journals that are sealed and counted; they wait only for their removal."""
        self._newest_saved = ""
        """The stem of the journal whose batch ids were saved last."""
        self._reported: set[str] = set()
        """The current reasons for failures that are logged already."""
        self._retention = LogRetention(settings, folder, offered=offered, counters=counters)
        self.index = SealedLogIndex(folder, offered)

    def seal_later(self, journal: ClosedJournal) -> None:
        self._queue.put(journal)

    def stop(self) -> None:
        """Seal all journals in the queue, and end the thread."""
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        self._retention.remove_expired()
        running = True
        while running:
            running = self._wait_for_journal()
            self._seal_pending()
            self._retention.remove_expired()
            self.index.save_if_due()
        self._retention.save_lived_time()
        self.index.close()

    def _wait_for_journal(self) -> bool:
        """Wait for a journal, or for the next regular task; False if no more journals will come."""
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
            except WRITE_ERRORS as error:
                self._counters.seal_errors += 1
                self._report(self._pending[0].name, error)
                self._pending.rotate(-1)
                return
            self._pending.popleft()
        if self._reported:
            self._reported.clear()
            log.warning("sealing works again; no journal waits any more")

    def _report(self, name: LogName, error: OSError | MemoryError) -> None:
        """Log each reason once, because sealing is tried again every few seconds."""
        why = reason_of(error)
        if why not in self._reported:
            self._reported.add(why)
            log.warning("%s stays a journal for now, because sealing it failed: %s; it is tried again until it works", name, why)

    def _seal(self, journal: ClosedJournal) -> None:
        """Seal a journal and remove it. A repeated try after a failed removal or sync neither seals nor counts again."""
        if journal.name not in self._to_remove:
            self._replace(journal)
            self._to_remove.add(journal.name)
        self._folder.remove(str(journal.name))
        self._folder.sync()
        self._to_remove.remove(journal.name)

    def _replace(self, journal: ClosedJournal) -> None:
        """Offer the sealed log in place of the journal, and count it."""
        try:
            data = self._folder.read(str(journal.name), journal.length)
        except FileNotFoundError:
            self._count_missing_journal(journal)
            return
        sealed = journal.name.sealed(self._form)
        closed = self._offered.find(journal.name.stem)
        records = self._write(journal.name, data, sealed)
        lost = closed.records - records if closed else 0
        self._save_batch_ids(journal)
        if records:
            entry = LogEntry(name=sealed, bytes=self._folder.size(str(sealed)), records=records)
            self._offered.put(entry, written_ns=self._folder.written_ns(str(sealed)))
            self.index.count_changes(1)
            self._counters.sealed += 1
            self._counters.sealed_records += records
        else:
            self._offered.remove(journal.name)
        self._counters.quarantined_records += lost

    def _save_batch_ids(self, journal: ClosedJournal) -> None:
        """Save the batch ids, unless a later journal has been sealed first: it has the ids of all earlier ones too."""
        if journal.name.stem < self._newest_saved:
            return
        with self._folder.replacing(RECENT_BATCHES) as file:
            file.write(journal.recent)
        self._newest_saved = journal.name.stem

    def _count_missing_journal(self, journal: ClosedJournal) -> None:
        """Count the records of a journal that a person or another process removed."""
        closed = self._offered.find(journal.name.stem)
        lost = closed.records if closed else 0
        self._offered.remove(journal.name)
        self._counters.quarantined_records += lost
        log.error("%s was removed by another process before it was sealed: %d acknowledged records are lost", journal.name, lost)

    def _write(self, name: LogName, data: bytes, sealed: LogName) -> int:
        """Write the sealed log and return its number of records. Without records, no file is written."""
        frames = self._whole_frames(name, data)
        first = next(frames, None)
        if first is None:
            return 0
        with self._folder.replacing(str(sealed)) as file:
            log_file = log_writer(self._form, file, name.kind)
            for frame in chain([first], frames):
                log_file.add(frame.text, frame.header.records)
            return log_file.finish()

    def _whole_frames(self, name: LogName, data: bytes) -> Iterator[Inflated]:
        """The journal's whole frames; damaged bytes go into quarantine."""
        with few_lines(log.error, f"damaged parts of {name}") as report:
            for found in line_frames(walk(data)):
                if isinstance(found, Inflated):
                    yield found
                else:
                    self._quarantine(name, data, found, report)

    def _quarantine(self, name: LogName, data: bytes, damage: Damage, report: Callable[[str], None]) -> None:
        is_new = self._folder.quarantine(f"{name}.{damage.offset}", data[damage.offset : damage.offset + damage.size])
        if not is_new:  # recovery or an earlier try counted it
            return
        self._counters.quarantined += 1
        self._counters.quarantined_bytes += damage.size
        where = f"{damage.size} bytes from offset {damage.offset} on"
        report(f"{name}: {where} are damaged and kept in quarantine: {damage.reason}")
