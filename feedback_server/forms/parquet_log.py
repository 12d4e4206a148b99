"""Records as Parquet: zstd, a checksum on every page, row groups of about 100,000 records.

Checksums of its own (feedback_wire/parquet_sums.py) stand before the end of the file, which Parquet itself has none for.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet

from feedback_server.forms.columns import SCHEMA, to_lines, to_table
from feedback_wire.frames import Damage
from feedback_wire.parquet_sums import DamagedEnd, GroupSum, damaged_groups, sums_of

# A row group is what an engine reads at once; as Arrow columns it is about 40 MB, which is the writer's memory.
ROW_GROUP_RECORDS = 100_000
CHUNK_RECORDS = 4096
"""Records that are decoded at once: as Python objects they take ten times their memory."""

# Bytes a record, measured as in framed.py: 41.4 at level 1, 42.8 at 3, 42.0 at 6, 41.6 at 9: columns leave it nothing to find.
LEVEL = 1
_OFFSET_0 = "the file's end says where everything is, and it is not readable"

# Damaged Thrift, compressed bytes and texts surface as any of these, by where the damage lies.
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError)


class ParquetLogWriter:
    """Writes a `.parquet` log."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = _Summing(file)
        self._writer = parquet.ParquetWriter(
            self._file, SCHEMA, compression="zstd", compression_level=LEVEL, write_page_checksum=True
        )
        self._sums: list[GroupSum] = []
        self._lines: list[bytes] = []
        self._tables: list[pa.Table] = []
        self._waiting = self._grouped = self._records = 0

    def add(self, lines: bytes, records: int) -> None:
        self._lines.append(lines)
        self._waiting += records
        if self._waiting >= CHUNK_RECORDS:
            self._decode()
        if self._grouped >= ROW_GROUP_RECORDS:
            self._write_group()

    def finish(self) -> int:
        self._decode()
        if self._grouped:
            self._write_group()
        self._file.kept = b""
        self._writer.close()
        self._file.release(self._sums)
        return self._records

    def _decode(self) -> None:
        self._tables.append(to_table(b"".join(self._lines)))
        self._grouped += self._waiting
        self._lines.clear()
        self._waiting = 0

    def _write_group(self) -> None:
        self._writer.write_table(pa.concat_tables(self._tables), row_group_size=self._grouped)
        self._sums.append(GroupSum(end=self._file.tell(), records=self._grouped, crc32=self._file.crc32))
        self._file.crc32 = 0
        self._records += self._grouped
        self._tables.clear()
        self._grouped = 0


class _Summing:
    """Passes on what is written, and its CRC-32 since that was last set to 0; what comes once `kept` is bytes waits there."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self.crc32 = 0
        self.kept: bytes | None = None

    def write(self, data: bytes) -> int:
        self._at += len(data)
        if self.kept is None:
            self._file.write(data)
            self.crc32 = zlib.crc32(data, self.crc32)
        else:
            self.kept += data
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Whoever opened the file flushes it."""

    def close(self) -> None:
        """Whoever opened the file closes it."""

    def release(self, sums: list[GroupSum]) -> None:
        """Write the checksums, and the end that has waited behind them."""
        end = self.kept or b""
        self._file.write(sums_of(sums, end) + end)


def record_count(file: BinaryIO) -> int:
    """How many records the log's end says it has; ValueError if it does not say."""
    try:
        damaged_groups(file)
        return int(parquet.read_metadata(file).num_rows)
    except UNREADABLE as error:
        raise ValueError(f"{_OFFSET_0}: {error}") from error


def row_groups(file: BinaryIO) -> Iterator[tuple[int, bytes] | Damage]:
    """Each row group as its first record and its JSON lines, or what is damaged."""
    try:
        damaged = damaged_groups(file) or ()
        log = parquet.ParquetFile(file, page_checksum_verification=True)
    except UNREADABLE as error:
        had = f"; it had {error.records} records" if isinstance(error, DamagedEnd) and error.records else ""
        yield Damage(0, file.seek(0, 2), f"{_OFFSET_0}: {error}{had}")
        return
    first = 0
    for number in range(log.num_row_groups):
        group = log.metadata.row_group(number)
        try:
            if number in damaged:
                raise ValueError("its checksum is wrong")
            lines = to_lines(log.read_row_group(number, use_threads=False))
        except UNREADABLE as error:
            yield Damage(*_extent(group), f"row group {number} with {group.num_rows} records: {error}")
        else:
            yield first, lines
        first += group.num_rows


def _extent(group: parquet.RowGroupMetaData) -> tuple[int, int]:
    """Where in the file a row group lies."""
    columns = [group.column(number) for number in range(group.num_columns)]
    begins = min(column.dictionary_page_offset or column.data_page_offset for column in columns)
    return begins, sum(column.total_compressed_size for column in columns)
