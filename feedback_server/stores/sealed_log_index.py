"""The saved index of the sealed logs: written for the next start, and verified against the files.

The index only avoids opening millions of files at the start. The files decide: each one is checked once after every start, and a
file with another size or time than in the index is read again.
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

# A start reads this many logs in a tenth of a second, so this many may be missing in the index.
LEAST_CHANGES = 1000
_SHARE_OF_CHANGES = 100
# 500 files take 2 ms: a tenth of a core at most, and 2.6 million files two minutes.
_FILES_AT_ONCE = 500
_REST_S = 0.02
# The time of the last change to a folder advances in steps of up to 10 ms.
_STEP_NS = 20_000_000


class SealedLogIndex:
    """Saves the index of the sealed logs in `offered`."""

    def __init__(self, folder: DataFolder, offered: OfferedLogs) -> None:
        self._folder = folder
        self._offered = offered
        self._changes = 0

    def changed(self, logs: int = 1) -> None:
        """Count logs that were added or removed."""
        self._changes += logs

    def save_if_due(self) -> None:
        if self._changes >= max(LEAST_CHANGES, self._offered.totals()[0] // _SHARE_OF_CHANGES):
            self._keep(folder_ns=0)

    def close(self) -> None:
        """Save the index with the time of the folder, so that the next start sees whether anything has changed."""
        if self._folder.trouble is not None:
            return
        # Read the time first: a log that is put into the folder while it is listed changes the time.
        folder_ns = 0 if self._offered.journals() else self._settled_ns()
        self._keep(folder_ns=folder_ns if folder_ns and self._is_complete() else 0)

    def _is_complete(self) -> bool:
        """Whether the index has exactly the logs of the folder: a person may have added some while this server ran."""
        try:
            names = [name for name in self._folder.names() if "0" <= name < ":"]
        except OSError:
            return False
        return self._offered.holds_exactly(names)

    def _settled_ns(self) -> int:
        try:
            self._folder.make_state_folder()
        except OSError:
            return 0
        if time.time_ns() - self._folder.changed_ns() < _STEP_NS:
            time.sleep(_STEP_NS / 1e9)  # else a change within the same step would be invisible
        return self._folder.changed_ns()

    def _keep(self, folder_ns: int) -> None:
        self._changes = 0
        if self._folder.trouble is not None:
            return
        try:
            self._folder.save_state(SEALED_LOGS, self._offered.index(folder_ns))
        except OSError as error:
            log.warning("the index of the sealed logs is not saved, so the next start takes longer: %s", error)


class Verification(threading.Thread):
    """Compares all sealed logs known at the start with their files, once and slowly."""

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
            log.warning("%s cannot be checked: %s", name, error)
            return
        if self._offered.find(name.stem) != known.entry:
            return  # this server has removed or replaced it meanwhile
        if found is None or not found.entry.bytes:
            log.warning("%s is missing or empty: it was removed by another process", name)
            self._offered.remove(name)
        else:
            log.warning("%s has changed since this server last read it: it is read again", name)
            self._offered.put(found.entry, written_ns=found.written_ns)


def counted(folder: DataFolder, name: LogName) -> SealedLog:
    """The entry of a sealed log, also of a damaged one: its readers can save the whole frames."""
    with folder.reading(str(name)) as file:  # opened once, without a buffer: a first start may read millions
        found, count = os.fstat(file.fileno()), _count(file, name.form)
    if count is None:
        log.error("%s is damaged: its end is missing; swarmscope logs verify shows the details", name)
    entry = LogEntry(name=name, bytes=found.st_size, records=count or 0)
    return SealedLog(entry=entry, written_ns=found.st_mtime_ns)


def record_count(folder: DataFolder, name: LogName) -> int | None:
    """The number of records of a sealed log; None if it is incomplete."""
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
