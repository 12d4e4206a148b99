"""What the index of the sealed logs needs: it is kept for the next start, and compared with the files behind it.

The index only spares opening millions of files at a start. The files count: each is looked at once after every start, and one that
has another size or time than the index says is counted anew.
"""

import logging
import os
import threading
import time
from io import FileIO

from feedback_server.forms.reading import sealed_count
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.stores.sealed_logs import SEALED_LOGS, SealedLog
from feedback_wire.catalogue import LogEntry
from feedback_wire.log_name import Form, LogName

log = logging.getLogger(__name__)

# A start counts so many logs in a tenth of a second, so that so many may be missing in the index.
LEAST_CHANGES = 1000
_SHARE_OF_CHANGES = 100
# 500 files take 2 ms: a tenth of a core at most, and 2.6 million files two minutes.
_FILES_AT_ONCE = 500
_REST_S = 0.02
# The time of change of a folder goes on in steps of up to 10 ms.
_STEP_NS = 20_000_000


class SealedLogIndex:
    """The index on the disk of the logs on `offered`."""

    def __init__(self, folder: DataFolder, offered: OfferedLogs) -> None:
        self._folder = folder
        self._offered = offered
        self._changes = 0

    def changed(self, logs: int = 1) -> None:
        """Note that logs have come or gone."""
        self._changes += logs

    def keep_if_due(self) -> None:
        if self._changes >= max(LEAST_CHANGES, self._offered.totals()[0] // _SHARE_OF_CHANGES):
            self._keep(folder_ns=0)

    def close(self) -> None:
        """Keep the index, with what tells the next start that nothing has changed since."""
        if self._folder.trouble is not None:
            return
        # The time first: a log that is put into the folder while it is listed changes the time.
        folder_ns = 0 if self._offered.journals() else self._settled_ns()
        self._keep(folder_ns=folder_ns if folder_ns and self._is_complete() else 0)

    def _is_complete(self) -> bool:
        """Whether the offered has exactly the logs of the folder: others may have been put there while this server ran."""
        try:
            names = [name for name in self._folder.names() if "0" <= name < ":"]
        except OSError:
            return False
        return self._offered.holds_exactly(names)

    def _settled_ns(self) -> int:
        try:
            self._folder.make_state()
        except OSError:
            return 0
        if time.time_ns() - self._folder.changed_ns() < _STEP_NS:
            time.sleep(_STEP_NS / 1e9)  # else a change in the same step would not show
        return self._folder.changed_ns()

    def _keep(self, folder_ns: int) -> None:
        self._changes = 0
        if self._folder.trouble is not None:
            return
        try:
            self._folder.keep_state(SEALED_LOGS, self._offered.index(folder_ns))
        except OSError as error:
            log.warning("the index of the sealed logs is not kept, so the next start takes longer: %s", error)


class Verification(threading.Thread):
    """Compares all sealed logs that were known at the start with their files, once, and little by little."""

    def __init__(self, folder: DataFolder, offered: OfferedLogs) -> None:
        super().__init__(name="verification", daemon=True)
        self._folder = folder
        self._offered = offered
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        stem = ""
        while (logs := self._offered.sealed_after(stem, _FILES_AT_ONCE)) and not self._ended.wait(_REST_S):
            for known in logs:
                self._verify(known)
            stem = logs[-1].entry.name.stem

    def _verify(self, known: SealedLog) -> None:
        name = known.entry.name
        try:
            if (self._folder.size(str(name)), self._folder.written_ns(str(name))) == (known.entry.bytes, known.written_ns):
                return
            found = counted(self._folder, name)
        except FileNotFoundError:
            found = None
        except OSError as error:
            log.warning("%s cannot be looked at: %s", name, error)
            return
        if self._offered.find(name.stem) != known.entry:
            return  # it has been removed or replaced meanwhile, by this server
        if found is None or not found.entry.bytes:
            log.warning("%s is not there any more, or empty: somebody removed it", name)
            self._offered.remove(name)
        else:
            log.warning("%s is not as it was when this server last saw it: it is counted anew", name)
            self._offered.put(found.entry, written_ns=found.written_ns)


def counted(folder: DataFolder, name: LogName) -> SealedLog:
    """A sealed log as it is offered; a damaged one too, as long as there is something that its reader can save."""
    with folder.reading(str(name)) as file:  # opened once, and without a buffer: at a first start there may be millions
        found, count = os.fstat(file.fileno()), _count(file, name.form)
    if count is None:
        log.error("%s is damaged: its end is missing; swarmscope logs verify tells more", name)
    entry = LogEntry(name=name, bytes=found.st_size, records=count or 0)
    return SealedLog(entry=entry, written_ns=found.st_mtime_ns)


def record_count(folder: DataFolder, name: LogName) -> int | None:
    """How many records a sealed log has; None if it is not whole."""
    try:
        with folder.reading(str(name)) as file:
            return _count(file, name.form)
    except OSError:
        return None


def _count(file: FileIO, form: Form) -> int | None:
    try:
        return sealed_count(file, form)
    except (OSError, ValueError):
        return None
