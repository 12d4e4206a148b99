"""Logs as they lie on disk, and which of them have been taken in: some hundred are noted in one statement, not each in its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from feedback_analysis.reading.log_files import log_name, open_file, reading_from

_NO_TIME_S = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """`stem` is what a log's other forms share with it, `begins_s` when it begins.

    A file that is no named log has its path for a stem; when it begins it does not say, so it comes last.
    """

    path: Path
    bytes: int
    modified_ns: int
    stem: str
    begins_s: int

    @classmethod
    def at(cls, path: Path) -> "LogFile":
        """The log at `path`; NotReadable if it cannot be looked at."""
        with reading_from(path):
            found, name = path.stat(), log_name(path)
        return cls(
            path=path,
            bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
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
    """Remember that `files`, given with their checksums, were taken in, and how many records of each could not be read.

    What an earlier reading of the same log could not read does not count any more.
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
