"""Read what the index has of a sealed log from the log's file."""

import logging
import os
from io import FileIO

from feedback_server.forms.reading import sealed_count
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.sealed_logs import SealedLog
from feedback_wire.catalogue import LogEntry
from feedback_wire.log_name import Form, LogName

log = logging.getLogger(__name__)


def read_sealed_log(folder: DataFolder, name: LogName) -> SealedLog:
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
