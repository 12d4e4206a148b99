"""Compare the saved index of the sealed logs with the files, once after every start.

A start trusts the index, because opening millions of files takes minutes. A file with another size or time than in the index is
read again.
"""

import logging
import threading

from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.stores.sealed_files import read_sealed_log
from feedback_server.stores.sealed_logs import SealedLog

log = logging.getLogger(__name__)

# 500 files take 2 ms: a tenth of a core at most, and 2.6 million files two minutes.
_FILES_AT_ONCE = 500
_PAUSE_S = 0.02


class IndexVerification(threading.Thread):
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
        while (logs := self._offered.sealed_after(stem, _FILES_AT_ONCE)) and not self._ended.wait(_PAUSE_S):
            for known in logs:
                self._verify(known)
            stem = logs[-1].entry.name.stem

    def _verify(self, known: SealedLog) -> None:
        name = known.entry.name
        try:
            if (self._folder.size(str(name)), self._folder.written_ns(str(name))) == (known.entry.bytes, known.written_ns):
                return
            found = read_sealed_log(self._folder, name)
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
