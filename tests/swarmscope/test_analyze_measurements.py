"""`analyze --kind measurement` and `open_logs(kind="measurement")` show the operations of active measurement."""

import json

import pytest

from swarmscope import open_logs
from tests.harness.logs import record, write_log
from tests.harness.measurements import measurement_record, write_measurements
from tests.harness.processes import run_swarmscope


@pytest.fixture
def folder(tmp_path):
    records = [measurement_record(f"op-{number}", values={"rtt_median_ms": 10 * number}) for number in range(3)]
    write_measurements(tmp_path / "measurement", records)
    write_log(tmp_path, [record()])
    return tmp_path


def test_measurements_are_analyzed_beside_the_feedback_of_the_same_folder(folder):
    shown = run_swarmscope("analyze", folder, "--kind", "measurement", "--by", "agent", "--json")
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert (answer["operations"], answer["unreadable"]) == (3, 0)
    [group] = answer["groups"]
    assert group["values"]["rtt_median_ms"] == {"n": 3, "mean": 10, "min": 0, "p50": 10, "p95": 19, "max": 20}
    table = run_swarmscope("analyze", folder, "--kind", "measurement")
    assert "technique=PING, destination=media.example: 3 operations (ok 3)" in table.stdout
    assert json.loads(run_swarmscope("analyze", folder, "--json").stdout)["messages"] == 1


def test_a_flag_that_measurements_do_not_have_is_refused(folder):
    refused = run_swarmscope("analyze", folder, "--kind", "measurement", "--sessions", "--csv")
    assert refused.returncode == 2
    assert "--kind measurement accepts only" in refused.stderr


def test_a_notebook_gets_one_row_for_each_operation(folder):
    frame = open_logs(folder, kind="measurement", where={"agent": "hk-1"})
    assert list(frame["operation_id"]) == ["op-0", "op-1", "op-2"]
    assert json.loads(frame["values"][1]) == {"rtt_median_ms": 10}
    assert len(open_logs(folder)) == 1


def test_logs_are_printed_and_converted_by_kind(folder):
    printed = run_swarmscope("logs", "cat", folder, "--kind", "measurement")
    assert [json.loads(line)["operation_id"] for line in printed.stdout.splitlines()] == ["op-0", "op-1", "op-2"]
    converted = run_swarmscope("logs", "convert", "--to", "parquet", "-o", folder / "new", folder / "measurement")
    assert converted.returncode == 0, converted.stderr
    assert len(open_logs(folder / "new", kind="measurement")) == 3
