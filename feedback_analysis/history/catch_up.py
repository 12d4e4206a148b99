"""Finds the logs that are new to a history and adds them by time, the logs of one minute from all servers together.

Only sealed logs are added; a journal still grows, and is added when it is sealed. A log is identified by its content, so a copy in
another folder is skipped. Logs whose name, size and time of change are known are not read again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.add_logs import AddedLogs, add_logs
from feedback_analysis.history.log_file import LogFile, note
from feedback_analysis.history.new_logs import SettledFiles, search
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.measures.selection import Span
from feedback_analysis.moments import END_OF_TIME_MS
from feedback_analysis.reading.log_files import NotReadable, UnreadLog, find_logs, log_name
from feedback_analysis.reading.wrong_clocks import WrongClocks

AddingProgress = Callable[[int, int], None]
"""Called with the bytes added so far and the bytes of all new logs: once the new logs are known, and after each batch."""

# A record takes 25 to 60 bytes in a log and about 250 in memory, twice: 150 MB. Each batch costs what a few thousand records do.
BATCH_BYTES = 12 * 2**20
BATCH_FILES = 2_000

# The year 33658: the latest time that a record can have.


def catch_up(
    store: HistoryStore,
    paths: Sequence[Path],
    locator: Locator,
    *,
    progress: AddingProgress = lambda _done, _all: None,
    wanted: Callable[[], bool] = lambda: True,
    settled: SettledFiles | None = None,
) -> AddedLogs:
    """Add the new sealed logs among and below `paths`; stops between two batches when `wanted` returns False.

    `settled`: what earlier calls found in the same paths, so that this call is fast.

    FileNotFoundError for a path that does not exist, ValueError for a file that is no log. A log that cannot be read is not noted
    as added, so the next call tries it again.
    """
    with store.searching() as cursor:
        new = search(cursor, paths, settled or SettledFiles())
        added, done, batches = AddedLogs(unread=new.unread, passed_over=new.passed_over), 0, 0
        progress(done, new.bytes)
        for period in _batches(new.by_time()):
            if not wanted():
                break
            added += _add(store, period, locator)
            batches += 1
            done += sum(file.bytes for file in period)
            progress(done, new.bytes)
    if batches > 1:  # after a large addition, which may stay as it is for days
        store.fold(at_least=1)
    return added


def _add(store: HistoryStore, period: Sequence[LogFile], locator: Locator) -> AddedLogs:
    """Add the logs of one batch."""
    fresh, unread = _fresh(store, period)
    clocks = WrongClocks.of(file.path for file in fresh)
    added, stems = AddedLogs(unread=unread, wrong_clocks=clocks), _known(store, "stem", [file.stem for file in fresh])
    again = {file: digest for file, digest in fresh.items() if file.stem in stems}
    first = {file: digest for file, digest in fresh.items() if file not in again}
    for files in ([first] if first else []) + [{file: digest} for file, digest in again.items()]:
        added += add_logs(store, files, locator, again=files is not first)
    store.fold()
    return added


def _known(store: HistoryStore, column: str, values: Sequence[str]) -> set[str]:
    """Those of `values` that the `column` of an added log has."""
    if not values:
        return set()
    with store.reading() as cursor:
        sql = f"SELECT DISTINCT {column} FROM logs WHERE {column} IN (SELECT unnest($values))"
        return {value for (value,) in cursor.execute(sql, {"values": values}).fetchall()}


def last_minutes(paths: Sequence[Path], minutes: int) -> Span | None:
    """The last `minutes` before the end of the logs below `paths`, by their names; None if there is no named log."""
    begins = [name.begins_s for path in find_logs(paths).logs if (name := log_name(path)) is not None]
    return Span((max(begins) - (minutes - 1) * 60) * 1000, END_OF_TIME_MS) if begins else None


def _batches(files: Iterable[LogFile]) -> Iterator[list[LogFile]]:
    """Logs that are added together. Logs with the same start stay together: of copies among them, the one received first counts."""
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


def _fresh(store: HistoryStore, files: Sequence[LogFile]) -> tuple[Mapping[LogFile, str], tuple[UnreadLog, ...]]:
    """The `files` with new content, with their SHA-256, and the files that cannot be read.

    Files with known content are noted as added, so that they are not read again.
    """
    fresh: dict[LogFile, str] = {}
    copies: dict[LogFile, str] = {}
    digests, unread = _checksums(files)
    known = _known(store, "sha256", list(digests.values()))
    for file, digest in digests.items():
        (copies if digest in known else fresh)[file] = digest
        known.add(digest)
    if copies:
        with store.writing() as db:
            note(db, copies, {})
    return fresh, unread


def _checksums(files: Iterable[LogFile]) -> tuple[dict[LogFile, str], tuple[UnreadLog, ...]]:
    """The SHA-256 of each file, and the files that cannot be read."""
    digests: dict[LogFile, str] = {}
    unread: list[UnreadLog] = []
    for file in files:
        try:
            digests[file] = file.sha256()
        except NotReadable as error:
            unread.append(UnreadLog(file.path, error.strerror or ""))
    return digests, tuple(unread)
