"""Checksums of a Parquet log, between its last row group and its end; other readers skip them.

Parquet has checksums of pages, but none of the metadata that locates the pages. One flipped bit there crashes the Parquet
libraries, and the whole process with them. So this module verifies the end of a log before a library reads it.
docs/formats/frames.md describes the layout.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

MAGIC = b"\xfeSwSums\xff"
"""No valid UTF-8 text has these bytes, so no message can put them into a log."""

_GROUP = struct.Struct("<QQI")
_REST = struct.Struct("<III")
_TRAILER = struct.Struct("<I4s")
_READ_BYTES = 1 << 20
_TAIL_BYTES = 1 << 20
"""Bytes that are read from the end of a log. The end takes 5 KB for each row group, and states its length if it is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSum:
    """A row group: the offset of its end, its number of records, and the CRC-32 of all bytes since the previous one."""

    end: int
    records: int
    crc32: int


class DamagedEnd(ValueError):  # noqa: N818 - it reads as what it says
    """The end of a Parquet log is damaged. `records` is the number of records that the log had, or 0 if it is unknown."""

    def __init__(self, records: int) -> None:
        super().__init__("the checksum of its end is wrong")
        self.records = records


def sums_of(groups: Sequence[GroupSum], end: bytes) -> bytes:
    """The checksums that are written before the log's end `end`."""
    listed = b"".join(_GROUP.pack(group.end, group.records, group.crc32) for group in groups)
    listed += struct.pack("<II", len(groups), zlib.crc32(end))
    return listed + struct.pack("<I", zlib.crc32(listed)) + MAGIC


def damaged_groups(file: BinaryIO) -> dict[int, tuple[int, int]] | None:
    """The offset and size of each damaged row group, by its number; None if the log has no checksums.

    DamagedEnd if the end is damaged: no Parquet library may read the log then.
    """
    tail = _tail(file)
    at = tail.rfind(MAGIC)
    if at < _REST.size:
        return None
    groups = _groups(tail[:at])
    if zlib.crc32(tail[at + len(MAGIC) :]) != _REST.unpack(tail[at - _REST.size : at])[1]:
        raise DamagedEnd(sum(group.records for group in groups or ()))
    if groups is None:
        return None  # only the checksums themselves are damaged
    begins = pairwise([0, *(group.end for group in groups)])
    return {
        number: (begin, end - begin)
        for number, ((begin, end), group) in enumerate(zip(begins, groups, strict=True))
        if _crc32(file, begin, end) != group.crc32
    }


def _tail(file: BinaryIO) -> bytes:
    size = file.seek(0, 2)
    if size < _TRAILER.size:
        return b""
    file.seek(size - _TRAILER.size)
    end_bytes, _ = _TRAILER.unpack(file.read(_TRAILER.size))
    file.seek(max(0, size - _TAIL_BYTES - (end_bytes if end_bytes > _TAIL_BYTES // 2 else 0)))
    return file.read()


def _groups(before: bytes) -> list[GroupSum] | None:
    """The list that ends with `before`; None if its checksum is wrong."""
    count, _, own = _REST.unpack(before[-_REST.size :])
    listed = before[-_REST.size - count * _GROUP.size :]
    if count * _GROUP.size > len(before) or zlib.crc32(listed[:-4]) != own:
        return None
    return [
        GroupSum(end=end, records=records, crc32=crc32) for end, records, crc32 in _GROUP.iter_unpack(listed[: count * _GROUP.size])
    ]


def _crc32(file: BinaryIO, begin: int, end: int) -> int:
    file.seek(begin)
    found, left = 0, end - begin
    while left > 0 and (read := file.read(min(left, _READ_BYTES))):
        found, left = zlib.crc32(read, found), left - len(read)
    return found
