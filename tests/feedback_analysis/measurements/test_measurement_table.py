"""Measurement logs of every form give the same operations and numbers, each operation once."""

import pytest

from feedback_analysis.measurements.measurement_summary import summarize_measurements
from feedback_analysis.measures.selection import Span
from feedback_analysis.reading.log_files import find_logs
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form
from tests.harness.logs import record, write_log
from tests.harness.measurements import BEGIN_MS, measurement_record, write_measurements

SEALED = [Form.JSONL, Form.CSV, Form.PARQUET]
RECORDS = [
    measurement_record("op-0", values={"rtt_median_ms": 10.0, "loss_ratio": 0}),
    measurement_record("op-1", values={"rtt_median_ms": 30.0, "loss_ratio": None}),
    measurement_record("op-2", status="timeout_target", reason="no reply", values=None),
    measurement_record("op-3", agent="hk-2", tags={"country": "PT"}, values={"rtt_median_ms": 200}),
]


@pytest.mark.parametrize("form", SEALED)
def test_every_form_gives_the_same_summary(tmp_path, form):
    table, added = open_records([write_measurements(tmp_path, RECORDS, form)], RecordKind.MEASUREMENT)
    assert (added.records, added.copies, added.unreadable) == (4, 0, 0)
    [first, second] = summarize_measurements(table, by=["agent"])
    assert (first.by, first.operations) == ({"agent": "hk-1"}, 3)
    assert first.statuses == {"ok": 2, "timeout_target": 1}
    assert (first.values["rtt_median_ms"].n, first.values["rtt_median_ms"].mean, first.values["rtt_median_ms"].max) == (2, 20, 30)
    assert first.values["loss_ratio"].n == 1
    assert (second.by, second.values["rtt_median_ms"].p50) == ({"agent": "hk-2"}, 200)
    [portugal] = summarize_measurements(table, where={"tags.country": "PT"})
    assert portugal.operations == 1


def test_a_copy_of_an_operation_counts_once_in_one_log_and_across_logs(tmp_path):
    logs = [write_measurements(tmp_path, [RECORDS[0], RECORDS[0]]), write_measurements(tmp_path, RECORDS, Form.PARQUET, part=1)]
    _, added = open_records(logs, RecordKind.MEASUREMENT)
    assert (added.records, added.copies) == (4, 2)


def test_a_record_without_a_required_field_is_counted_as_unreadable(tmp_path):
    broken = [measurement_record(agent=None), measurement_record("op-1", status="fine"), RECORDS[0]]
    _, added = open_records([write_measurements(tmp_path, broken)], RecordKind.MEASUREMENT)
    assert (added.records, added.unreadable) == (1, 2)


def test_a_folder_gives_each_reader_the_logs_of_its_kind(tmp_path):
    measured = write_measurements(tmp_path, RECORDS)
    feedback = write_log(tmp_path, [record()])
    assert find_logs([tmp_path]).logs == (feedback,)
    assert find_logs([tmp_path], kind=RecordKind.MEASUREMENT).logs == (measured,)
    with pytest.raises(ValueError, match="measurement records"):
        find_logs([measured])


def test_a_time_range_selects_by_the_time_of_receipt(tmp_path):
    later = measurement_record("op-9", received_ms=BEGIN_MS + 60_000)
    table, _ = open_records(
        [write_measurements(tmp_path, [*RECORDS, later])], RecordKind.MEASUREMENT, Span(BEGIN_MS, BEGIN_MS + 60_000)
    )
    assert sum(group.operations for group in summarize_measurements(table)) == 4


def test_an_unknown_dimension_is_refused_with_the_known_ones(tmp_path):
    table, _ = open_records([write_measurements(tmp_path, RECORDS)], RecordKind.MEASUREMENT)
    with pytest.raises(ValueError, match="technique, destination"):
        summarize_measurements(table, by=["isp"])
