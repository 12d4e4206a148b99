"""An engine only ever sees verified bytes, and a temporary file is removed with its context."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from feedback_analysis.reading.log_files import UnreadLog, form_of
from feedback_analysis.reading.verified_log import open_if_readable, open_log
from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from feedback_wire.log_name import Form
from feedback_wire.parquet_bounds import MOST_ROWS_UNCHECKED


def frame(text, number=0, first=0):
    payload = zstandard.compress(text)
    return records_frame(payload, number=number, first_record=first, records=text.count(b"\n"), inflated=len(text))


def text_of(path):
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()


@pytest.fixture
def sealed(tmp_path):
    """A log of three frames, of two lines each."""
    path = tmp_path / "20120807T093000Z-fs1-0000.jsonl.zst"
    frames = [frame(b"%d\n%d\n" % (at, at + 1), at // 2, at) for at in (0, 2, 4)]
    path.write_bytes(PREAMBLE + b"".join(frames) + footer_frame(number=3, records=6))
    return path


def test_a_whole_log_is_read_in_place(sealed):
    with open_log(sealed) as log:
        assert (log.path, log.source, log.records, log.damages, log.end) == (sealed, sealed, 6, (), sealed.stat().st_size)


def test_the_whole_frames_of_a_damaged_log_are_saved(sealed):
    data = bytearray(sealed.read_bytes())
    data[len(data) // 2] ^= 1
    sealed.write_bytes(data)
    with open_log(sealed) as log:
        assert log.path != sealed
        assert text_of(log.path) == b"0\n1\n4\n5\n"
        assert (log.records, log.lost, len(log.damages)) == (4, 2, 1)
        saved = log.path
    assert not saved.exists()


def test_a_journal_is_copied_because_it_grows(tmp_path):
    journal = tmp_path / "20120807T093000Z-fs1-0000.journal"
    journal.write_bytes(PREAMBLE + frame(b"0\n"))
    with open_log(journal) as log:
        with journal.open("ab") as file:
            file.write(frame(b"1\n", 1, 1)[:-1])
        assert text_of(log.path) == b"0\n"


def test_a_journal_is_read_piece_by_piece(tmp_path):
    journal = tmp_path / "20120807T093000Z-fs1-0000.journal"
    first, second = PREAMBLE + frame(b"0\n1\n"), frame(b"2\n", 1, 2)
    journal.write_bytes(first + second[:-3])
    with open_log(journal) as log:
        assert (log.end, log.records, log.damages[0].torn) == (len(first), 2, True)
    journal.write_bytes(first + second)
    with open_log(journal, start=len(first)) as log:
        assert (text_of(log.path), log.end, log.damages) == (b"2\n", len(first + second), ())


def test_damage_is_reported_by_its_offset_in_the_file_wherever_reading_began(tmp_path):
    journal = tmp_path / "20120807T093000Z-fs1-0000.journal"
    first = PREAMBLE + frame(b"0\n")
    journal.write_bytes(first + b"garbage" + frame(b"1\n", 1, 1))
    with open_log(journal, start=len(first)) as log:
        assert (log.damages[0].offset, log.damages[0].size) == (len(first), 7)


def test_csv_without_its_first_frame_gets_its_column_names_back(tmp_path):
    path = tmp_path / "20120807T093000Z-fs1-0000.csv.zst"
    begin = frame(b"received_ms,ip\n1,a\n")
    path.write_bytes(PREAMBLE + begin[:-1] + b"?" + frame(b"2,b\n", 1, 2) + footer_frame(number=2, records=3))
    with open_log(path) as log:
        assert text_of(log.path).startswith(b"received_ms,ip,weight,via,v,peer_id")
        assert text_of(log.path).endswith(b"\n2,b\n")


def write_parquet(path, groups=3, rows=1000):
    table = pa.table({"received_ms": pa.array(range(rows * groups), pa.int64()), "ip": [str(n) for n in range(rows * groups)]})
    pq.write_table(table, path, row_group_size=rows, compression="zstd", write_page_checksum=True)


def test_the_whole_row_groups_of_a_damaged_parquet_log_are_saved(tmp_path):
    path = tmp_path / "20120807T093000Z-fs1-0000.parquet"
    write_parquet(path)
    data = bytearray(path.read_bytes())
    data[pq.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset + 60] ^= 1
    path.write_bytes(data)
    with open_log(path) as log:
        assert (log.records, log.lost) == (2000, 1000)
        assert "row group 1 is damaged" in log.damages[0].reason
        assert pq.read_table(log.path)["received_ms"].to_pylist() == [*range(1000), *range(2000, 3000)]


def test_a_few_kilobytes_that_claim_a_million_records_are_not_read(tmp_path):
    """Any user may write such a file: an engine would write all the records out."""
    rows = MOST_ROWS_UNCHECKED + 1
    path = tmp_path / "20120807T093000Z-fs1-0000.parquet"
    pq.write_table(pa.table({"received_ms": pa.repeat(pa.scalar(1, pa.int64()), rows)}), path, compression="zstd")
    assert path.stat().st_size < rows // 100
    with open_log(path) as log:
        assert (log.records, log.columns) == (0, ())
        assert log.damages[0].reason == f"its metadata states {rows} records, which is less than a byte for each"
    pq.write_table(pa.table({"received_ms": pa.repeat(pa.scalar(1, pa.int64()), 2000)}), path, compression="zstd")
    with open_log(path) as log:
        assert (log.records, log.damages) == (2000, ())


def test_parquet_without_an_end_is_named_and_holds_nothing(tmp_path):
    path = tmp_path / "20120807T093000Z-fs1-0000.parquet"
    write_parquet(path)
    path.write_bytes(path.read_bytes()[:-5])
    with open_log(path) as log:
        assert (log.records, log.damages[0].offset, log.damages[0].size) == (0, 0, path.stat().st_size)
        assert "not a readable Parquet file" in log.damages[0].reason


def test_the_form_is_recognised_by_the_name(tmp_path):
    assert form_of(tmp_path / "20120807T093000Z-fs1-0000.csv.zst") is Form.CSV
    assert form_of(tmp_path / "any.parquet") is Form.PARQUET
    assert form_of(tmp_path / "any.jsonl") is None
    with pytest.raises(ValueError, match="is not a log"):
        form_of(tmp_path / "any.txt")


def test_a_sparse_file_that_claims_more_than_the_memory_is_not_read(tmp_path):
    huge = tmp_path / "20120807T093000Z-fs1-0000.jsonl.zst"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with open_if_readable(huge) as found:
        assert isinstance(found, UnreadLog)
        assert "1,099,511,627,776 bytes" in found.reason
