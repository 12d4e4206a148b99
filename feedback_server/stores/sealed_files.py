"""Read what the index has of a sealed log from the log's file."""

import logging
import os

from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.sealed_logs import SealedLog
from feedback_wire.catalogue import LogEntry
from feedback_wire.frames import HEADER_BYTES, footer_records
from feedback_wire.log_name import Form, LogName

log = logging.getLogger(__name__)


def read_sealed_log(folder: DataFolder, name: LogName) -> SealedLog:
    """The entry of a sealed log, also of a damaged one: its readers can save the whole frames."""
    found, count = _status_and_count(folder, name)
    if count is None:
        log.error("%s is damaged: its end is missing; swarmscope logs verify shows the details", name)
    entry = LogEntry(name=name, bytes=found.st_size, records=count or 0)
    return SealedLog(entry=entry, written_ns=found.st_mtime_ns)


def record_count(folder: DataFolder, name: LogName) -> int | None:
    """The number of records of a sealed log; None if it is incomplete."""
    try:
        return _status_and_count(folder, name)[1]
    except OSError:
        return None


def _status_and_count(folder: DataFolder, name: LogName) -> tuple[os.stat_result, int | None]:
    """The status of a file and its number of records, from its end; None if the log is incomplete."""
    if name.form is not Form.PARQUET:
        found, end = folder.end_of(str(name), HEADER_BYTES)
        return found, footer_records(end)
    from feedback_server.forms.parquet_log import record_count as rows_of

    with folder.reading(str(name)) as file:
        found = os.fstat(file.fileno())
        try:
            return found, rows_of(file)
        except (OSError, ValueError):
            return found, None
