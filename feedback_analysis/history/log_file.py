"""Logs as files on disk, and the note of which of them were added to the history."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from feedback_analysis.reading.log_files import log_name, open_file, reading_from

_NO_TIME_S = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """`stem` is the part of the name that a log's other forms share; `begins_s` is Unix time.

    A file without the name of a log has its path as stem. Its start is not known, so it sorts last.
    """

    path: Path
    bytes: int
    modified_ns: int
    stem: str
    begins_s: int

    @classmethod
    def at(cls, path: Path) -> "LogFile":
        """The log at `path`; NotReadable if its state cannot be read."""
        with reading_from(path):
            found = path.stat()
        return cls.of(path, found.st_size, found.st_mtime_ns)

    @classmethod
    def of(cls, path: Path, size: int, modified_ns: int) -> "LogFile":
        """The log at `path`, whose size and time of change are known."""
        name = log_name(path)
        return cls(
            path=path,
            bytes=size,
            modified_ns=modified_ns,
            stem=str(path) if name is None else name.stem,
            begins_s=_NO_TIME_S if name is None else name.begins_s,
        )

    @property
    def name(self) -> str:
        return self.path.name

    def sha256(self) -> str:
        """The checksum of the content; NotReadable if it cannot be read."""
        with open_file(self.path) as file, reading_from(self.path):
            return hashlib.file_digest(file, "sha256").hexdigest()


def note(db: duckdb.DuckDBPyConnection, files: Mapping[LogFile, str], unreadable: Mapping[LogFile, int]) -> None:
    """Note that `files`, given with their SHA-256, were added, and how many records of each could not be read.

    The count of unreadable records of an earlier reading of the same log is set to 0. One statement notes all files.
    """
    last = {file.stem: file for file in files}
    db.execute("UPDATE logs SET unreadable = 0 WHERE unreadable > 0 AND stem IN (SELECT unnest($stems))", {"stems": list(last)})
    columns = {
        "name": [file.name for file in files],
        "stem": [file.stem for file in files],
        "bytes": [file.bytes for file in files],
        "modified_ns": [file.modified_ns for file in files],
        "sha256": list(files.values()),
        "unreadable": [unreadable.get(file, 0) if last[file.stem] is file else 0 for file in files],
    }
    db.execute(f"INSERT INTO logs SELECT {', '.join(f'unnest(${name})' for name in columns)}", columns)
