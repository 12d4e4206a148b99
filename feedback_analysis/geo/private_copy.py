"""Copies a location database into memory before it is read, so that changes of its file do not affect lookups.

A mapped file that is overwritten in place gives bytes of two databases, and one that is truncated ends the process (SIGBUS). The
reader is written in Rust, because the one in C writes past its memory when it reads a damaged database: one wrong byte in 200 ends
the process. The copy costs as much memory as the file has bytes.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import maxminddb_rust

FileState = tuple[int, ...]
"""Device, inode, size, and times of change of a file. If they change, the content may have changed."""


class LocationFileError(ValueError):
    """A location file is missing, damaged, or of another kind than needed."""


class Unparsable(ValueError):  # noqa: N818 - the name states the error
    """Bytes of a database that its parser cannot read; the text is the parser's reason."""


@contextmanager
def parsing() -> Iterator[None]:
    """Turn any error of the parser about the content into Unparsable; OSError and MemoryError pass unchanged.

    Damaged bytes make a parser raise many kinds of errors, such as UnicodeDecodeError.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        text = str(error).strip()
        raise Unparsable(text.splitlines()[0] if text else type(error).__name__) from error


def state_of(path: Path) -> FileState | None:
    """The state of the file; None if it cannot be read."""
    try:
        return _state(path.stat())
    except OSError:
        return None


def open_copy(path: Path) -> tuple[maxminddb_rust.Reader, FileState]:
    """A reader of a copy of the file, and the state that was copied; LocationFileError or OSError if it cannot be read."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe would wait for a writer
            raise LocationFileError(f"{path} is not a regular file; give the path of a location database (.mmdb)")
        with path.open("rb") as file, parsing():
            before = _state(os.fstat(file.fileno()))
            reader = maxminddb_rust.open_database(file, maxminddb_rust.MODE_FD)
            after = _state(os.fstat(file.fileno()))
    except FileNotFoundError as error:
        raise LocationFileError(f"{path} does not exist; give the path of a location database (.mmdb)") from error
    except Unparsable as error:
        raise LocationFileError(f"{path} is not a readable MaxMind DB file (.mmdb): {error}") from error
    if after != before:
        raise LocationFileError(f"{path} was changed while it was read; start again when it is complete")
    return reader, before


def _state(found: os.stat_result) -> FileState:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
