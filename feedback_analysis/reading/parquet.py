"""Verification of Parquet logs. A row group of Parquet corresponds to a frame of the other forms.

Our logs have checksums of each row group and of the file's end (feedback_wire/parquet_sums.py). A file of another program has at
best checksums of some pages: it is decoded once to check them, and a flipped bit in its end may remain undetected.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feedback_analysis.reading.log_files import NO_LONGER_THERE, NotReadable, check_file, open_file
from feedback_wire.frames import Damage
from feedback_wire.parquet_bounds import column_repeated, row_claim, rows_at_once
from feedback_wire.parquet_sums import DamagedEnd, damaged_groups

# Damaged Thrift or compressed bytes raise any of these, depending on the part that is damaged.
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, RecursionError)

# Arrow sometimes aborts a process that ends with the thread of `pre_buffer`.
_OPTIONS = {"pre_buffer": False, "page_checksum_verification": True}


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
        file = pq.ParquetFile(path, **_OPTIONS)
    except (NotReadable, FileNotFoundError):
        raise
    except UNREADABLE as error:
        damage = Damage(0, size, f"not a readable Parquet file: {_first_line(error)}", torn=not isinstance(error, DamagedEnd))
        lost = error.records if isinstance(error, DamagedEnd) else 0
        return CheckedParquet(path=path, records=0, lost=lost, damages=(damage,), columns=())
    if why := row_claim(file.metadata.num_rows, size) or column_repeated(file.schema_arrow.names):
        file.close()
        return CheckedParquet(path=path, records=0, lost=0, damages=(Damage(0, size, why),), columns=())
    with file:
        damaged = _undecodable_groups(path, file) if found is None else _groups_with_wrong_checksum(file, found)
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


def _groups_with_wrong_checksum(file: pq.ParquetFile, damaged: Mapping[int, tuple[int, int]]) -> dict[int, Damage]:
    """The row groups whose checksum is wrong; no group has to be decoded."""
    return {
        group: Damage(*place, f"row group {group} is damaged: its checksum is wrong")
        for group, place in sorted(damaged.items())
        if group < file.num_row_groups
    }


def _undecodable_groups(path: Path, file: pq.ParquetFile) -> dict[int, Damage]:
    damaged = {}
    size = path.stat().st_size
    # Text is only checked: reading it as indices into its dictionary costs a third less.
    text = [column.name for column in file.schema_arrow if pa.types.is_string(column.type)]
    with pq.ParquetFile(path, metadata=file.metadata, read_dictionary=text, **_OPTIONS) as looked_at:
        for group in range(file.num_row_groups):
            try:
                for _ in _batches(looked_at, group):
                    pass
            except UNREADABLE as error:
                # Arrow has the place of a row group, but ends the process if it asks for that of an encrypted or damaged one.
                damaged[group] = Damage(0, size, f"row group {group} is damaged: {_first_line(error)}")
    return damaged


def _batches(file: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
    """The rows of a row group in batches that take bounded memory, as far as the metadata is true."""
    described = file.metadata.row_group(group)
    at_once = rows_at_once(described.num_rows, described.total_byte_size)
    yield from file.iter_batches(at_once, row_groups=[group], use_threads=False)


def _write_whole_groups(file: pq.ParquetFile, damaged: set[int], salvage: Path) -> Path:
    with pq.ParquetWriter(salvage, file.schema_arrow, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            if group not in damaged:
                for batch in _batches(file, group):
                    writer.write_batch(batch)
    return salvage


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
