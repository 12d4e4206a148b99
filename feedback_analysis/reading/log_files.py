"""Lists logs in folders that change while they are read. A listing may be outdated as soon as it is complete.

After the listing, a feedback server may seal a journal or remove an old log. So a missing file is searched again by its stem. A log
that cannot be read is an `UnreadLog`: it is named and counted, and the other logs are read.
"""

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from itertools import islice
from pathlib import Path

from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName, kind_of
from serving.regular_files import kind_of_file

BARE = ".jsonl"
"""Bare JSON lines, such as `swarmscope logs cat` writes. They have no frames, so only each line by itself can be checked."""

PREFERRED = (Form.PARQUET, Form.JSONL, Form.CSV, Form.JOURNAL)
"""The forms, the fastest to read first."""

# Times of change have the resolution of the kernel's clock ticks (10 ms at most); some file systems store whole seconds.
_UNCHANGED_FOR_NS = 2_000_000_000

_ENTRIES_AT_ONCE = 10_000

_MISSING_ERRNOS = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
NO_LONGER_THERE = "it is no longer there"
_REASONS = {
    errno.ENOENT: NO_LONGER_THERE,
    errno.EACCES: "this user may not read it",
    errno.EPERM: "this user may not read it",
    errno.ELOOP: "it links to itself",
}


class NotReadable(OSError):  # noqa: N818 - the name states the error
    """The file cannot be opened or read; `strerror` has the reason as text."""


@dataclass(frozen=True, slots=True)
class UnreadLog:
    """A log, or a folder of logs, of which nothing was read, and the reason."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"

    @property
    def is_removed(self) -> bool:
        """Whether the log was removed after the listing, as a server removes its old logs. This is no fault."""
        return self.reason == NO_LONGER_THERE


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file of a folder that looks like a log and does not have the name of one, or a link to a folder. It is not read."""

    path: Path


@dataclass(frozen=True, slots=True)
class Found:
    """The logs to read, and the files and folders that may be logs or contain logs and cannot be read or are passed over."""

    logs: tuple[Path, ...]
    unread: tuple[UnreadLog, ...]
    passed_over: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Log:
    """The path as it is shown, its place in PREFERRED, and its content: the real path without the form."""

    shown: Path
    content: str
    place: int = 0


@dataclass(frozen=True, slots=True)
class Begins:
    """A range of times, both included, as the first characters of log names: text order is time order.

    Comparing texts takes a small part of the time of parsing names, and a mirror may have millions of names.
    """

    first: str
    last: str

    @classmethod
    def between(cls, first_ms: float, last_ms: float) -> "Begins":
        """From `first_ms` to `last_ms`, Unix ms, limited to the years 1970 to 9999."""
        limited = (min(max(ms, 0), _LAST_MS) / 1000 for ms in (first_ms, last_ms))
        return cls(*(f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%SZ}" for at_s in limited))

    def within(self, entries: Iterable[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        """The `entries` of a folder, in any order, without the logs that cannot contain records of this range.

        A log ends where its server's next log begins, so the last logs of each server before the range stay.
        """
        kept: list[os.DirEntry[str]] = []
        before: dict[str, list[os.DirEntry[str]]] = {}
        for entry in entries:
            name, begin = entry.name, entry.name[: len(self.first)]
            if self.first <= begin <= self.last or not (begin[:8].isdecimal() and name.endswith(_SUFFIXES)):
                kept.append(entry)
            elif begin < self.first:
                server = name[len(begin) :].rpartition("-")[0]
                last = before.get(server)
                if last is None or last[0].name < begin:
                    before[server] = [entry]
                elif last[0].name.startswith(begin):
                    last.append(entry)
        return [*(entry for logs in before.values() for entry in logs), *kept]


_SUFFIXES = tuple(f".{form}" for form in Form)

_LAST_MS = 253_402_300_799_000
"""The end of the year 9999."""


def find_logs(paths: Iterable[Path], begins: Begins | None = None, *, kind: RecordKind = RecordKind.FEEDBACK) -> Found:
    """The log files of one kind in `paths` and in the folders below.

    Each stem of a folder occurs once, as sealed log if there is one.

    `begins`: skip the logs in folders that cannot contain records of these times, before their names are parsed. FileNotFoundError
    for a path that does not exist, ValueError for a file whose name is not that of a log of this kind.
    """
    kept: dict[str, tuple[int, Path]] = {}  # the only object for each of millions of logs
    unread: dict[UnreadLog, None] = {}
    passed_over: dict[Path, None] = {}
    for path in paths:
        for entry in _at(path, begins, kind):
            match entry:
                case UnreadLog():
                    unread[entry] = None
                case PassedOver():
                    passed_over[entry.path] = None
                case _Log() if entry.place <= kept.get(entry.content, (len(PREFERRED),))[0]:
                    kept[entry.content] = entry.place, entry.shown
    return Found(tuple(shown for _, shown in kept.values()), tuple(unread), tuple(passed_over))


def passed_over_in_words(paths: Sequence[Path]) -> str:
    """One line about the files that are passed over; empty without any."""
    if not paths:
        return ""
    what = "1 file or link has" if len(paths) == 1 else f"{len(paths):,} files or links have"
    return f"{what} no log name. In folders, these are not read; to read one, give its path: {paths[0]}"


def form_of(path: Path) -> Form | None:
    """The form of the log `path`, by its name; None for bare JSON lines; ValueError for any other name."""
    for form in Form:
        if path.name.endswith(f".{form}"):
            return form
    if path.suffix == BARE:
        return None
    raise ValueError(f"{path} is not a log: its name must end with one of {', '.join(f'.{form}' for form in Form)}, {BARE}")


def _check_kind(path: Path, kind: RecordKind) -> None:
    if (found := kind_of(path.name)) is not kind and log_name(path) is not None:
        raise ValueError(f"{path} has {found} records, and {kind} records are needed; choose the kind, or other logs")


def log_name(path: Path) -> LogName | None:
    """The parsed name of `path`; None if it is not the name of a log."""
    try:
        return LogName.parse(path.name)
    except ValueError:
        return None


def sealed_instead(path: Path) -> Path | None:
    """The sealed log of a journal that no longer exists: another form of its stem in the same folder."""
    name = log_name(path)
    if name is None:
        return None
    forms = (path.with_name(str(name.sealed(form))) for form in PREFERRED if form not in (name.form, Form.JOURNAL))
    return next((other for other in forms if other.is_file()), None)


def preferred_instead(path: Path) -> Path | None:
    """The same log in the same folder in a form that is faster to read, if there is one."""
    name = log_name(path)
    if name is None:
        return None
    forms = PREFERRED[: PREFERRED.index(name.form)]
    return next((other for form in forms if (other := path.with_name(str(name.sealed(form)))).is_file()), None)


def is_gone(path: Path) -> bool:
    """Whether `path` does not exist, or is a link to a missing file; False if that cannot be determined."""
    try:
        path.stat()
    except OSError as error:
        return error.errno in _MISSING_ERRNOS
    return False


def is_utf_8(text: str) -> bool:
    """Whether the path or name `text` is valid UTF-8. DuckDB and Arrow accept no others."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False if that cannot be determined."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def check_file(path: Path) -> int:
    """The size of the regular file `path` in bytes; NotReadable if it is not regular. It never blocks, as opening a pipe would."""
    with reading_from(path):
        found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise NotReadable(errno.EINVAL, f"it is {kind_of_file(found.st_mode)}, and a file is needed", str(path))
    return found.st_size


def open_file(path: Path) -> BufferedReader:
    """The regular file `path`, open for reading; NotReadable if it is none, or cannot be opened."""
    check_file(path)
    with reading_from(path):
        return path.open("rb")


@contextmanager
def reading_from(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, which only reads `path`, into NotReadable, so that the error names this file."""
    try:
        yield
    except NotReadable:
        raise
    except OSError as error:
        raise NotReadable(error.errno, reason_of(error), str(path)) from error


def reason_of(error: OSError) -> str:
    """The reason why a file cannot be read, as text."""
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def entries_of(folder: Path, begins: Begins | None = None) -> list[os.DirEntry[str]]:
    """The entries of `folder` by name, without the logs outside `begins`; OSError if it cannot be listed.

    If a log is sealed during a listing, the listing can miss both of its names. So a folder that changes is listed twice: a file
    that both listings miss did not exist when the first one began.
    """
    entries: dict[str, os.DirEntry[str]] = {}
    for _ in range(2):
        changed_ns = folder.stat().st_mtime_ns
        with os.scandir(folder) as listed:
            entries |= {entry.name: entry for entry in (listed if begins is None else begins.within(listed))}
        if folder.stat().st_mtime_ns == changed_ns < time.time_ns() - _UNCHANGED_FOR_NS:
            break
    return [entries[name] for name in sorted(entries)]


def stream_entries(folder: Path) -> Iterator[list[os.DirEntry[str]] | UnreadLog]:
    """The entries below `folder`, in parts and in no order, and the folders that cannot be searched.

    If a log is sealed during the listing, both of its names may be missing, so this is for a caller that searches again.
    """
    try:
        with os.scandir(folder) as listed:
            while part := list(islice(listed, _ENTRIES_AT_ONCE)):
                yield part
                for entry in filter(is_searched, part):
                    yield from stream_entries(Path(entry.path))
    except OSError as error:
        yield UnreadLog(folder, f"the folder cannot be searched: {reason_of(error)}")


def why_no_file(entry: os.DirEntry[str]) -> str:
    """The reason why a directory entry cannot be opened as a file; empty if it is a file, or a link to one."""
    try:
        if entry.is_file(follow_symlinks=False):
            return ""
        mode = entry.stat().st_mode
    except OSError as error:
        is_link = error.errno == errno.ENOENT and Path(entry.path).is_symlink()
        return "it is a link to nothing" if is_link else reason_of(error)
    return "" if stat.S_ISREG(mode) else f"it is {kind_of_file(mode)}, and a file is needed"


def is_passed_over(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder, which does not have the name of a log, looks like a log or links to a folder."""
    if entry.name.startswith("."):
        return False
    try:
        return (
            entry.is_file()
            if entry.name.removesuffix(".gz").endswith((BARE, *_SUFFIXES))
            else entry.is_symlink() and entry.is_dir()
        )
    except OSError:
        return False  # it no longer exists


def _at(path: Path, begins: Begins | None, kind: RecordKind) -> Iterator[_Log | UnreadLog | PassedOver]:
    """The logs at a path that the user named."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not is_gone(path):
            form_of(path)
            yield UnreadLog(path, reason_of(error))
            return
        sealed = sealed_instead(path)
        if sealed is None:
            raise FileNotFoundError(f"{path} does not exist; check the path") from error
        path, mode = sealed, stat.S_IFREG
    if stat.S_ISDIR(mode):
        yield from _below(path, path.resolve(), begins, kind)
        return
    form_of(path)
    _check_kind(path, kind)
    if stat.S_ISREG(mode):
        yield _log(path, path.resolve(), log_name(path))
    else:
        yield UnreadLog(path, f"it is {kind_of_file(mode)}, and a file is needed")


def _below(folder: Path, real: Path, begins: Begins | None, kind: RecordKind) -> Iterator[_Log | UnreadLog | PassedOver]:
    """The logs below `folder`, by name."""
    try:
        entries = entries_of(folder, begins)
    except OSError as error:
        yield UnreadLog(folder, f"the folder cannot be searched: {reason_of(error)}")
        return
    entries.reverse()
    while entries:
        entry = entries.pop()  # frees the entries one by one
        path, name = folder / entry.name, log_name(Path(entry.name))
        if name is not None and name.kind is not kind:
            continue
        if name is not None:
            why = why_no_file(entry)
            real_path = path.resolve() if not why and entry.is_symlink() else real / entry.name
            yield UnreadLog(path, why) if why else _log(path, real_path, name)
        elif is_passed_over(entry):
            yield PassedOver(path)
        if is_searched(entry):
            yield from _below(path, real / entry.name, begins, kind)


def _log(path: Path, real: Path, name: LogName | None) -> _Log:
    if name is None:
        return _Log(path, str(real))
    return _Log(path, str(real.with_name(name.stem)), PREFERRED.index(name.form))


def is_searched(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder and not hidden. A hidden one may have temporary files, such as those of a running platform."""
    try:
        return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
    except OSError:
        return False  # it no longer exists
