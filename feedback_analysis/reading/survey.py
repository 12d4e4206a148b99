"""Finds the sound frames of a file. Each frame states the number of its first record, so lost records can be counted.

One flipped byte damages only its frame, and the records of that frame are counted as unreadable. Correct checksums do not exclude
an attack. So a frame also counts as damaged if its content has another length than its header states, because DuckDB inflates any
content.
"""

from dataclasses import dataclass

import zstandard

from feedback_wire.frames import MOST_INFLATED, PREAMBLE, Damage, Frame, FrameKind, Header, walk

MOST_IN_A_LOG = 2**30
"""A log is not read further if it inflates beyond this and to more than TIMES its size. Real records deflate to about a tenth."""
TIMES = 64

_RUN_LENGTH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`stretches`: the (begin, end) offsets of sound frames with records. `end`: the offset after the last sound frame."""

    stretches: tuple[tuple[int, int], ...]
    records: int
    lost: int
    first_record: int | None
    damages: tuple[Damage, ...]
    end: int

    @property
    def whole(self) -> bool:
        return not self.damages


class _Count:
    """Follows the record numbers in the frames; `expected` is the next number, None while it is not known."""

    def __init__(self, expected: int | None) -> None:
        self.expected = expected
        self.records = 0
        self.lost = 0

    def gap_before(self, header: Header) -> int:
        missing = 0 if self.expected is None else max(0, header.first_record - self.expected)
        self.lost += missing
        self.records += header.records
        self.expected = header.first_record + header.records
        return missing


def survey(data: bytes | memoryview, *, sealed: bool, midway: bool = False) -> Survey:
    """Check the frames of `data`. A `sealed` file has to end with a footer; `midway`: the data begins in the middle of a file."""
    count = _Count(None if midway else 0)
    frames: list[Frame] = []
    damages: list[Damage] = []
    allowed = max(MOST_IN_A_LOG, TIMES * len(data))
    end, finished = len(PREAMBLE) if data[: len(PREAMBLE)] == PREAMBLE else 0, False
    for found in walk(data):
        allowed -= found.header.inflated if isinstance(found, Frame) else 0
        if isinstance(found, Frame) and (why := _unlike_its_header(found, allowed)):
            found = Damage(found.offset, found.end - found.offset, why)
        if isinstance(found, Damage):
            damages.append(found)
            continue
        missing = count.gap_before(found.header)
        if missing and not (damages and damages[-1].offset == end):
            damages.append(Damage(found.offset, 0, f"{missing} records before this frame are missing"))
        finished = found.header.kind is FrameKind.FOOTER
        end = found.end
        frames.append(found)
    if sealed and not finished and not (damages and damages[-1].torn):
        damages.append(Damage(len(data), 0, "the footer is missing: the file was cut off here", torn=True))
    wanted = [frame for frame in frames if frame.header.kind is FrameKind.RECORDS]
    return Survey(
        stretches=tuple((frame.offset, frame.end) for frame in wanted),
        records=count.records,
        lost=count.lost,
        first_record=wanted[0].header.first_record if wanted else None,
        damages=tuple(damages),
        end=end,
    )


def _unlike_its_header(frame: Frame, allowed: int) -> str:
    """The error in the content of a frame whose checksums are correct; empty if there is none."""
    inflated = frame.header.inflated
    if frame.header.kind is not FrameKind.RECORDS:
        return ""
    if inflated > MOST_INFLATED or allowed < 0:
        return "it inflates further than records do"
    try:
        if zstandard.frame_content_size(frame.payload) != inflated:
            return "its content does not have the length that its header states"
        return "" if _zstd_end(frame.payload) == len(frame.payload) else "something follows its content"
    except zstandard.ZstdError:
        return ""  # content that is no zstd cannot inflate; DuckDB refuses it


def _zstd_end(payload: memoryview) -> int:
    """Where the first zstd frame of `payload` ends, without inflating it (RFC 8878, sections 3.1.1.1 and 3.1.1.2)."""
    at, last = zstandard.frame_header_size(payload), False
    while not last and at < len(payload):
        block = int.from_bytes(payload[at : at + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == _RUN_LENGTH else size)
    return at + (4 if zstandard.get_frame_parameters(payload).has_checksum else 0)
