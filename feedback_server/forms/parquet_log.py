"""Records as Parquet: zstd, a checksum for every page, row groups of about 100,000 records.

Parquet has no checksum of the file's end, so our own checksums (feedback_wire/parquet_sums.py) are written before it.
"""

import zlib
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet

from feedback_server.forms.columns import SCHEMAS, to_table
from feedback_server.forms.parquet_reading import UNREADABLE, UNREADABLE_END
from feedback_wire.kinds import RecordKind
from feedback_wire.parquet_sums import GroupSum, damaged_groups, sums_of

# Readers read a whole row group at once. As Arrow columns it takes about 40 MB, which is the memory of the writer.
ROW_GROUP_RECORDS = 100_000
ROW_GROUP_BYTES = 128 * 1024 * 1024
"""A row group ends when either limit is reached. A hostile message has 64 KiB, and compresses to a hundred bytes."""

CHUNK_RECORDS = 4096
CHUNK_BYTES = 4 * 1024 * 1024
"""Records that are decoded together; as Python objects they take ten times their size."""

# Bytes per record, measured as in framed.py: 41.4 at level 1, 42.8 at 3, 42.0 at 6, 41.6 at 9. Higher levels gain nothing.
LEVEL = 1


class ParquetLogWriter:
    """Writes a `.parquet` log."""

    def __init__(self, file: BinaryIO, kind: RecordKind = RecordKind.FEEDBACK) -> None:
        self._kind = kind
        self._file = _Summing(file)
        self._writer = parquet.ParquetWriter(
            self._file, SCHEMAS[kind], compression="zstd", compression_level=LEVEL, write_page_checksum=True
        )
        self._sums: list[GroupSum] = []
        self._lines: list[bytes] = []
        self._tables: list[pa.Table] = []
        self._waiting = self._waiting_bytes = self._grouped = self._grouped_bytes = self._records = 0

    def add(self, lines: bytes, records: int) -> None:
        self._lines.append(lines)
        self._waiting += records
        self._waiting_bytes += len(lines)
        if self._waiting >= CHUNK_RECORDS or self._waiting_bytes >= CHUNK_BYTES:
            self._decode()
        if self._grouped >= ROW_GROUP_RECORDS or self._grouped_bytes >= ROW_GROUP_BYTES:
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
        table = to_table(b"".join(self._lines), self._kind)
        self._tables.append(table)
        self._grouped += self._waiting
        self._grouped_bytes += table.nbytes
        self._lines.clear()
        self._waiting = self._waiting_bytes = 0

    def _write_group(self) -> None:
        self._writer.write_table(pa.concat_tables(self._tables), row_group_size=self._grouped)
        self._sums.append(GroupSum(end=self._file.tell(), records=self._grouped, crc32=self._file.crc32))
        self._file.crc32 = 0
        self._records += self._grouped
        self._tables.clear()
        self._grouped = self._grouped_bytes = 0


class _Summing:
    """Forwards writes and computes their CRC-32 since it was set to 0. Once `kept` is bytes, it collects the writes there."""

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
        """Nothing to do: the owner of the file flushes it."""

    def close(self) -> None:
        """Nothing to do: the owner of the file closes it."""

    def release(self, sums: list[GroupSum]) -> None:
        """Write the checksums, and then the collected end of the file."""
        end = self.kept or b""
        self._file.write(sums_of(sums, end) + end)


def record_count(file: BinaryIO) -> int:
    """The number of records according to the log's end; ValueError if the end is not readable."""
    try:
        damaged_groups(file)
        return int(parquet.read_metadata(file).num_rows)
    except UNREADABLE as error:
        raise ValueError(f"{UNREADABLE_END}: {error}") from error
