"""Writes imported records as logs, by the time of each record. Readers of logs treat the folder like a feedback server's.

All logs have temporary names until the end, so a failed import leaves no logs behind.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from feedback_server.forms import log_writer
from feedback_wire.log_name import Form, LogName
from serving.durable_files import sync_folder
from swarmscope.importing.row_reader import ImportedMessage

RECORDS_AT_ONCE = 4096


class LogFolder:
    """A folder for logs of this `form`: one log per `roll_s` seconds, with the server name `name`."""

    def __init__(self, folder: Path, *, name: str, form: Form, roll_s: int) -> None:
        self._folder = folder
        self._server = name
        self._form = form
        self._roll_s = roll_s
        self._written: list[LogName] = []

    @contextmanager
    def writing(self) -> Iterator["LogFolder"]:
        """Logs that are added inside this context appear at its end, unless it raises. FileExistsError if one of the
        logs exists.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            yield self
            self._rename_all()
        finally:
            for log in self._written:
                self._unfinished(log).unlink(missing_ok=True)

    def add(self, records: Iterable[tuple[ImportedMessage, bytes]]) -> int:
        """Write records, which must be in order of time. Returns the number of logs."""
        for begins_s, period in groupby(records, lambda each: each[0].time_ms // 1000 // self._roll_s * self._roll_s):
            log = LogName(begins_s=begins_s, server=self._server, part=0, form=self._form)
            if (self._folder / str(log)).exists():
                raise FileExistsError(f"{self._folder / str(log)} already exists: use another folder for --into, or another --name")
            self._written.append(log)
            self._write(log, (line for _, line in period))
        return len(self._written)

    def _write(self, log: LogName, lines: Iterable[bytes]) -> None:
        with self._unfinished(log).open("wb") as file:
            writer = log_writer(self._form, file)
            for chunk in _chunks(lines):
                writer.add(b"".join(chunk), len(chunk))
            writer.finish()
            file.flush()
            os.fsync(file.fileno())

    def _rename_all(self) -> None:
        for log in self._written:
            self._unfinished(log).rename(self._folder / str(log))
        sync_folder(self._folder)

    def _unfinished(self, log: LogName) -> Path:
        return self._folder / f".{log}.unfinished"


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == RECORDS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
