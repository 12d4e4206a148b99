"""Fragmented MP4 as bytes: it is cut into segments, described, and moved in time. Pure."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})


@dataclass(frozen=True, slots=True)
class Mp4Box:
    """A box of a file: its type, and where its content is."""

    kind: bytes
    start: int
    """Of the box, with its header."""
    content: int
    end: int


class BrokenMp4Error(ValueError):
    """The bytes are no MP4 of the expected layout."""


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Mp4Box]:
    """The boxes between two places, one after the other."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1 and start + 16 <= end:
            size, content = struct.unpack_from(">Q", data, start + 8)[0], start + 16
        if size < content - start or start + size > end:
            raise BrokenMp4Error(f"box {kind!r} at byte {start} has the size {size}")
        yield Mp4Box(kind, start, content, start + size)
        start += size


def find(data: bytes, kind: bytes) -> Mp4Box:
    """The first box of a kind, also within other boxes."""
    found = _find(data, kind, 0, len(data))
    if found is None:
        raise BrokenMp4Error(f"no box {kind!r}")
    return found


def _find(data: bytes, kind: bytes, start: int, end: int) -> Mp4Box | None:
    for box in boxes(data, start, end):
        if box.kind == kind:
            return box
        if box.kind in _CONTAINERS:
            inner = _find(data, kind, box.content, box.end)
            if inner is not None:
                return inner
    return None


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """The initialization segment (`ftyp` and `moov`), and each fragment (`moof` and `mdat`) as a media segment."""
    head, segments, moof = b"", [], b""
    for box in boxes(data):
        part = data[box.start : box.end]
        if box.kind in {b"ftyp", b"moov"}:
            head += part
        elif box.kind == b"moof":
            moof = part
        elif box.kind == b"mdat":
            segments.append(moof + part)
    if not head or not segments:
        raise BrokenMp4Error("no fragmented MP4: it needs moov, moof and mdat")
    return head, segments


def codecs(head: bytes) -> str:
    """The codec of H.264 video as players need it, such as `avc1.42c01e`."""
    at = head.find(b"avcC")
    if at < 0 or at + 8 > len(head):
        raise BrokenMp4Error("no avcC: the video is not H.264")
    return f"avc1.{head[at + 5 : at + 8].hex()}"


def timescale(head: bytes) -> int:
    """Units per second of the times in the media segments."""
    box = find(head, b"mdhd")
    version = head[box.content]
    return int(struct.unpack_from(">I", head, box.content + (20 if version == 1 else 12))[0])


def moved(segment: bytes, *, number: int, by: int) -> bytes:
    """The media segment with another sequence number (from 0), and `by` units later."""
    changed = bytearray(segment)
    header = find(segment, b"mfhd")
    struct.pack_into(">I", changed, header.content + 4, number + 1)
    time = find(segment, b"tfdt")
    layout = ">Q" if segment[time.content] == 1 else ">I"
    (begin,) = struct.unpack_from(layout, segment, time.content + 4)
    struct.pack_into(layout, changed, time.content + 4, begin + by)
    return bytes(changed)
