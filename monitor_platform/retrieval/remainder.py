"""The remainder of a sealed log, without its first records, which the table has from the journal.

The remainder is written to its own file. SQL OFFSET is not enough, because engines read rows in any order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BufferedReader
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import zstandard

from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_wire.log_name import Form


def remainder(log: VerifiedLog, skip: int, target: Path) -> VerifiedLog:
    """The undamaged `log` without its first `skip` records, written to `target`."""
    match log.form:
        case Form.PARQUET:
            _write_rows(log.path, skip, target)
        case Form.CSV | Form.JSONL | Form.JOURNAL | None:
            _write_lines(log.path, skip, target, csv=log.form is Form.CSV)
    return replace(log, path=target, records=max(0, (log.records or 0) - skip))


def _write_rows(source: Path, skip: int, target: Path) -> None:
    with (
        pq.ParquetFile(source, pre_buffer=False) as file,
        pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(use_threads=False):
            writer.write_batch(batch.slice(min(skip, batch.num_rows)))
            skip = max(0, skip - batch.num_rows)


def _write_lines(source: Path, skip: int, target: Path, *, csv: bool) -> None:
    compressor = zstandard.ZstdCompressor(level=1)
    inflator = zstandard.ZstdDecompressor()
    with (
        source.open("rb") as compressed,
        inflator.stream_reader(compressed, read_across_frames=True) as inflated,
        target.open("wb") as file,
        compressor.stream_writer(file) as out,
    ):
        lines: Iterable[bytes] = BufferedReader(inflated)
        records = _csv_records(lines) if csv else iter(lines)
        if csv:
            out.write(next(records, b""))  # the header line
        for record in islice(records, skip, None):
            out.write(record)


def _csv_records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """CSV records. A line feed within quotes does not end a record: the number of quotes before it is odd."""
    record = b""
    for line in lines:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
