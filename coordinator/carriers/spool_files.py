"""The files in a spool folder: segments `000000000042.spool` of frames (docs/formats/frames.md), and the cursor.

A segment is written by one process and never appended to after a restart, so its torn end needs no repair.
"""

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from feedback_wire.frames import PREAMBLE
from serving.durable_files import lock, replace_file, sync_folder
from serving.regular_files import read_regular

_CURSOR = "cursor"
_CURSOR_TEXT = re.compile(r"([0-9]{1,18}) ([0-9]{1,18})\n")
_SUFFIX = ".spool"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A feedback server has stored everything before `offset` of `segment`."""

    segment: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        # A text without line feed may be torn, and the beginning of a number is a number too.
        found = _CURSOR_TEXT.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None

    @classmethod
    def read(cls, folder: Path) -> "Cursor | None":
        try:
            return cls.parse(read_regular(folder / _CURSOR).decode("ascii", errors="replace"))
        except FileNotFoundError:
            return None

    @staticmethod
    def remove(folder: Path) -> None:
        (folder / _CURSOR).unlink(missing_ok=True)

    def write(self, folder: Path) -> None:
        """Not durably, and without an error: an older cursor sends batches again under their old ids, which costs nothing.

        A full disk cannot take it, and only draining makes room there.
        """
        with contextlib.suppress(OSError):
            replace_file(folder / _CURSOR, f"{self}".encode(), durable=False)

    def __str__(self) -> str:
        return f"{self.segment} {self.offset}\n"


class SegmentWriter:
    """The segment that is being written."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.frames = self.records = 0
        self._path = segment_path(folder, number)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            write_all(self._file, PREAMBLE)
            sync_folder(folder)
        except OSError:
            self.close()
            self._path.unlink(missing_ok=True)
            raise
        self.size = len(PREAMBLE)

    def write(self, frame: bytes, records: int) -> None:
        """Return when the frame is durable. After an OSError, nothing more may be written."""
        try:
            write_all(self._file, frame)
            os.fdatasync(self._file)
            if not self._is_in_place():
                raise FileNotFoundError(errno.ENOENT, "another program removed it or moved its folder away", str(self._path))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(frame)
        self.frames += 1
        self.records += records

    def close(self) -> None:
        os.close(self._file)

    def _is_in_place(self) -> bool:
        """Whether a later start will find this file under its path."""
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}{_SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def used_numbers(folder: Path) -> list[int]:
    """The numbers of segments, and of removed segments whose damage is in a file that must not be overwritten."""
    return [int(path.name[:12]) for path in folder.iterdir() if path.name[:12].isdigit()]


def lock_folder(folder: Path) -> int:
    """A descriptor that holds the folder's lock. BlockingIOError if another process uses the spool; it would drain our batches."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(descriptor, f"the spool {folder} is in use by another coordinator; give each its own --spool")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
