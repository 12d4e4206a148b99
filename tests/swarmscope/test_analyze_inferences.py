"""`analyze --kind inference` and `open_logs(kind="inference")` show what models concluded from packets."""

import csv
import io
import json

import pytest
from jsonschema import Draft202012Validator

from swarmscope import open_logs
from tests.harness.inferences import inference, inference_record, write_inferences
from tests.harness.logs import record, write_log
from tests.harness.processes import run_swarmscope


@pytest.fixture
def folder(tmp_path):
    records = [inference_record(slot, session, mos=3 + slot) for session in ("s1", "s2") for slot in range(3)]
    write_inferences(tmp_path / "inference", records)
    write_log(tmp_path, [record()])
    return tmp_path


def test_inferences_are_analyzed_beside_the_feedback_of_the_same_folder(folder):
    shown = run_swarmscope("analyze", folder, "--kind", "inference", "--by", "session_id", "--json")
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert (answer["inferences"], answer["copies"], answer["unreadable"]) == (6, 0, 0)
    assert {group["by"]["session_id"]: (group["inferences"], group["sessions"]) for group in answer["groups"]} == {
        "s1": (3, 1),
        "s2": (3, 1),
    }
    assert answer["groups"][0]["values"]["mos"] == {"n": 3, "mean": 4, "min": 3, "p50": 4, "p95": 4.9, "max": 5}
    table = run_swarmscope("analyze", folder, "--kind", "inference")
    assert "model=boosted-1, source=live: 6 inferences of 2 sessions" in table.stdout
    assert json.loads(run_swarmscope("analyze", folder, "--json").stdout)["messages"] == 1


def test_the_csv_of_inferences_has_one_row_for_each_value(folder):
    shown = run_swarmscope("analyze", folder, "--kind", "inference", "--where", "session_id=s1", "--csv")
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert {row["value"]: (row["sessions"], row["mean"]) for row in rows}["mos"] == ("1", "4.0")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--sessions", "--csv"), "--kind inference accepts only"),
        (("--by", "channel"), "is not a dimension of inferences"),
        (("--where", "model=none"), "no inference records"),
    ],
)
def test_what_inferences_do_not_have_is_refused_with_the_reason(folder, flags, expected):
    refused = run_swarmscope("analyze", folder, "--kind", "inference", *flags)
    assert refused.returncode != 0
    assert expected in refused.stderr


def test_a_notebook_gets_one_row_for_each_inference(folder):
    frame = open_logs(folder, kind="inference", where={"session_id": "s2"})
    assert list(frame["slot"]) == [0, 1, 2]
    assert list(frame["mos"]) == [3, 4, 5]


def test_the_schema_of_inferences_is_printed_and_describes_them(folder):
    schema = json.loads(run_swarmscope("schema", "--kind", "inference").stdout)
    Draft202012Validator(schema).validate(inference())
    assert not Draft202012Validator(schema).is_valid(inference(model=None))
