"""Finds the logs that are new to a history and adds them by time, the logs of one minute from all servers together.

Only sealed logs are added; a journal still grows, and is added when it is sealed. A log is identified by its content, so a copy in
another folder is skipped. Logs whose name, size and time of change are known are not read again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.add_logs import AddedLogs, add_logs
from feedback_analysis.history.log_file import LogFile, note
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.measures.selection import Span
from feedback_analysis.reading.log_files import NotReadable, UnreadLog, find_logs, log_name
from feedback_wire.log_name import Form

Seen = TypeVar("Seen")

Progress = Callable[[int, int], None]
"""Called with the bytes added so far and the bytes of all new logs: once the new logs are known, and after each batch."""

# A record takes 25 to 60 bytes in a log and about 250 in memory, twice: 150 MB. Each batch costs what a few thousand records do.
BATCH_BYTES = 12 * 2**20
BATCH_FILES = 2_000

# The year 33658: the latest time that a record can have.
END_OF_TIME_MS = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownLogs:
    """The logs that were added: files as (name, bytes, time of change), SHA-256 of contents, and stems of names."""

    files: set[tuple[str, int, int]]
    contents: set[str]
    stems: set[str]

    @classmethod
    def of(cls, store: HistoryStore) -> "_KnownLogs":
        with store.reading() as cursor:
            rows = cursor.execute("SELECT name, bytes, modified_ns, sha256, stem FROM logs").fetchall()
        return cls(files={row[:3] for row in rows}, contents={row[3] for row in rows}, stems={row[4] for row in rows})


def catch_up(
    store: HistoryStore,
    paths: Sequence[Path],
    locator: Locator,
    *,
    progress: Progress = lambda _done, _all: None,
    wanted: Callable[[], bool] = lambda: True,
) -> AddedLogs:
    """Add the new sealed logs among and below `paths`; stops between two batches when `wanted` returns False.

    FileNotFoundError for a path that does not exist, ValueError for a file that is no log. A log that cannot be read is not noted
    as added, so the next call tries it again.
    """
    known = _KnownLogs.of(store)
    new, unread = new_logs(paths, known.files)
    all_bytes, done = sum(file.bytes for file in new), 0
    taken, batches = AddedLogs(unread=unread), list(_batches(new))
    progress(done, all_bytes)
    for period in batches:
        if not wanted():
            break
        fresh, unread = _fresh(store, period, known)
        taken += AddedLogs(unread=unread)
        again = {file: digest for file, digest in fresh.items() if file.stem in known.stems}
        first = {file: digest for file, digest in fresh.items() if file not in again}
        for files in ([first] if first else []) + [{file: digest} for file, digest in again.items()]:
            taken += add_logs(store, files, locator, again=files is not first)
            known.stems.update(file.stem for file in files)
        store.fold()
        done += sum(file.bytes for file in period)
        progress(done, all_bytes)
    if len(batches) > 1:  # after a large addition, which may stay as it is for days
        store.fold(at_least=1)
    return taken


def new_logs(paths: Sequence[Path], known: set[tuple[str, int, int]]) -> tuple[list[LogFile], tuple[UnreadLog, ...]]:
    """The sealed logs among and below `paths` whose name, size and time of change are not `known`, in the order of their time.

    Also the files and folders that cannot be read, journals included.
    """
    found = find_logs(paths)
    sealed = [path for path in found.logs if not path.name.endswith(f".{Form.JOURNAL}")]
    files, unread = _readable(sealed, LogFile.at)
    new = (file for file in files.values() if (file.name, file.bytes, file.modified_ns) not in known)
    return sorted(new, key=_when), found.unread + unread


def last_minutes(paths: Sequence[Path], minutes: int) -> Span | None:
    """The last `minutes` before the end of the logs below `paths`, by their names; None if there is no named log."""
    begins = [name.begins_s for path in find_logs(paths).logs if (name := log_name(path)) is not None]
    return Span((max(begins) - (minutes - 1) * 60) * 1000, END_OF_TIME_MS) if begins else None


def _when(file: LogFile) -> tuple[int, str]:
    return file.begins_s, str(file.path)


def _batches(files: Sequence[LogFile]) -> Iterator[list[LogFile]]:
    """Logs that are added together. Logs of one begin stay together: of copies among them, the one received first counts."""
    batch: list[LogFile] = []
    size = 0
    for file in files:
        full = len(batch) >= BATCH_FILES or size >= BATCH_BYTES
        if full and file.begins_s != batch[-1].begins_s:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.bytes
    if batch:
        yield batch


def _fresh(store: HistoryStore, files: Sequence[LogFile], known: _KnownLogs) -> tuple[Mapping[LogFile, str], tuple[UnreadLog, ...]]:
    """The `files` with new content, with their SHA-256, and the files that cannot be read.

    Files with known content are noted as added, so that they are not read again.
    """
    fresh: dict[LogFile, str] = {}
    copies: dict[LogFile, str] = {}
    by_path = {file.path: file for file in files}
    digests, unread = _readable(by_path, lambda path: by_path[path].sha256())
    for path, digest in digests.items():
        (copies if digest in known.contents else fresh)[by_path[path]] = digest
        known.contents.add(digest)
    if copies:
        with store.writing() as db:
            note(db, copies, {})
    return fresh, unread


def _readable(paths: Iterable[Path], look: Callable[[Path], Seen]) -> tuple[dict[Path, Seen], tuple[UnreadLog, ...]]:
    """The result of `look` for each path, and the paths that it cannot read."""
    seen: dict[Path, Seen] = {}
    unread: list[UnreadLog] = []
    for path in paths:
        try:
            seen[path] = look(path)
        except NotReadable as error:
            unread.append(UnreadLog(path, error.strerror or ""))
    return seen, tuple(unread)
