"""Parquet files that nobody's log writer makes: each is named, takes bounded memory, and ends no process."""

import base64
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedback_analysis.reading.verified_log import open_log
from feedback_server.forms import parquet_log
from feedback_server.forms.reading import Records, read_log
from feedback_wire.frames import Damage
from feedback_wire.log_name import Form
from feedback_wire.parquet_bounds import MOST_ROWS_UNCHECKED
from tests.harness.logs import BEGIN_MS, lines_of, record
from tests.harness.processes import run_swarmscope

MB = 2**20


def write_parquet(folder: Path, table: pa.Table, **options: object) -> Path:
    path = folder / "20120807T093000Z-fs1-0000.parquet"
    pq.write_table(table, path, compression="zstd", **options)
    return path


def columns(rows: int) -> dict[str, pa.Array]:
    return {"received_ms": pa.array(range(BEGIN_MS, BEGIN_MS + rows)), "peer_id": pa.array(["p"] * rows)}


def test_a_long_text_that_a_few_kilobytes_repeat_is_read_with_bounded_memory(tmp_path):
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), ["x" * MB])
    path = write_parquet(tmp_path, pa.table(columns(100) | {"channel": repeated}), store_schema=False)
    assert path.stat().st_size < MB // 20
    tracemalloc.start()
    count = size = 0
    for part in read_log(path, Form.PARQUET):
        assert isinstance(part, Records)
        count, size = count + part.count, size + len(part.lines)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, size > 100 * MB) == (100, True)
    assert peak < 64 * MB


@pytest.mark.parametrize("kind", ["text", "list"])
def test_a_record_of_many_megabytes_is_named_and_costs_only_its_row_group(tmp_path, kind):
    if kind == "text":
        values: pa.Array = pa.array(["y" * 8 * MB, None, None])
    else:
        values = pa.ListArray.from_arrays([0, 8 * MB, 8 * MB, 8 * MB], pa.repeat(pa.scalar(0, pa.uint8()), 8 * MB))
    path = write_parquet(tmp_path, pa.table(columns(3) | {"channel": values}), row_group_size=2)
    damaged, whole = read_log(path, Form.PARQUET)
    assert isinstance(damaged, Damage)
    assert "row group 0 with 2 records: a record has 8," in damaged.reason
    assert "at most 4,194,304 are read" in damaged.reason
    assert (whole.first, whole.count) == (2, 1)


def test_a_hundred_kilobytes_that_claim_a_million_records_are_refused_by_all_readers(tmp_path):
    rows = MOST_ROWS_UNCHECKED + 1
    path = write_parquet(tmp_path, pa.table({"received_ms": pa.repeat(pa.scalar(1, pa.int64()), rows)}))
    why = f"its metadata states {rows} records, which is less than a byte for each"
    assert list(read_log(path, Form.PARQUET)) == [Damage(0, path.stat().st_size, why)]
    with open_log(path) as log:
        assert [damage.reason for damage in log.damages] == [why]


def test_a_parquet_file_with_a_column_twice_is_refused_by_all_readers(tmp_path):
    """DuckDB would read the first one, Arrow the last."""
    each = columns(2)
    path = write_parquet(tmp_path, pa.Table.from_arrays([*each.values(), each["peer_id"]], names=[*each, "peer_id"]))
    why = "the column 'peer_id' occurs twice"
    assert list(read_log(path, Form.PARQUET)) == [Damage(0, path.stat().st_size, why)]
    with open_log(path) as log:
        assert ([damage.reason for damage in log.damages], log.records) == ([why], 0)


def test_an_encrypted_parquet_file_is_damage_and_ends_no_process(tmp_path):
    """Arrow calls abort() if it is asked for the place of an encrypted column."""
    write_encrypted(tmp_path / "20120807T093000Z-fs1-0000.parquet")
    verdict = run_swarmscope("logs", "verify", tmp_path)
    assert (verdict.returncode, "row group 0 with 3 records: " in verdict.stdout) == (1, True), verdict
    analysed = run_swarmscope("analyze", tmp_path)
    assert (analysed.returncode, "row group 0 is damaged: " in analysed.stderr) == (1, True), analysed


def write_encrypted(path: Path) -> None:
    """A file with an encrypted column and a readable end."""
    from pyarrow.parquet import encryption

    class Unprotected(encryption.KmsClient):
        def wrap_key(self, key: bytes, _name: str) -> bytes:
            return base64.b64encode(key)

    encrypted = encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["peer_id"]}, plaintext_footer=True)
    factory = encryption.CryptoFactory(lambda _: Unprotected())
    table = pa.table(columns(3))
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), encrypted)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


def test_a_parquet_file_without_columns_has_no_records(tmp_path):
    path = write_parquet(tmp_path, pa.table({}))
    assert list(read_log(path, Form.PARQUET)) == []
    verdict = run_swarmscope("logs", "verify", path)
    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_reading_starts_no_thread_of_arrow(tmp_path):
    """Arrow sometimes aborts a process that ends with such a thread."""
    path = write_parquet(tmp_path, pa.table(columns(3)))
    program = f"""
import os, pathlib, pyarrow.parquet
from feedback_analysis.reading.parquet import check_parquet
from feedback_server.forms.reading import read_log
threads = lambda: len(os.listdir("/proc/self/task"))
path, before = pathlib.Path({str(path)!r}), threads()
assert sum(part.count for part in read_log(path, "parquet")) == 3
assert check_parquet(path, None).records == 3
assert threads() == before, threads()
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=60)


def test_the_writer_of_parquet_bounds_its_memory_by_bytes(tmp_path, monkeypatch):
    """A key holder may send records of 64 KiB that compress to a hundred bytes, so that few journal bytes make large columns."""
    monkeypatch.setattr(parquet_log, "CHUNK_BYTES", 2**18)
    monkeypatch.setattr(parquet_log, "ROW_GROUP_BYTES", MB)
    lines = b"".join(lines_of([record(unknown="x" * 60_000)] * 4))
    before, most = pa.total_allocated_bytes(), 0
    path = tmp_path / "20120807T093000Z-fs1-0000.parquet"
    with path.open("wb") as file:
        writer = parquet_log.ParquetLogWriter(file)
        for _ in range(100):
            writer.add(lines, 4)
            most = max(most, pa.total_allocated_bytes() - before)
        assert writer.finish() == 400
    assert most < 4 * MB
    assert sum(part.count for part in read_log(path, Form.PARQUET) if isinstance(part, Records)) == 400
