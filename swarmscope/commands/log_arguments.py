"""The logs that a user names as arguments, as files or folders, and the parts of each log."""

import errno
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
    log_name,
    passed_over_in_words,
    reading_from,
    reason_of,
    sealed_instead,
    why_no_file,
)
from feedback_analysis.reading.unpacked import Unpacked
from feedback_server.forms.bare_lines import BARE
from feedback_server.forms.reading import Lost, Readable, ReadPart, form_of, read_log
from feedback_server.settings import FORMS
from feedback_wire.frames import Damage
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, kind_of
from swarmscope.commands import exit_on
from swarmscope.commands.log_paths import opened
from swarmscope.output.escaping import plain

_ENDINGS = ".journal, .jsonl.zst, .csv.zst, .parquet or .jsonl"
_PROGRESS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsToRead:
    """The logs to read, those of a folder in order of their names, and the unreadable logs. `given`: the files of the arguments."""

    logs: tuple[tuple[Path, Readable], ...]
    unread: tuple[UnreadLog, ...]
    given: Unpacked

    def of_kind(self, kind: RecordKind) -> list[tuple[Path, Readable]]:
        """The logs whose name states this kind, and those whose name states none, if the user gave them and not their folder."""
        return [(path, form) for path, form in self.logs if kind_of(path.name) is kind or self._is_given_under_another_name(path)]

    def _is_given_under_another_name(self, path: Path) -> bool:
        return path in self.given.paths and log_name(path) is None

    def name(self, path: Path) -> str:
        """The name of a log in output: as the user gave it, and not that of a temporary file."""
        return plain(self.given.named(str(path)))

    def finding(self, path: Path, part: Damage | Lost | UnreadLog) -> str:
        """The damage or read error of the log `path`, in one line."""
        if isinstance(part, UnreadLog):
            return f"{self.name(part.path)}: not read: {part.reason}"
        name = self.name(path)
        if isinstance(part, Lost):
            return f"{name}: {part.count} records are lost, starting at number {part.first}"
        return f"{name}: {part.size} bytes at offset {part.offset} are damaged{' (torn end)' if part.torn else ''}: {part.reason}"

    def print_unread(self, unread: Iterable[UnreadLog], to: TextIO | None = None) -> bool:
        """Print each unreadable log to `to` (standard error by default); True if there are any that were not just removed."""
        faulty = False
        for log in unread:
            faulty |= not log.is_removed
            print(self.finding(log.path, log), file=to or sys.stderr)
        return faulty


@contextmanager
def logs_to_read(paths: Sequence[Path], *, each_stem_once: bool = False) -> Iterator[LogsToRead]:
    """The logs at `paths`. With `each_stem_once`, journals are omitted if their sealed log is in the same folder."""
    with ExitStack() as files:
        try:
            given = files.enter_context(opened(paths))
        except (ValueError, OSError) as error:
            exit_on(error, "swarmscope logs")
        yield _logs_among(given, each_stem_once)


def _logs_among(given: Unpacked, each_stem_once: bool) -> LogsToRead:
    each = [log for path in given.paths for log in _logs_at(path, each_stem_once)]
    if not each:
        sys.exit(f"no logs found; use files that end in {_ENDINGS}, or a folder of logs")
    if passed_over := [log.path for log in each if isinstance(log, PassedOver)]:
        print(f"warning: {plain(passed_over_in_words(passed_over))}", file=sys.stderr)
    return LogsToRead(
        logs=tuple(log for log in each if isinstance(log, tuple)),
        unread=tuple(log for log in each if isinstance(log, UnreadLog)),
        given=given,
    )


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
