"""Copies a location database into memory before it is read, so that changes of its file do not affect lookups.

A mapped file that is overwritten in place gives bytes of two databases, and one that is truncated ends the process (SIGBUS). The
copy is an anonymous file in memory (memfd), which the compiled reader maps: a lookup takes 2 µs. maxminddb's own MODE_MEMORY and
MODE_FD use its reader in Python, which takes 39 µs. The copy costs as much memory as the file has bytes.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import maxminddb

_CHUNK_BYTES = 1024 * 1024

FileState = tuple[int, ...]
"""Device, inode, size, and times of change of a file. If they change, the content may have changed."""


class LocationFileError(ValueError):
    """A location file is missing, damaged, or of another kind than needed."""


class Unparsable(ValueError):  # noqa: N818 - the name states the error
    """Bytes of a database that its parser cannot read; the text is the parser's reason."""


@contextmanager
def parsing() -> Iterator[None]:
    """Turn any error of the parser about the content into Unparsable; OSError and MemoryError pass unchanged."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    # There is a parser in C and one in Python. Damaged bytes make them raise many kinds of errors, such as UnicodeDecodeError.
    except Exception as error:
        text = str(error).strip()
        raise Unparsable(text.splitlines()[0] if text else type(error).__name__) from error


def state_of(path: Path) -> FileState | None:
    """The state of the file; None if it cannot be read."""
    try:
        return _state(path.stat())
    except OSError:
        return None


def open_copy(path: Path) -> tuple[maxminddb.Reader, FileState]:
    """A reader of a copy of the file, and the state that was copied; LocationFileError or OSError if it cannot be read."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe would wait for a writer
            raise LocationFileError(f"{path} is no regular file; give the path of a location database (.mmdb)")
        with path.open("rb") as file, parsing():
            before = _state(os.fstat(file.fileno()))
            reader = _reader_of(file)
            after = _state(os.fstat(file.fileno()))
    except FileNotFoundError as error:
        raise LocationFileError(f"{path} does not exist; give the path of a location database (.mmdb)") from error
    except Unparsable as error:
        # The parser names the file that it opened, which is our copy.
        reason = re.sub(r"\(?/proc/self/fd/\d+\)?", "", str(error)).strip()
        raise LocationFileError(f"{path} is not a readable MaxMind DB file (.mmdb): {reason}") from error
    if after != before:
        raise LocationFileError(f"{path} was changed while it was read; start again when it is complete")
    return reader, before


def _reader_of(file: BinaryIO) -> maxminddb.Reader:
    try:
        return _mapped_reader_of(file)
    except (OSError, AttributeError):
        # macOS has no memfd, a hardened kernel may refuse it (vm.memfd_noexec), and /proc may be missing.
        file.seek(0)
        return maxminddb.open_database(file, maxminddb.MODE_FD)


def _mapped_reader_of(file: BinaryIO) -> maxminddb.Reader:
    copy = os.memfd_create("location database")
    try:
        with os.fdopen(os.dup(copy), "wb") as into:
            shutil.copyfileobj(file, into, _CHUNK_BYTES)
        return maxminddb.open_database(f"/proc/self/fd/{copy}")
    finally:
        os.close(copy)


def _state(found: os.stat_result) -> FileState:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
