"""Inference logs of every form give the same numbers, each inference once."""

import pytest

from feedback_analysis.inferences.inference_summary import DIMENSIONS, summarize_inferences
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form
from tests.harness.inferences import inference_record, write_inferences

SEALED = [Form.JSONL, Form.CSV, Form.PARQUET]
RECORDS = [
    inference_record(0, stalled_probability=0.2, height=360),
    inference_record(1, stalled_probability=0.6, height=480),
    inference_record(0, "s2", mos=None, training_id="t2", model="forest-1"),
    inference_record(0, None, inference_id="f", flow="10.0.0.2:40112 10.0.0.1:443 tcp", training_id=None, source="capture"),
]


def opened(*logs):
    return open_records(logs, RecordKind.INFERENCE)


@pytest.mark.parametrize("form", SEALED)
def test_every_form_gives_the_same_summary(tmp_path, form):
    table, added = opened(write_inferences(tmp_path, RECORDS, form))
    assert (added.records, added.copies, added.unreadable) == (4, 0, 0)
    [first, *others] = summarize_inferences(table, by=["training_id"])
    assert (first.by, first.inferences, first.sessions) == ({"training_id": "t1"}, 2, 1)
    stalled = first.values["stalled_probability"]
    assert (stalled.n, stalled.mean, stalled.min, stalled.max) == (2, pytest.approx(0.4), 0.2, 0.6)
    assert {group.by["training_id"]: "mos" in group.values for group in others} == {"t2": False, None: True}
    [both] = summarize_inferences(table, where={"source": "live", "model": "boosted-1"})
    assert (both.inferences, both.sessions) == (2, 1)


def test_a_session_that_is_not_known_counts_as_that_of_its_flow_or_address(tmp_path):
    nameless = [inference_record(slot, None, inference_id=f"a-{slot}", address="192.0.2.9") for slot in range(3)]
    table, _ = opened(write_inferences(tmp_path, [*RECORDS, *nameless]))
    [total] = summarize_inferences(table)
    assert (total.inferences, total.sessions) == (7, 4)


def test_a_copy_of_an_inference_counts_once_in_one_log_and_across_logs(tmp_path):
    logs = [write_inferences(tmp_path, [RECORDS[0], RECORDS[0]]), write_inferences(tmp_path, RECORDS, Form.PARQUET, part=1)]
    _, added = opened(*logs)
    assert (added.records, added.copies) == (4, 2)


def test_a_value_out_of_bounds_is_unknown_and_a_record_without_a_required_field_is_unreadable(tmp_path):
    broken = [inference_record(0, mos=7.0), inference_record(1, model=None), inference_record(2, source="guess")]
    table, added = opened(write_inferences(tmp_path, broken))
    assert (added.records, added.unreadable) == (1, 2)
    [group] = summarize_inferences(table)
    assert "mos" not in group.values
    assert group.values["mos_low"].n == 1


def test_every_dimension_groups_and_filters(tmp_path):
    table, _ = opened(write_inferences(tmp_path, RECORDS))
    for name in DIMENSIONS:
        for group in summarize_inferences(table, by=[name]):
            if (value := group.by[name]) is not None:
                [same] = summarize_inferences(table, where={name: value})
                assert same.inferences == group.inferences


def test_an_unknown_dimension_is_refused_with_the_known_ones(tmp_path):
    table, _ = opened(write_inferences(tmp_path, RECORDS))
    with pytest.raises(ValueError, match="model, model_sha256, source"):
        summarize_inferences(table, by=["channel"])
