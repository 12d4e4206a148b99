"""The saved index of the sealed logs, written for the next start.

The index only avoids opening millions of files at the start. The files decide: `feedback_server/index_verification.py` compares
each file once after every start.
"""

import logging
import time

from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.folder_layout import SEALED_LOGS, may_be_log
from feedback_server.stores.offered_logs import OfferedLogs

log = logging.getLogger(__name__)

# A start reads this many logs in a tenth of a second, so this many may be missing in the index.
LEAST_CHANGES = 1000
_SHARE_OF_CHANGES = 100
# The time of the last change to a folder advances in steps of up to 10 ms.
_STEP_NS = 20_000_000


class SealedLogIndex:
    """Saves the index of the sealed logs in `offered`."""

    def __init__(self, folder: DataFolder, offered: OfferedLogs) -> None:
        self._folder = folder
        self._offered = offered
        self._changes = 0

    def count_changes(self, logs: int) -> None:
        """Count logs that are offered but missing in the saved index."""
        self._changes += logs

    def save_if_due(self) -> None:
        """Save the index if so many logs are missing in it that the next start would take long."""
        if self._changes >= max(LEAST_CHANGES, self._offered.totals()[0] // _SHARE_OF_CHANGES):
            self._save(folder_ns=0)

    def close(self) -> None:
        """Save the index with the time of the folder, so that the next start sees whether anything has changed."""
        if self._folder.read_only_reason is not None:
            return
        # Read the time first: a log that is put into the folder while it is listed changes the time.
        folder_ns = 0 if self._offered.journals() else self._settled_ns()
        self._save(folder_ns=folder_ns if folder_ns and self._is_complete() else 0)

    def _is_complete(self) -> bool:
        """Whether the index has exactly the logs of the folder: a person may have added some while this server ran."""
        try:
            names = [name for name in self._folder.names() if may_be_log(name)]
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

    def _save(self, folder_ns: int) -> None:
        self._changes = 0
        if self._folder.read_only_reason is not None:
            return
        try:
            self._folder.save_state(SEALED_LOGS, self._offered.to_bytes(folder_ns))
        except OSError as error:
            log.warning("the index of the sealed logs is not saved, so the next start takes longer: %s", error)
