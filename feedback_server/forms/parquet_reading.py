"""Reads Parquet logs as JSON lines, row group by row group, with bounded memory also for files of other programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from feedback_server.forms.columns import to_lines
from feedback_wire.frames import Damage
from feedback_wire.kinds import RecordKind
from feedback_wire.parquet_bounds import BYTES_AT_ONCE, column_repeated, row_claim, rows_at_once
from feedback_wire.parquet_sums import DamagedEnd, damaged_groups

# Damaged Thrift, compressed data and texts, and deep nesting raise any of these, depending on the place of the damage.
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, RecursionError)

UNREADABLE_END = "the file's end, which locates all data, is not readable"

_POINTER_BYTES = 8
"""Each value takes at least so much as a Python object, also if it takes nothing in the file."""


@dataclass(frozen=True, slots=True)
class GroupPart:
    """Whole records of a row group: the number of the first one in the log, and their JSON lines."""

    group: int
    first: int
    lines: bytes


def row_groups(file: BinaryIO, kind: RecordKind = RecordKind.FEEDBACK) -> Iterator[GroupPart | Damage]:
    """The records of each whole row group in parts, and each damaged row group as a whole."""
    size = file.seek(0, 2)
    try:
        damaged = damaged_groups(file)
        log = _opened(file)
    except UNREADABLE as error:
        had = f"; it had {error.records} records" if isinstance(error, DamagedEnd) and error.records else ""
        yield Damage(0, size, f"{UNREADABLE_END}: {error}{had}")
        return
    if why := row_claim(log.metadata.num_rows, size) or column_repeated(log.schema_arrow.names):
        yield Damage(0, size, why)
        return
    first = 0
    for group in range(log.num_row_groups):
        rows = log.metadata.row_group(group).num_rows
        if damaged and group in damaged:
            yield Damage(*damaged[group], f"row group {group} with {rows} records: its checksum is wrong")
            first += rows
            continue
        try:
            if damaged is None:
                for _ in _lines(log, group, kind):  # without checksums, only decoding shows the damage
                    pass
            at = first
            for count, lines in _lines(log, group, kind):
                yield GroupPart(group, at, lines)
                at += count
        except UNREADABLE as error:
            # Arrow has the place of a row group, but ends the process if it asks for that of an encrypted or damaged one.
            yield Damage(0, size, f"row group {group} with {rows} records: {error}")
        first += rows


def _opened(file: BinaryIO) -> parquet.ParquetFile:
    """The file, with texts as indices into their dictionary: a file can repeat a long text a million times.

    Without `pre_buffer`, because it starts a thread, and Arrow sometimes aborts a process that ends with such a thread.
    """
    schema = parquet.ParquetFile(file, pre_buffer=False).schema_arrow
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    return parquet.ParquetFile(file, read_dictionary=texts, pre_buffer=False, page_checksum_verification=True)


def _lines(log: parquet.ParquetFile, group: int, kind: RecordKind) -> Iterator[tuple[int, bytes]]:
    """The number of records and the JSON lines of successive parts of a row group."""
    described = log.metadata.row_group(group)
    at_once = rows_at_once(described.num_rows, described.total_byte_size)
    for batch in log.iter_batches(batch_size=at_once, row_groups=[group], use_threads=False):
        for part in _parts(batch):
            yield part.num_rows, to_lines(pa.Table.from_batches([part]), kind)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of `batch` in parts of at most `BYTES_AT_ONCE`; ValueError for a larger row."""
    size = sum(map(_decoded_bytes, batch.columns))
    if size <= BYTES_AT_ONCE:
        yield batch
    elif batch.num_rows == 1:
        raise ValueError(f"a record has {size:,} bytes; at most {BYTES_AT_ONCE:,} are read")
    else:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half))
        yield from _parts(batch.slice(half))


def _decoded_bytes(column: pa.Array) -> int:
    least = _POINTER_BYTES * len(column)
    if not pa.types.is_dictionary(column.type):
        return least + int(column.nbytes)
    return least + int(pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0)
