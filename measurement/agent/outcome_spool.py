"""Outcomes that wait for the master, on disk. They survive a restart of the agent, and the time without a master.

Each outcome is a file, written durably before it is delivered and removed when the master has acknowledged it. The master refuses
one that it has got before, so a crash between the two loses nothing and counts nothing twice.
"""

import logging
import os
import re
from pathlib import Path

import msgspec

from measurement.checked_json import checked, verified
from measurement.control_messages import Report
from serving.durable_files import lock, make_folder, replace_file
from serving.regular_files import read_regular

_NAME = re.compile(r"\d{12}\.json")

log = logging.getLogger(__name__)


class OutcomeSpool:
    """Open for one process at a time; OSError if the folder cannot be used."""

    def __init__(self, folder: Path, most: int) -> None:
        make_folder(folder)
        self._folder, self._most = folder, most
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        lock(self._descriptor, f"{folder} is in use by another agent")
        self._names = sorted(each.name for each in folder.iterdir() if _NAME.fullmatch(each.name))
        self._last = int(self._names[-1].removesuffix(".json")) if self._names else 0
        self.dropped = 0
        """The number of outcomes that did not fit, or could not be written or read."""

    def __len__(self) -> int:
        return len(self._names)

    def add(self, report: Report) -> None:
        """Store an outcome; it is durable when this returns. If the disk refuses it, it is lost and counted."""
        self._last += 1
        name = f"{self._last:012}.json"
        try:
            replace_file(self._folder / name, checked(msgspec.json.encode(report)))
        except OSError as error:
            self.dropped += 1
            log.error("an outcome is lost, because the spool cannot be written: %s", error)  # noqa: TRY400 - no traceback
            return
        self._names.append(name)
        while len(self._names) > self._most:
            self.dropped += 1
            log.error("the spool is full: its oldest outcome is dropped")
            self.remove(self._names[:1])

    def first(self, most: int) -> list[tuple[str, Report]]:
        """The oldest outcomes with their names."""
        found: list[tuple[str, Report]] = []
        for name in self._names[:most]:
            try:
                found.append((name, msgspec.json.decode(verified(read_regular(self._folder / name)), type=Report)))
            except (OSError, ValueError, RecursionError) as error:
                self.dropped += 1
                log.error("the outcome %s cannot be read and is dropped: %s", name, error)  # noqa: TRY400
                self.remove([name])
        return found

    def remove(self, names: list[str]) -> None:
        """Remove outcomes that the master has acknowledged."""
        for name in names:
            (self._folder / name).unlink(missing_ok=True)
        gone = set(names)
        self._names = [name for name in self._names if name not in gone]

    def close(self) -> None:
        os.close(self._descriptor)
