"""The three forms of a sealed log hold the same records, and common tools read them."""

import json
import os
import shutil
import subprocess

import orjson
import pandas
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_server.forms import log_writer
from feedback_server.forms.framed import FRAME_RECORDS
from feedback_server.forms.parquet_log import ROW_GROUP_RECORDS
from feedback_server.forms.reading import Records, form_of, read_log
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.sealed_files import record_count
from feedback_wire.frames import Damage, FrameKind, walk
from feedback_wire.log_name import Form, LogName
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELDS
from tests.harness.inferences import inference_record, write_inferences
from tests.harness.measurements import measurement_record, write_measurements

SEALED = [Form.JSONL, Form.CSV, Form.PARQUET]
NAMED = {field.name: field for field in (*RECORD_FIELDS, *FIELDS)}

# Any text that JSON can represent, except lone surrogates. Numbers that every JSON reader keeps exactly.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
scalar = st.one_of(st.none(), st.booleans(), number, text)
anything = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5)
fitting = {str: text, int: st.integers(0, 2**53 - 1), float: st.floats(0, 1e9)}
records = st.fixed_dictionaries(
    {"received_ms": st.integers(0, 2**53 - 1)},
    optional={
        **{name: st.one_of(fitting[field.kind], anything) for name, field in NAMED.items() if name != "received_ms"},
        "extra": st.one_of(st.dictionaries(text, scalar, max_size=4), anything),
        "new_field": anything,
        "other": anything,
    },
)


def write(path, lines, count, *, pieces=1):
    with path.open("wb") as file:
        writer = log_writer(form_of(path), file)
        for piece in range(pieces):
            writer.add(lines[piece] if pieces > 1 else lines, count)
        assert writer.finish() == count * pieces
    return path


def read(path):
    parts = list(read_log(path, form_of(path)))
    assert all(isinstance(part, Records) for part in parts), parts
    return [json.loads(line) for part in parts for line in part.lines.splitlines()]


def without_nulls(record):
    """`null` and absent are equal for the named fields; elsewhere every value is kept."""
    return {name: value for name, value in record.items() if value is not None or name not in {*NAMED, "extra"}}


@pytest.mark.parametrize("form", SEALED)
def test_every_form_returns_the_recorded_measurements(tmp_path, form):
    many = [measurement_record(), measurement_record("op-1", values=None, hops=[], reason="x", future=[1, {"a": None}])]
    assert read(write_measurements(tmp_path, many, form)) == many


@pytest.mark.parametrize("form", SEALED)
def test_every_form_returns_the_recorded_inferences(tmp_path, form):
    many = [inference_record(), inference_record(1, None, mos=None, flow="a b tcp", future=[1, {"a": None}])]
    assert read(write_inferences(tmp_path, many, form)) == many


@pytest.mark.parametrize("form", SEALED)
@given(many=st.lists(records, min_size=1, max_size=6))
@settings(max_examples=60)
def test_every_form_returns_the_recorded_messages(tmp_path, form, many):
    lines = b"".join(orjson.dumps(record) + b"\n" for record in many)
    assert [*map(without_nulls, read(write(tmp_path / f"log.{form}", lines, len(many))))] == [*map(without_nulls, many)]


@pytest.mark.parametrize("form", SEALED)
def test_a_value_that_does_not_fit_its_column_is_kept(tmp_path, form):
    odd = [
        {"received_ms": 1, "seq": 3.5, "upload_kbps": True, "channel": 7, "v": False},
        {"received_ms": 2, "seq": 2**63, "upload_kbps": 2**53 + 1, "channel": ["a"], "extra": "text"},
        {"received_ms": 3, "seq": 4, "upload_kbps": 850, "channel": 'a,"b"\r\n\tc\x00', "extra": {}},
    ]
    lines = b"".join(orjson.dumps(record) + b"\n" for record in odd)
    found = read(write(tmp_path / f"log.{form}", lines, 3))
    assert found == odd
    assert found[0]["upload_kbps"] is True


@pytest.mark.parametrize("form", [Form.CSV, Form.PARQUET])
def test_a_line_that_is_not_json_costs_neither_its_neighbours_nor_its_own_text(tmp_path, form):
    lines = b'{"received_ms":1,"seq":0}\n{"received_ms":2,"channel":"\\ud800"}\n{"received_ms":3,\xff}\n{"received_ms":4,"seq":1}\n'
    found = read(write(tmp_path / f"log.{form}", lines, 4))
    assert [record["received_ms"] for record in found] == [1, 2, 3, 4]
    assert [record.get("unreadable") for record in found] == [
        None,
        '{"received_ms":2,"channel":"\\ud800"}',
        '{"received_ms":3,\\xff}',
        None,
    ]


@pytest.mark.parametrize("form", [Form.JSONL, Form.CSV])
def test_small_batches_are_packed_into_large_frames_and_counted_exactly(tmp_path, form, lines):
    batches = [lines(100, first=100 * number) for number in range(100)]
    found = list(walk(write(tmp_path / f"log.{form}", batches, 100, pieces=100).read_bytes()))
    assert not [item for item in found if isinstance(item, Damage)]
    *frames, footer = [frame.header for frame in found]
    assert [frame.records for frame in frames] == [4100, 4100, 1800]
    assert all(frame.records < FRAME_RECORDS + 100 for frame in frames)
    assert [frame.first_record for frame in frames] == [0, 4100, 8200]
    assert (footer.kind, footer.first_record, footer.number) == (FrameKind.FOOTER, 10_000, 3)


def test_parquet_is_written_in_row_groups_with_checksums(tmp_path, lines):
    path = write(tmp_path / "log.parquet", [lines(30_000, session=f"s{number}") for number in range(5)], 30_000, pieces=5)
    metadata = pyarrow.parquet.read_metadata(path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [120_000, 30_000]
    assert metadata.row_group(0).num_rows < 2 * ROW_GROUP_RECORDS
    data = bytearray(path.read_bytes())
    data[metadata.row_group(0).column(5).data_page_offset + 40] ^= 1
    path.write_bytes(data)
    damaged, *rest = read_log(path, Form.PARQUET)
    assert isinstance(damaged, Damage)
    assert {(type(part), part.frame) for part in rest} == {(Records, 1)}
    assert sum(part.count for part in rest) == 30_000


@pytest.mark.parametrize("form", SEALED)
def test_a_sealed_log_cut_anywhere_is_recognised_as_incomplete(tmp_path, form, lines):
    folder, name = DataFolder(tmp_path), LogName(begins_s=0, server="fs1", part=0, form=form)
    path = write(tmp_path / str(name), lines(20), 20)
    data = path.read_bytes()
    assert record_count(folder, name) == 20
    for size in reversed(range(len(data))):
        os.truncate(path, size)
        assert record_count(folder, name) is None


@pytest.mark.skipif(shutil.which("zstdcat") is None, reason="needs the zstd tool")
def test_zstdcat_prints_json_lines_and_csv(tmp_path, lines):
    path = write(tmp_path / "log.jsonl.zst", lines(5000), 5000)
    shown = subprocess.run(["zstdcat", path], capture_output=True, check=True).stdout
    assert shown == lines(5000)
    path = write(tmp_path / "log.csv.zst", lines(5000), 5000)
    shown = subprocess.run(["zstdcat", path], capture_output=True, check=True).stdout
    assert (shown.count(b"\n"), shown.count(b"received_ms")) == (5001, 1)


def test_pandas_reads_csv_and_parquet(tmp_path, lines):
    for form, reader in ((Form.CSV, pandas.read_csv), (Form.PARQUET, pandas.read_parquet)):
        frame = reader(write(tmp_path / f"log.{form}", lines(5000), 5000))
        assert list(frame.columns) == [*NAMED, "extra", "other"]
        assert list(frame["seq"]) == list(range(5000))
        assert frame["upload_kbps"].mean() == 846.5
