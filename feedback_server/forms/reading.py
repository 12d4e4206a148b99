"""Read a log of any form as JSON lines. Damaged and missing parts are reported, and reading continues after them.

For people and scripts (`swarmscope logs`). At most a few frames are in memory, however large the log is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from feedback_server.forms.bare_lines import BARE, bare_pieces
from feedback_server.forms.framed import Inflated, inflated_frames, line_frames
from feedback_wire.frames import Damage, Frame, FrameKind, walk_file
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, kind_of
from serving.regular_files import open_regular


@dataclass(frozen=True, slots=True)
class Records:
    """`count` records as whole JSON lines; `first` is the number of the first one in the log.

    `frame`: the number of the frame or row group, which may have several parts.
    """

    first: int
    count: int
    lines: bytes
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """Records that the log once had, but that are in no frame any more."""

    first: int
    count: int


ReadPart = Records | Damage | Lost

Readable = Form | Literal["jsonl"]
"""A form of logs, or `BARE`."""


def form_of(path: Path) -> Readable | None:
    """The form according to the file's name; None if it is not a log."""
    return next((form for form in (*Form, BARE) if path.name.endswith(f".{form}")), None)


def read_log(path: Path, form: Readable) -> Iterator[ReadPart]:
    """All records of a log in order, and all its damage. OSError if the file cannot be read."""
    match form:
        case Form.PARQUET:
            yield from _parquet_parts(path)
        case Form.CSV:
            yield from _with_losses(_csv_frames(_frames(path), kind_of(path.name)), sealed=path)
        case Form.JSONL:
            yield from _with_losses(line_frames(_frames(path)), sealed=path)
        case Form.JOURNAL:
            yield from _with_losses(line_frames(_frames(path)), sealed=None)
        case "jsonl":
            yield from _bare_parts(path)


def _with_losses(frames: Iterator[Inflated | Damage], *, sealed: Path | None) -> Iterator[ReadPart]:
    """The frames as parts of a log, with the gaps between their record numbers. A `sealed` log must end with a footer."""
    expected, ended = 0, False
    for found in frames:
        if isinstance(found, Damage):
            yield found
            continue
        header = found.header
        if header.first_record > expected:
            yield Lost(expected, header.first_record - expected)
        expected = header.first_record + header.records
        if header.kind is FrameKind.FOOTER:
            ended = True
        else:
            yield Records(header.first_record, header.records, found.text, header.number)
    if sealed and not ended:
        yield Damage(sealed.stat().st_size, 0, "the footer is missing: the log is incomplete", torn=True)


def _frames(path: Path) -> Iterator[Frame | Damage]:
    with open_regular(path) as file:
        yield from walk_file(file)


def _csv_frames(frames: Iterator[Frame | Damage], kind: RecordKind) -> Iterator[Inflated | Damage]:
    """The frames of a CSV log, with their text converted to JSON lines."""
    from feedback_server.forms.csv_log import from_csv

    for found in inflated_frames(frames):
        if isinstance(found, Damage) or found.header.kind is FrameKind.FOOTER:
            yield found
            continue
        try:
            lines = from_csv(found.text, found.header.number == 0, kind=kind)
            if lines.count(b"\n") != found.header.records:
                raise ValueError(f"the frame does not have the {found.header.records} rows of its header")
            yield Inflated(found.header, found.offset, found.size, lines)
        except ValueError as error:
            yield Damage(found.offset, found.size, str(error))


def _bare_parts(path: Path) -> Iterator[ReadPart]:
    first = 0
    for found in bare_pieces(path):
        if isinstance(found, Damage):
            yield found
        else:
            count, lines = found
            yield Records(first, count, lines)
            first += count


def _parquet_parts(path: Path) -> Iterator[ReadPart]:
    from feedback_server.forms.parquet_reading import row_groups

    with open_regular(path) as file:
        for found in row_groups(file, kind_of(path.name)):
            if isinstance(found, Damage):
                yield found
            else:
                yield Records(found.first, found.lines.count(b"\n"), found.lines, found.group)
