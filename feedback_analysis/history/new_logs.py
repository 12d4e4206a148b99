"""Searches folders for logs that a history does not have. Memory and time do not grow much with the number of known logs.

A folder can have millions of logs. So its entries are read as a stream, and the new logs wait in a temporary table. `SettledFiles`
remembers between searches which files need no check.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from feedback_analysis.history.log_file import LogFile
from feedback_analysis.reading.log_files import (
    UnreadLog,
    find_logs,
    is_folder,
    is_passed_over,
    is_utf_8,
    preferred_instead,
    reason_of,
    stream_entries,
    why_no_file,
)
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LOG_NAME, Form, kind_of

LOOK_AGAIN = 5_000
"""The number of settled files that each search checks again."""

_AT_ONCE = 50_000
_PAGE = 2_000
_JOURNAL = f".{Form.JOURNAL}"

_Marks = npt.NDArray[np.int64]


class SettledFiles:
    """Files that need no check: known logs, journals, and files that are no logs. Each takes 8 bytes.

    A file is recognised by a hash of its path and inode. A file that is replaced has another inode, so the next search finds it. A
    file that is changed in place is found when its turn comes: within one search up to `LOOK_AGAIN` files, later for more.
    """

    def __init__(self) -> None:
        self._marks: _Marks = np.empty(0, np.int64)
        self._next: list[_Marks] = []
        self._searches = 0

    def begin(self) -> None:
        """Begin a search. A file that it does not settle again is forgotten at its end."""
        self._next = []
        self._searches += 1

    def unsettled(self, entries: list[os.DirEntry[str]]) -> list[tuple[int, os.DirEntry[str]]]:
        """The `entries` that need a check, each with its mark."""
        marks = np.array([hash((entry.path, entry.inode())) for entry in entries], np.int64)
        turns = 1 + len(self._marks) // LOOK_AGAIN
        known = self._among_settled(marks) & (marks % turns != self._searches % turns)
        self._next.append(marks[known])
        return [(int(marks[at]), entries[at]) for at in np.flatnonzero(~known).tolist()]

    def _among_settled(self, marks: _Marks) -> npt.NDArray[np.bool_]:
        if not self._marks.size:
            return np.zeros(len(marks), np.bool_)
        at = np.searchsorted(self._marks, marks)
        among: npt.NDArray[np.bool_] = self._marks[np.minimum(at, self._marks.size - 1)] == marks
        return among

    def settle(self, marks: Iterable[int]) -> None:
        """Note that the files with these `marks` need no check in the next searches."""
        self._next.append(np.fromiter(marks, np.int64))

    def end(self) -> None:
        """End a search that has seen all files."""
        self._marks = np.sort(np.concatenate([*self._next, np.empty(0, np.int64)]))
        self._next = []


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLogs:
    """The new logs, in a temporary table of `cursor`, and the files and folders that cannot be read."""

    cursor: duckdb.DuckDBPyConnection
    folders: Sequence[Path]
    bytes: int
    count: int
    unread: tuple[UnreadLog, ...]
    passed_over: tuple[Path, ...]

    def by_time(self) -> Iterator[LogFile]:
        """The new logs in the order of their time."""
        for first in range(1, self.count + 1, _PAGE):
            rows = self.cursor.execute(
                "SELECT folder, name, bytes, modified_ns FROM new_logs WHERE place BETWEEN $first AND $last ORDER BY place",
                {"first": first, "last": first + _PAGE - 1},
            ).fetchall()
            for folder, name, size, modified_ns in rows:
                yield LogFile.of(self.folders[folder] / name, size, modified_ns)


def search(cursor: duckdb.DuckDBPyConnection, paths: Sequence[Path], settled: SettledFiles) -> NewLogs:
    """The sealed logs among and below `paths` whose name, size and time of change are not in the table `logs`.

    FileNotFoundError for a path that does not exist, ValueError for a file that is no log.
    """
    named = find_logs(path for path in paths if not is_folder(path))
    found = _Found(cursor, list(named.unread))
    found.unread += (UnreadLog(path, "its name is not UTF-8; rename it") for path in named.logs if not is_utf_8(path.name))
    sealed = (path for path in named.logs if is_utf_8(path.name) and not path.name.endswith(_JOURNAL))
    found.take([_Candidate(str(path), path.name) for path in sealed])
    settled.begin()
    candidates: list[_Candidate] = []
    for entries in _entries(paths, found.unread):
        for mark, entry in settled.unsettled(entries):
            is_log = LOG_NAME.fullmatch(entry.name) is not None
            if not is_log or kind_of(entry.name) is not RecordKind.FEEDBACK:
                if not is_log and is_passed_over(entry):
                    found.passed_over.append(Path(entry.path))
                else:
                    settled.settle([mark])
            elif why := why_no_file(entry):
                found.unread.append(UnreadLog(Path(entry.path), why))
            elif entry.name.endswith(_JOURNAL):
                settled.settle([mark])
            else:
                candidates.append(_Candidate(entry.path, entry.name, mark))
        if len(candidates) >= _AT_ONCE:
            settled.settle(found.take(candidates))
            candidates.clear()
    settled.settle(found.take(candidates))
    settled.end()
    return found.ordered()


def _entries(paths: Iterable[Path], unread: list[UnreadLog]) -> Iterator[list[os.DirEntry[str]]]:
    for path in filter(is_folder, paths):
        for part in stream_entries(path):
            if isinstance(part, UnreadLog):
                unread.append(part)
            else:
                yield part


class _Candidate(NamedTuple):
    """A sealed log. `mark` is that of its directory entry; None for a path that the user named."""

    path: str
    name: str
    mark: int | None = None


class _Found:
    """The new logs that a search has found so far."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, unread: list[UnreadLog]) -> None:
        self._cursor = cursor
        self._folders: dict[Path, int] = {}
        self.unread = unread
        self.passed_over: list[Path] = []
        cursor.execute(
            "CREATE OR REPLACE TEMP TABLE found (begins_s BIGINT, folder INTEGER, name VARCHAR, bytes BIGINT, modified_ns BIGINT)"
        )

    def take(self, candidates: Sequence[_Candidate]) -> list[int]:
        """Note the new ones of the `candidates`; returns the marks of the known ones."""
        known, marks, new = self._known(candidates), [], []
        for candidate in candidates:
            try:
                status = os.stat(candidate.path)  # noqa: PTH116 - a Path for each of millions would take minutes
            except OSError as error:
                self.unread.append(UnreadLog(Path(candidate.path), reason_of(error)))
                continue
            path = Path(candidate.path)
            if (candidate.name, status.st_size, status.st_mtime_ns) in known:
                if candidate.mark is not None:
                    marks.append(candidate.mark)
            elif candidate.mark is None or preferred_instead(path) is None:  # a file that the user named is taken as it is
                new.append(LogFile.of(path, status.st_size, status.st_mtime_ns))
        self._note(new)
        return marks

    def ordered(self) -> NewLogs:
        self._cursor.execute("""
            CREATE OR REPLACE TEMP TABLE new_logs AS
            SELECT row_number() OVER (ORDER BY begins_s, folder, name) AS place, folder, name, bytes, modified_ns
            FROM (SELECT DISTINCT * FROM found)
        """)
        self._cursor.execute("DROP TABLE found")
        [(count, size)] = self._cursor.execute("SELECT count(*), coalesce(sum(bytes), 0)::BIGINT FROM new_logs").fetchall()
        return NewLogs(
            cursor=self._cursor,
            folders=tuple(self._folders),
            bytes=int(size),
            count=int(count),
            unread=tuple(sorted(dict.fromkeys(self.unread), key=lambda log: log.path)),
            passed_over=tuple(sorted(self.passed_over)),
        )

    def _known(self, candidates: Sequence[_Candidate]) -> set[tuple[str, int, int]]:
        """The name, size and time of change of the logs in the history that have one of these names."""
        if not candidates:
            return set()
        sql = "SELECT name, bytes, modified_ns FROM logs WHERE name IN (SELECT unnest($names))"
        return set(self._cursor.execute(sql, {"names": [each.name for each in candidates]}).fetchall())

    def _note(self, files: Sequence[LogFile]) -> None:
        if not files:
            return
        columns = {
            "begins_s": [file.begins_s for file in files],
            "folder": [self._folders.setdefault(file.path.parent, len(self._folders)) for file in files],
            "name": [file.name for file in files],
            "bytes": [file.bytes for file in files],
            "modified_ns": [file.modified_ns for file in files],
        }
        self._cursor.execute(f"INSERT INTO found SELECT {', '.join(f'unnest(${name})' for name in columns)}", columns)
