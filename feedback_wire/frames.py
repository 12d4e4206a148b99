"""Frames: the layout of a journal and of a sealed `.jsonl.zst` or `.csv.zst` log.

A file consists of PREAMBLE and frames, and of a footer once it is sealed. A frame is a zstd *skippable* frame with a fixed header,
followed by one ordinary zstd frame with whole lines. So any zstd tool reads the file as plain text. Our readers go from header to
header, know exactly which records damage has cost, and continue after it. This module decompresses nothing: the checksums cover
the bytes on disk.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import BinaryIO

PREAMBLE = bytes.fromhex("28b52ffd24000100 0099e9d851")
"""An empty zstd frame: tools that guess a file's compression by its first four bytes do not know skippable frames."""

_SKIPPABLE = struct.Struct("<II")
_HEADER = struct.Struct("<4sBB2xIQIIII16s")
_CHECK = struct.Struct("<I")
_MAGIC = b"SwSf"
_FORMAT = 1
_SKIPPABLE_MAGIC = 0x184D2A53
_BODY_BYTES = _HEADER.size + _CHECK.size
HEADER_BYTES = _SKIPPABLE.size + _BODY_BYTES
_START = _SKIPPABLE.pack(_SKIPPABLE_MAGIC, _BODY_BYTES) + _MAGIC
NO_BATCH = bytes(16)

_ENDS_IN_HEADER = "the file ends within a frame header"
_ENDS_IN_FRAME = "the file ends within a frame"
_ENDS = (_ENDS_IN_HEADER, _ENDS_IN_FRAME)

_WINDOW_BYTES = 4 * 2**20
MOST_INFLATED = 64 * 2**20
"""Decompressed bytes of a frame. Servers write frames of a few MiB; a reader allocates no memory for a frame that states more."""

MOST_IN_A_FRAME = 80 * 2**20
"""No server writes a larger frame. A header that states one is damage for a reader in windows, which does not wait for its end."""


class FrameKind(IntEnum):
    RECORDS = 1
    FOOTER = 2


_KINDS = {kind.value: kind for kind in FrameKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The header of a frame. `first_record` counts from the start of the file; sizes are in bytes."""

    kind: FrameKind
    number: int
    first_record: int
    records: int
    inflated: int
    deflated: int
    payload_crc: int
    batch: bytes = NO_BATCH


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole, verified frame: its header, its offset in the file, and its compressed payload (a view, not a copy)."""

    header: Header
    offset: int
    payload: memoryview

    @property
    def end(self) -> int:
        return self.offset + HEADER_BYTES + self.header.deflated


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are not a whole frame; `torn` if they reach the end of the file, as after a crash."""

    offset: int
    size: int
    reason: str
    torn: bool = False


def records_frame(payload: bytes, *, number: int, first_record: int, records: int, inflated: int, batch: bytes = NO_BATCH) -> bytes:
    """The bytes of one frame around `payload`, which is one zstd frame of `records` whole lines."""
    header = Header(
        kind=FrameKind.RECORDS,
        number=number,
        first_record=first_record,
        records=records,
        inflated=inflated,
        deflated=len(payload),
        payload_crc=zlib.crc32(payload),
        batch=batch,
    )
    return _pack(header) + payload


def footer_frame(*, number: int, records: int) -> bytes:
    """The footer of a sealed file with `records` records in `number` frames."""
    return _pack(
        Header(kind=FrameKind.FOOTER, number=number, first_record=records, records=0, inflated=0, deflated=0, payload_crc=0)
    )


def footer_records(end: bytes) -> int | None:
    """The number of records in a sealed file, of which `end` is the last HEADER_BYTES bytes; None if they are not a footer."""
    body = end[_SKIPPABLE.size :]
    if len(body) != _BODY_BYTES or not end.startswith(_START):
        return None
    _, version, kind, _, first, _, _, deflated, crc, _ = _HEADER.unpack_from(body)
    is_footer = (version, kind, deflated, crc) == (_FORMAT, FrameKind.FOOTER, 0, 0)
    return first if is_footer and _CHECK.unpack_from(body, _HEADER.size)[0] == zlib.crc32(body[: _HEADER.size]) else None


def walk(data: bytes | memoryview, *, start: int = 0) -> Iterator[Frame | Damage]:
    """Every whole frame of `data` from `start` on, and the damage between them, in order. It never raises."""
    view = memoryview(data)
    offset = start + len(PREAMBLE) if view[start : start + len(PREAMBLE)] == PREAMBLE else start
    while offset < len(view):
        found = _frame_at(view, offset)
        if isinstance(found, Frame):
            yield found
            offset = found.end
            continue
        resumed = _next_whole(view, offset + 1)
        yield Damage(offset, resumed - offset, found, torn=resumed == len(view))
        offset = resumed


def walk_file(file: BinaryIO) -> Iterator[Frame | Damage]:
    """As `walk`, for a file of any size: at most a few frames are in memory. A frame's payload is valid until the next one."""
    data, begin = file.read(_WINDOW_BYTES), 0
    offset = len(PREAMBLE) if data.startswith(PREAMBLE) else 0
    damage: Damage | None = None
    while True:
        found = _frame_at(memoryview(data), offset)
        if found in _ENDS and len(data) - offset < MOST_IN_A_FRAME and (more := file.read(_WINDOW_BYTES)):
            data, begin, offset = data[offset:] + more, begin + offset, 0
        elif offset >= len(data):
            break
        elif isinstance(found, Frame):
            if damage is not None:
                yield replace(damage, size=begin + offset - damage.offset)
                damage = None
            yield replace(found, offset=begin + offset)
            offset = found.end
        else:
            damage = damage or Damage(begin + offset, 0, found)
            at = data.find(_START, offset + 1)
            offset = at if at >= 0 else max(offset + 1, len(data) - len(_START) + 1)
    if damage is not None:
        yield replace(damage, size=begin + len(data) - damage.offset, torn=True)


def _pack(header: Header) -> bytes:
    body = _HEADER.pack(
        _MAGIC,
        _FORMAT,
        header.kind,
        header.number,
        header.first_record,
        header.records,
        header.inflated,
        header.deflated,
        header.payload_crc,
        header.batch,
    )
    return _SKIPPABLE.pack(_SKIPPABLE_MAGIC, _BODY_BYTES) + body + _CHECK.pack(zlib.crc32(body))


def _frame_at(view: memoryview, offset: int) -> Frame | str:
    """The frame that begins at `offset`, or the reason why none does."""
    start = view[offset : offset + len(_START)]
    if start != _START[: len(start)]:
        return "no frame begins here"
    body = view[offset + _SKIPPABLE.size : offset + HEADER_BYTES]
    if len(body) < _BODY_BYTES:
        return _ENDS_IN_HEADER
    if _CHECK.unpack_from(body, _HEADER.size)[0] != zlib.crc32(body[: _HEADER.size]):
        return "the frame header's checksum is wrong"
    _, version, kind, number, first, records, inflated, deflated, crc, batch = _HEADER.unpack_from(body)
    if version != _FORMAT or kind not in _KINDS:
        return f"frame version {version}, kind {kind} is unknown"
    payload = view[offset + HEADER_BYTES : offset + HEADER_BYTES + deflated]
    if len(payload) < deflated:
        return _ENDS_IN_FRAME
    if zlib.crc32(payload) != crc:
        return "the frame's checksum is wrong"
    header = Header(
        kind=_KINDS[kind],
        number=number,
        first_record=first,
        records=records,
        inflated=inflated,
        deflated=deflated,
        payload_crc=crc,
        batch=batch,
    )
    return Frame(header, offset, payload)


def _next_whole(view: memoryview, offset: int) -> int:
    """The offset of the next whole frame at or after `offset`; the end of the data if there is none."""
    # `find` needs bytes. Chunks overlap by one start marker, so memory stays bounded for files of any size.
    step = 1 << 20
    while offset < len(view):
        chunk = bytes(view[offset : offset + step + len(_START)])
        at = chunk.find(_START)
        while at >= 0:
            if isinstance(_frame_at(view, offset + at), Frame):
                return offset + at
            at = chunk.find(_START, at + 1)
        offset += step
    return len(view)
