"""The logs that a user names as arguments, as files or folders, and the parts of each log."""

import errno
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from feedback_analysis.reading.log_files import (
    NotReadable,
    PassedOver,
    UnreadLog,
    check_file,
    entries_of,
    is_folder,
    is_gone,
    is_passed_over,
    is_searched,
    passed_over_in_words,
    reading_from,
    reason_of,
    sealed_instead,
    why_no_file,
)
from feedback_server.forms.bare_lines import BARE
from feedback_server.forms.reading import Lost, Readable, ReadPart, form_of, read_log
from feedback_server.settings import FORMS
from feedback_wire.frames import Damage
from feedback_wire.log_name import Form
from swarmscope.output.escaping import plain

_ENDINGS = ".journal, .jsonl.zst, .csv.zst, .parquet or .jsonl"
_PROGRESS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class LogsToRead:
    """The logs to read, those of a folder in order of their names, and the unreadable logs."""

    logs: tuple[tuple[Path, Readable], ...]
    unread: tuple[UnreadLog, ...]


def logs_to_read(paths: Sequence[Path], *, each_stem_once: bool = False) -> LogsToRead:
    """The logs at `paths`. With `each_stem_once`, journals are omitted if their sealed log is in the same folder."""
    each = [log for path in paths for log in _logs_at(path, each_stem_once)]
    if not each:
        sys.exit(f"no logs found; use files that end in {_ENDINGS}, or a folder of logs")
    if passed_over := [log.path for log in each if isinstance(log, PassedOver)]:
        print(f"warning: {plain(passed_over_in_words(passed_over))}", file=sys.stderr)
    unread = tuple(log for log in each if isinstance(log, UnreadLog))
    return LogsToRead(tuple(log for log in each if isinstance(log, tuple)), unread)


def print_unread(unread: Iterable[UnreadLog], to: TextIO | None = None) -> bool:
    """Print each unreadable log to `to` (standard error by default); True if there are any."""
    found_any = False
    for log in unread:
        found_any = True
        print(finding_text(log.path, log), file=to or sys.stderr)
    return found_any


def parts_of(path: Path, form: Readable) -> Iterator[ReadPart | UnreadLog]:
    """Like `read_log`, for a file that may be unreadable or removed meanwhile. A sealed journal is read from its sealed log."""
    try:
        check_file(path)
        with reading_from(path):
            yield from read_log(path, form)
    except NotReadable as error:
        sealed = sealed_instead(path) if error.errno == errno.ENOENT else None
        if sealed is None or (sealed_form := form_of(sealed)) is None:
            yield UnreadLog(path, error.strerror or "")
        else:
            yield from parts_of(sealed, sealed_form)


def with_progress(logs: Sequence[tuple[Path, Readable]]) -> Iterator[tuple[Path, Readable]]:
    """The logs one by one, with regular progress lines on a terminal."""
    printed_s = time.monotonic()
    for number, log in enumerate(logs):
        if sys.stderr.isatty() and time.monotonic() - printed_s > _PROGRESS_EVERY_S:
            printed_s = time.monotonic()
            print(f"log {number + 1} of {len(logs)}: {log[0].name}", file=sys.stderr)
        yield log


def _logs_at(path: Path, each_stem_once: bool) -> Iterator[tuple[Path, Readable] | UnreadLog | PassedOver]:
    if is_folder(path):
        yield from _logs_in(path, each_stem_once)
        return
    if is_gone(path):
        path = sealed_instead(path) or sys.exit(f"{path} does not exist; check the path")
    form = form_of(path)
    if form is None:
        sys.exit(f"{path} is not a log; logs end in {_ENDINGS}")
    yield path, form


def _logs_in(folder: Path, each_stem_once: bool) -> Iterator[tuple[Path, Readable] | UnreadLog | PassedOver]:
    try:
        entries = entries_of(folder)
    except OSError as error:
        yield UnreadLog(folder, f"the folder cannot be searched: {reason_of(error)}")
        return
    names = {entry.name for entry in entries}
    for entry in entries:
        path = folder / entry.name
        form = form_of(path)
        if is_searched(entry):
            yield from _logs_in(path, each_stem_once)
            if form is None:
                continue
        if form is None or form == BARE or entry.name.startswith("."):
            if is_passed_over(entry):
                yield PassedOver(path)
            continue
        if each_stem_once and form is Form.JOURNAL and names & {path.with_suffix(f".{other}").name for other in FORMS.values()}:
            continue
        why = why_no_file(entry)
        yield UnreadLog(path, why) if why else (path, form)


def finding_text(path: Path, part: Damage | Lost | UnreadLog) -> str:
    """The damage or read error, in one line."""
    name = plain(str(path))
    if isinstance(part, UnreadLog):
        return f"{plain(str(part.path))}: not read: {part.reason}"
    if isinstance(part, Lost):
        return f"{name}: {part.count} records are lost, starting at number {part.first}"
    return f"{name}: {part.size} bytes at offset {part.offset} are damaged{' (torn end)' if part.torn else ''}: {part.reason}"
