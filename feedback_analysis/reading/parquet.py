"""Verification of Parquet logs. A row group of Parquet corresponds to a frame of the other forms.

Our logs have checksums of each row group and of the file's end (feedback_wire/parquet_sums.py). A file of another program has at
best checksums of some pages: it is decoded once to check them, and a flipped bit in its end may remain undetected.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feedback_analysis.reading.log_files import NO_LONGER_THERE, NotReadable, check_file, open_file
from feedback_wire.frames import Damage
from feedback_wire.parquet_sums import DamagedEnd, damaged_groups

# Damaged Thrift or compressed bytes raise any of these, depending on the part that is damaged.
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError)

MOST_ROWS_UNCHECKED = 1_000_000
"""A real record takes some 65 bytes. But a file of a kilobyte can claim a billion rows, and DuckDB would decode them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedParquet:
    path: Path
    records: int
    lost: int
    damages: tuple[Damage, ...]
    columns: tuple[str, ...]


def check_parquet(path: Path, salvage: Callable[[], Path]) -> CheckedParquet:
    """A file with the readable rows of `path`: `path` itself if it is sound, else a file of `salvage` with its sound row groups.

    NotReadable if it cannot be opened, or is removed meanwhile.
    """
    try:
        return _check(path, salvage)
    except FileNotFoundError as error:  # it is opened several times
        raise NotReadable(errno.ENOENT, NO_LONGER_THERE, str(path)) from error


def _check(path: Path, salvage: Callable[[], Path]) -> CheckedParquet:
    size = check_file(path)
    try:
        with open_file(path) as opened:
            found = damaged_groups(opened)
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (NotReadable, FileNotFoundError):
        raise
    except UNREADABLE as error:
        damage = Damage(0, size, f"not a readable Parquet file: {_first_line(error)}", torn=not isinstance(error, DamagedEnd))
        lost = error.records if isinstance(error, DamagedEnd) else 0
        return CheckedParquet(path=path, records=0, lost=lost, damages=(damage,), columns=())
    rows = file.metadata.num_rows
    if rows > MOST_ROWS_UNCHECKED and rows > size:
        file.close()
        damage = Damage(0, size, f"its metadata states {rows} records, which is less than a byte for each")
        return CheckedParquet(path=path, records=0, lost=0, damages=(damage,), columns=())
    with file:
        damaged = _damaged_groups(path, file) if found is None else _groups_with_wrong_checksum(file, found)
        if damaged:
            path = _write_whole_groups(file, set(damaged), salvage())
        lost = sum(file.metadata.row_group(group).num_rows for group in damaged)
        return CheckedParquet(
            path=path,
            records=file.metadata.num_rows - lost,
            lost=lost,
            damages=tuple(damaged.values()),
            columns=tuple(file.schema_arrow.names),
        )


def _groups_with_wrong_checksum(file: pq.ParquetFile, damaged: frozenset[int]) -> dict[int, Damage]:
    """The row groups whose checksum is wrong; no group has to be decoded."""
    wrong = ValueError("its checksum is wrong")
    return {group: _damage(file, group, wrong) for group in sorted(damaged) if group < file.num_row_groups}


def _damaged_groups(path: Path, file: pq.ParquetFile) -> dict[int, Damage]:
    damaged = {}
    # Text is only checked: reading it as indices into its dictionary costs a third less.
    text = [column.name for column in file.schema_arrow if pa.types.is_string(column.type)]
    with pq.ParquetFile(path, metadata=file.metadata, read_dictionary=text, page_checksum_verification=True) as looked_at:
        for group in range(file.num_row_groups):
            try:
                looked_at.read_row_group(group)
            except UNREADABLE as error:
                damaged[group] = _damage(file, group, error)
    return damaged


def _damage(file: pq.ParquetFile, group: int, error: Exception) -> Damage:
    chunks = [file.metadata.row_group(group).column(column) for column in range(file.metadata.num_columns)]
    begins = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
    size = sum(chunk.total_compressed_size for chunk in chunks)
    return Damage(begins, size, f"row group {group} is damaged: {_first_line(error)}")


def _write_whole_groups(file: pq.ParquetFile, damaged: set[int], salvage: Path) -> Path:
    with pq.ParquetWriter(salvage, file.schema_arrow, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            if group not in damaged:
                writer.write_table(file.read_row_group(group))
    return salvage


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
