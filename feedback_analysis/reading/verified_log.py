"""A log that DuckDB may read. DuckDB reads torn files without an error, so it must read only verified bytes.

A file without damage is read directly. From a damaged file, the sound frames are copied into a temporary file, which is read
instead.
"""

import csv
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from feedback_analysis.reading.log_files import (
    BARE,
    NO_LONGER_THERE,
    NotReadable,
    UnreadLog,
    check_file,
    form_of,
    is_gone,
    is_utf_8,
    open_file,
    reading_from,
    sealed_instead,
)
from feedback_analysis.reading.survey import Survey, survey
from feedback_analysis.reading.usable_memory import usable_memory
from feedback_wire.frames import PREAMBLE, Damage
from feedback_wire.kinds import CONTRACTS, RecordKind
from feedback_wire.log_name import Form, kind_of
from feedback_wire.record import RECORD_FIELD_NAMES
from serving.locked_scratch import scratch_folder

if TYPE_CHECKING:
    from feedback_analysis.reading.parquet import CheckedParquet

COLUMNS = {
    kind: (*RECORD_FIELD_NAMES, *(field.name for field in contract.fields), *contract.objects, "other")
    for kind, contract in CONTRACTS.items()
}
"""The columns of CSV and Parquet logs of each kind, in order."""

# By default, a log ends at 64 MiB. Only for a larger one, the limit of memory is read.
_USUAL_LOG = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLog:
    """The sound records of the file `source`, in `path`: the same file, or a temporary file with its sound frames.

    `records`: their number (None for bare JSON lines). `lost`: the number of records in damaged frames. `ahead_ms`: how far the
    clock that stamped `received_ms` was ahead; a table shows the corrected time; 0 for recorded files. `end`: the offset after the
    last sound frame, from which a grown journal is read on. `form` None: bare JSON lines.
    """

    source: Path
    path: Path
    form: Form | None
    records: int | None
    lost: int = 0
    damages: tuple[Damage, ...] = ()
    end: int = 0
    columns: tuple[str, ...] = COLUMNS[RecordKind.FEEDBACK]
    ahead_ms: int = 0


def alike(logs: Iterable[VerifiedLog]) -> Iterator[list[VerifiedLog]]:
    """Lists of `logs` that one query can read: of the same form, with the same columns."""
    for _, same in groupby(sorted(logs, key=_form), key=_form):
        yield list(same)


def _form(log: VerifiedLog) -> tuple[str, tuple[str, ...]]:
    return (log.form or "", log.columns)


def open_log(
    path: Path, *, form: Form | None = None, kind: RecordKind | None = None, start: int = 0
) -> AbstractContextManager[VerifiedLog]:
    """The verified records of `path`; a temporary file is deleted at the end of the context.

    `form` and `kind` None: by the name. `start`: only sound frames from this offset on, to read a growing journal in parts.
    ValueError if the name is not that of a log, NotReadable if the file cannot be opened or read. Damage does not raise; it is
    listed.
    """
    form, kind = form or form_of(path), kind or kind_of(path.name)
    if not is_utf_8(str(path)):
        return _open_linked(path, form, kind, start)
    match form:
        case None:
            return _open_bare(path)
        case Form.PARQUET:
            return _open_parquet(path)
        case Form.JOURNAL | Form.JSONL | Form.CSV as framed:
            return _open_frames(path, framed, kind, start)


@contextmanager
def open_if_readable(path: Path) -> Iterator[VerifiedLog | UnreadLog]:
    """As `open_log`, for a path from a listing. If a journal was sealed since the listing, the sealed log is read. A file that
    cannot be read gives an UnreadLog instead of an OSError."""
    with ExitStack() as opened:
        try:
            found: VerifiedLog | UnreadLog = opened.enter_context(open_log(path))
        except NotReadable as error:
            found = _instead(path, error, opened)
        yield found


def _instead(path: Path, error: NotReadable, opened: ExitStack) -> VerifiedLog | UnreadLog:
    sealed = sealed_instead(path) if error.errno == errno.ENOENT else None
    if sealed is None:
        return UnreadLog(path, error.strerror or "")
    try:
        return opened.enter_context(open_log(sealed))
    except NotReadable as second:
        return UnreadLog(sealed, second.strerror or "")


def removed_since(log: VerifiedLog) -> UnreadLog | None:
    """The log as unread, if its file was removed after it was verified and before DuckDB opened it; otherwise None."""
    return UnreadLog(log.source, NO_LONGER_THERE) if is_gone(log.path) else None


@contextmanager
def _open_linked(path: Path, form: Form | None, kind: RecordKind, start: int) -> Iterator[VerifiedLog]:
    """Open a path that is not UTF-8 by a link, because DuckDB and Arrow accept only UTF-8."""
    with scratch_folder() as folder:
        link = folder / f"log{BARE if form is None else f'.{form}'}"
        if not is_utf_8(str(link)):
            raise NotReadable(errno.EILSEQ, "its path is not UTF-8, and neither is that of temporary files (TMPDIR)", str(path))
        link.symlink_to(path.absolute())
        with open_log(link, form=form, kind=kind, start=start) as found:
            yield replace(found, source=path)


class _Scratch(ExitStack):
    """A temporary folder for sound frames, created only when it is needed: most logs are sound, and there are tens of thousands."""

    def file(self) -> Path:
        return self.enter_context(scratch_folder()) / "salvaged"


@contextmanager
def _open_bare(path: Path) -> Iterator[VerifiedLog]:
    yield VerifiedLog(source=path, path=path, form=None, records=None, end=check_file(path))


def _open_parquet(path: Path) -> AbstractContextManager[VerifiedLog]:
    # Importing Arrow takes as long as reading a hundred thousand records, and other forms do not need it.
    from feedback_analysis.reading.parquet import check_parquet

    return _open_checked(path, check_parquet)


@contextmanager
def _open_checked(path: Path, check: "Callable[[Path, Callable[[], Path]], CheckedParquet]") -> Iterator[VerifiedLog]:
    size = check_file(path)
    with _Scratch() as scratch:
        checked = check(path, scratch.file)
        yield VerifiedLog(
            source=path,
            path=checked.path,
            form=Form.PARQUET,
            records=checked.records,
            lost=checked.lost,
            damages=checked.damages,
            end=size,
            columns=checked.columns,
        )


@contextmanager
def _open_frames(path: Path, form: Form, kind: RecordKind, start: int) -> Iterator[VerifiedLog]:
    data = _bytes_from(path, start)
    found = survey(data, sealed=form is not Form.JOURNAL, midway=start > 0)
    columns = COLUMNS[kind]
    with _Scratch() as scratch:
        readable = path
        # A journal may grow before DuckDB opens it; the copy has only the verified bytes.
        if form is Form.JOURNAL or not found.whole:
            readable = scratch.file()
            _write_whole_frames(data, found, columns if form is Form.CSV else (), readable)
        log = VerifiedLog(
            source=path,
            path=readable,
            form=form,
            records=found.records,
            lost=found.lost,
            damages=tuple(replace(damage, offset=damage.offset + start) for damage in found.damages),
            end=found.end + start,
            columns=_csv_columns(data, found, columns) if form is Form.CSV else columns,
        )
        del data  # because hundreds of logs are open at once
        yield log


def _bytes_from(path: Path, start: int) -> memoryview:
    # Read, not mapped: the process would die (SIGBUS) if a mapped file were truncated.
    with open_file(path) as file, reading_from(path):
        _check_size(os.fstat(file.fileno()).st_size, path)
        file.seek(start)
        return memoryview(file.read())


def _check_size(size: int, path: Path) -> None:
    """NotReadable if `size` bytes, which are read as a whole, are more than half of the memory that this process may use.

    The kernel might kill the process otherwise. A sparse file can claim any size.
    """
    if size > _USUAL_LOG and size > usable_memory() // 2:
        raise NotReadable(errno.EFBIG, f"it has {size:,} bytes, more than half of the memory that this process may use", str(path))


def _write_whole_frames(data: memoryview, found: Survey, csv_columns: tuple[str, ...], target: Path) -> None:
    with target.open("wb") as file:
        file.write(PREAMBLE)
        if csv_columns and found.first_record != 0:
            # The header line was in the first frame; a plain zstd frame adds it again.
            file.write(zstandard.compress((",".join(csv_columns) + "\n").encode()))
        for begin, end in found.stretches:
            file.write(data[begin:end])


def _csv_columns(data: memoryview, found: Survey, usual: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the header line, so that a later version may add columns."""
    if found.first_record != 0:
        return usual
    begin, end = found.stretches[0]
    try:
        with zstandard.ZstdDecompressor().stream_reader(data[begin:end], read_across_frames=True) as reader:
            line = reader.read(1 << 16).split(b"\n", 1)[0]
    except zstandard.ZstdError:
        return usual  # correct checksums, but no zstd: DuckDB will refuse the file with the reason
    return tuple(next(csv.reader([line.decode(errors="replace").rstrip("\r")])))
