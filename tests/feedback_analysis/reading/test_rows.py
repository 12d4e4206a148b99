"""Bytes that must stay readable: the golden logs hold the same records in every form. Lines that are not records are recognised."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedback_analysis.reading.rows import ALL, READABLE, readable_rows_sql, rows_sql
from feedback_analysis.reading.verified_log import open_log
from feedback_wire.log_name import Form
from tests.harness.logs import record, write_log

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
STEM = "20120807T093000Z-fs1-0000"


def rows(path: Path):
    with open_log(path) as log:
        sql, parameters = rows_sql([log])
        return duckdb.execute(f"SELECT *, {READABLE} FROM ({sql}) ORDER BY received_ms, session_id, seq", parameters).fetchall()


@pytest.mark.parametrize("form", list(Form))
def test_the_golden_logs_hold_the_same_whole_records(form, tmp_path):
    bare = tmp_path / "records.jsonl"
    bare.write_bytes((GOLDEN / "records.ndjson").read_bytes())
    known = rows(bare)
    assert len(known) >= 10
    assert all(row[-1] for row in known)
    assert rows(GOLDEN / f"{STEM}.{form}") == known


def readable(path: Path, columns=ALL):
    with open_log(path) as log:
        sql, parameters = readable_rows_sql([log], columns)
        whole, _ = rows_sql([log], columns)
        names = ", ".join(columns)
        kept = duckdb.execute(f"SELECT {names} FROM ({sql}) ORDER BY ALL", parameters).fetchall()
        return kept, duckdb.execute(f"SELECT {names} FROM ({whole}) WHERE {READABLE} ORDER BY ALL", parameters).fetchall()


# Values that each field is given in turn, required or not: none of them prevents reading the others.
ODD = (None, "", "x", -1, 0, 0.5, 1, 2, 10**6, 10**6 + 1, 10**10, 2**53, 10**30, 1e308, True, [], {}, "join", "1")


@pytest.mark.parametrize("columns", [ALL, ("received_ms", "seq", "weight", "continuity", "channel"), ("extra", "event")])
def test_rows_that_are_selected_unchanged_are_those_with_clean_values(tmp_path, columns):
    known = record(channel="a", upload_kbps=850.5, continuity=0.9, startup_ms=5, extra={"codec": "av1"})
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps(known | {name: odd}) + "\n" for name in known for odd in ODD))
    kept, clean = readable(path, columns)
    assert kept == clean
    assert len(known) < len(kept) < len(known) * len(ODD)


def test_a_log_without_a_required_column_has_no_readable_row(tmp_path):
    path = write_log(tmp_path, [record(), record(seq=1)], Form.PARQUET)
    pq.write_table(pq.read_table(path).drop_columns(["via"]), path)
    assert readable(path) == ([], [])


def test_nan_is_no_value_even_if_a_parquet_file_states_that_all_are_within_bounds(tmp_path):
    path = write_log(tmp_path, [record(seq=seq) for seq in range(4)], Form.PARQUET)
    written = pq.read_table(path)
    for name, values in {"weight": [1.0, 2.0, float("nan"), 4.0], "continuity": [0.5, float("nan"), 0.6, 0.7]}.items():
        written = written.set_column(written.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(written, path)
    weight_statistics = pq.ParquetFile(path).metadata.row_group(0).column(written.schema.get_field_index("weight")).statistics
    assert (weight_statistics.min, weight_statistics.max) == (1.0, 4.0)
    expected = [(0, 1.0, 0.5), (1, 2.0, None), (3, 4.0, 0.7)]
    assert readable(path, ("seq", "weight", "continuity")) == (expected, expected)
