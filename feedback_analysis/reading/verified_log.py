"""A log that an engine may read. Engines read torn files without an error, so they only ever see verified bytes.

A file whose every frame is whole is handed over as it lies; of any other, the whole frames go into a temporary file.
"""

import csv
import errno
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from feedback_analysis.reading.log_files import NotReadable, UnreadLog, check_file, form_of, open_file, reading_from, sealed_instead
from feedback_analysis.reading.survey import Survey, survey
from feedback_wire.frames import PREAMBLE, Damage
from feedback_wire.log_name import Form
from feedback_wire.message import FIELD_NAMES
from feedback_wire.record import RECORD_FIELD_NAMES

if TYPE_CHECKING:
    from feedback_analysis.reading.parquet import CheckedParquet

COLUMNS = (*RECORD_FIELD_NAMES, *FIELD_NAMES, "extra", "other")
"""The columns of CSV and Parquet logs, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLog:
    """Whole records of the file `source`, in `path`: the same file, or a temporary one with what could be saved.

    `records` is how many there are (None: bare JSON lines do not say), `lost` how many are known to be in damaged places.
    `ahead_ms`: how far the clock that stamped `received_ms` was ahead; a table shows the corrected time, recorded files have 0.
    `end` is the offset behind the last whole frame: where to go on when a journal has grown. `form` None: bare JSON lines.
    """

    source: Path
    path: Path
    form: Form | None
    records: int | None
    lost: int = 0
    damages: tuple[Damage, ...] = ()
    end: int = 0
    columns: tuple[str, ...] = COLUMNS
    ahead_ms: int = 0


def open_log(path: Path, *, form: Form | None = None, start: int = 0) -> AbstractContextManager[VerifiedLog]:
    """The verified records of `path`; what was salvaged is deleted with the context.

    `form` is told by the name unless given. `start`: only whole frames from this offset on, which is how a journal that grows is
    read bit by bit. ValueError: no log that we know; NotReadable: the file cannot be opened or read. Damage raises nothing, it is
    listed.
    """
    form = form or form_of(path)
    if form is None:
        return _open_bare(path)
    return _open_parquet(path) if form is Form.PARQUET else _open_frames(path, form, start)


@contextmanager
def open_if_readable(path: Path) -> Iterator[VerifiedLog | UnreadLog]:
    """As `open_log`, for a path from a listing: a log that is gone is read as what it was sealed into, and no OSError is raised
    for a file that cannot be read."""
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


class _Scratch(ExitStack):
    """A place for what was salvaged, made only if something has to be: most logs are whole, and there are tens of thousands."""

    def file(self) -> Path:
        return Path(self.enter_context(tempfile.TemporaryDirectory(prefix="swarmscope-"))) / "salvaged"


@contextmanager
def _open_bare(path: Path) -> Iterator[VerifiedLog]:
    yield VerifiedLog(source=path, path=path, form=None, records=None, end=check_file(path))


def _open_parquet(path: Path) -> AbstractContextManager[VerifiedLog]:
    # Arrow takes as long to import as a hundred thousand records to read, and other forms do without it.
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
def _open_frames(path: Path, form: Form, start: int) -> Iterator[VerifiedLog]:
    data = _bytes_from(path, start)
    found = survey(data, sealed=form is not Form.JOURNAL, midway=start > 0)
    with _Scratch() as scratch:
        readable = path
        # A journal may have grown by the time that an engine opens it; the copy holds what was verified and no more.
        if form is Form.JOURNAL or not found.whole:
            readable = scratch.file()
            _write_whole_frames(data, found, form, readable)
        log = VerifiedLog(
            source=path,
            path=readable,
            form=form,
            records=found.records,
            lost=found.lost,
            damages=tuple(replace(damage, offset=damage.offset + start) for damage in found.damages),
            end=found.end + start,
            columns=_csv_columns(data, found) if form is Form.CSV else COLUMNS,
        )
        del data  # hundreds are open at once
        yield log


def _bytes_from(path: Path, start: int) -> memoryview:
    # Read, not mapped: the process would die (SIGBUS) if somebody cut a mapped file short.
    with open_file(path) as file, reading_from(path):
        file.seek(start)
        return memoryview(file.read())


def _write_whole_frames(data: memoryview, found: Survey, form: Form, target: Path) -> None:
    with target.open("wb") as file:
        file.write(PREAMBLE)
        if form is Form.CSV and found.first_record != 0:
            # The header line went with the first frame; a plain zstd frame brings it back.
            file.write(zstandard.compress((",".join(COLUMNS) + "\n").encode()))
        for begin, end in found.stretches:
            file.write(data[begin:end])


def _csv_columns(data: memoryview, found: Survey) -> tuple[str, ...]:
    """The names in the header line, so that a later version may add columns."""
    if found.first_record != 0:
        return COLUMNS
    begin, end = found.stretches[0]
    try:
        with zstandard.ZstdDecompressor().stream_reader(data[begin:end], read_across_frames=True) as reader:
            line = reader.read(1 << 16).split(b"\n", 1)[0]
    except zstandard.ZstdError:
        return COLUMNS  # right checksums around what is no zstd: the engine will refuse the file and say why
    return tuple(next(csv.reader([line.decode(errors="replace").rstrip("\r")])))
