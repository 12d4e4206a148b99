"""Bytes that must stay readable: the golden logs hold the same records in every form."""

from pathlib import Path

import duckdb
import pytest

from feedback_wire.log_name import Form
from monitor_platform.reading.rows import READABLE, rows_sql
from monitor_platform.reading.verified_log import open_log

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
