"""Records that came from the journal are not ingested again from the sealed log, in any form."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from feedback_analysis.reading.verified_log import VerifiedLog, open_log
from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from monitor_platform.retrieval.remainder import remainder

RECORDS = 250
PER_FRAME = 100
NAME = "20120807T093000Z-fs1-0000"


def framed(texts: list[bytes], header: bytes = b"") -> bytes:
    parts = [PREAMBLE]
    for number, first in enumerate(range(0, RECORDS, PER_FRAME)):
        chunk = texts[first : first + PER_FRAME]
        text = (header if first == 0 else b"") + b"".join(chunk)
        payload = zstandard.compress(text)
        parts.append(records_frame(payload, number=number, first_record=first, records=len(chunk), inflated=len(text)))
    return b"".join([*parts, footer_frame(number=len(parts) - 1, records=RECORDS)])


def csv_line(*fields: object) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(fields)
    return out.getvalue().encode()


def write_log(folder: Path, form: str) -> Path:
    path = folder / f"{NAME}.{form}"
    channels = ['two\nlines "and" more', "", 'a"', "plain"]
    rows = [{"seq": seq, "channel": channels[seq % 4]} for seq in range(RECORDS)]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=PER_FRAME, write_page_checksum=True)
    elif form == "csv.zst":
        path.write_bytes(framed([csv_line(row["seq"], row["channel"]) for row in rows], csv_line("seq", "channel")))
    else:
        path.write_bytes(framed([json.dumps(row).encode() + b"\n" for row in rows]))
    return path


def numbers(log: VerifiedLog, form: str) -> list[int]:
    if form == "parquet":
        return pq.read_table(log.path)["seq"].to_pylist()
    with zstandard.ZstdDecompressor().stream_reader(log.path.read_bytes(), read_across_frames=True) as stream:
        text = stream.read().decode()
    if form == "csv.zst":
        return [int(row["seq"]) for row in csv.DictReader(io.StringIO(text))]
    return [json.loads(line)["seq"] for line in text.splitlines()]


@pytest.mark.parametrize("form", ["jsonl.zst", "csv.zst", "parquet"])
@pytest.mark.parametrize("skip", [1, 99, 100, 101, 249, 250])
def test_the_remainder_of_a_log_has_all_records_but_the_first_ones(tmp_path, form, skip):
    with open_log(write_log(tmp_path, form)) as log:
        rest = remainder(log, skip, tmp_path / "rest")
        assert log.records == RECORDS
        assert rest.records == RECORDS - skip
        assert numbers(rest, form) == list(range(skip, RECORDS))
