"""Imported records as log files, by the time that they have: a folder that every reader of logs takes for a feedback server's.

All logs are written under temporary names and get their own at the end, so an import that fails leaves nothing behind.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from feedback_server.forms import log_writer
from feedback_wire.log_name import Form, LogName
from serving.durable_files import sync_folder
from swarmscope.importing.rows import Feedback

RECORDS_AT_ONCE = 4096


class LogFolder:
    """A folder to write logs of `form` into, one for each period of `roll_s` seconds, as the server `name`."""

    def __init__(self, folder: Path, *, name: str, form: Form, roll_s: int) -> None:
        self._folder = folder
        self._server = name
        self._form = form
        self._roll_s = roll_s
        self._written: list[LogName] = []

    @contextmanager
    def writing(self) -> Iterator["LogFolder"]:
        """Logs that are added within appear when it ends without an error. FileExistsError if one of them is there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            yield self
            self._give_names()
        finally:
            for log in self._written:
                self._unfinished(log).unlink(missing_ok=True)

    def add(self, records: Iterable[tuple[Feedback, bytes]]) -> int:
        """Write records, which come in order of time; how many logs they make."""
        for begins_s, period in groupby(records, lambda each: each[0].time_ms // 1000 // self._roll_s * self._roll_s):
            log = LogName(begins_s=begins_s, server=self._server, part=0, form=self._form)
            if (self._folder / str(log)).exists():
                raise FileExistsError(
                    f"{self._folder / str(log)} is there already: choose another folder with --into, or another --name"
                )
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

    def _give_names(self) -> None:
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
