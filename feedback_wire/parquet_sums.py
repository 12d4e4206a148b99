"""Checksums of a Parquet log, between its last row group and its end; other readers pass over them.

Parquet has checksums of pages and none of what says where they are, and a single bit flipped there ends whole processes inside the
engines. So the end is looked at here before any engine is. Its layout is that of docs/formats/frames.md.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

MAGIC = b"\xfeSwSums\xff"
"""No text has such bytes, so no viewer can put them into a log."""

_GROUP = struct.Struct("<QQI")
_REST = struct.Struct("<III")
_TRAILER = struct.Struct("<I4s")
_READ_BYTES = 1 << 20
_TAIL_BYTES = 1 << 20
"""The end of a log takes 5 KB for each of its row groups; a longer one says how long it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSum:
    """A row group: where it ends, how many records it has, the CRC-32 of all bytes since the one before."""

    end: int
    records: int
    crc32: int


class DamagedEnd(ValueError):  # noqa: N818 - it reads as what it says
    """The end of a Parquet log is not what was written; `records` is how many the log had, as far as that is known."""

    def __init__(self, records: int) -> None:
        super().__init__("the checksum of its end is wrong")
        self.records = records


def sums_of(groups: Sequence[GroupSum], end: bytes) -> bytes:
    """What stands before the end `end`."""
    listed = b"".join(_GROUP.pack(group.end, group.records, group.crc32) for group in groups)
    listed += struct.pack("<II", len(groups), zlib.crc32(end))
    return listed + struct.pack("<I", zlib.crc32(listed)) + MAGIC


def damaged_groups(file: BinaryIO) -> frozenset[int] | None:
    """The numbers of the row groups whose bytes are not those that were written; None if the log has no checksums.

    DamagedEnd if the end is not what was written: then no engine may look at it.
    """
    tail = _tail(file)
    at = tail.rfind(MAGIC)
    if at < _REST.size:
        return None
    groups = _groups(tail[:at])
    if zlib.crc32(tail[at + len(MAGIC) :]) != _REST.unpack(tail[at - _REST.size : at])[1]:
        raise DamagedEnd(sum(group.records for group in groups or ()))
    if groups is None:
        return None  # the checksums themselves are damaged, and nothing else
    begins = pairwise([0, *(group.end for group in groups)])
    sums = [(_crc32(file, begin, end), group) for (begin, end), group in zip(begins, groups, strict=True)]
    return frozenset(number for number, (found, group) in enumerate(sums) if found != group.crc32)


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
