"""This version reads what earlier versions wrote: every form gives the same records with the same meaning."""

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from feedback_analysis.inferences.inference_summary import summarize_inferences
from feedback_analysis.measurements.measurement_summary import summarize_measurements
from feedback_analysis.record_table import open_records
from feedback_wire.catalogue import Catalogue
from feedback_wire.frames import Damage, Frame, FrameKind, walk
from feedback_wire.inference import inference_schema
from feedback_wire.kinds import RecordKind
from feedback_wire.measurement import measurement_schema
from feedback_wire.message import message_schema
from feedback_wire.record import record_schema
from tests.harness.processes import run_swarmscope

GOLDEN = Path(__file__).parent / "v1"
LOGS = sorted(GOLDEN.glob("*-fs1-0000.*"))
MEASUREMENT_LOGS = sorted(GOLDEN.glob("*-fs2-0000.measurement.*"))
MEASUREMENTS = [json.loads(line) for line in (GOLDEN / "measurements.ndjson").read_text().splitlines()]
INFERENCE_LOGS = sorted(GOLDEN.glob("*-fs3-0000.inference.*"))
INFERENCES = [json.loads(line) for line in (GOLDEN / "inferences.ndjson").read_text().splitlines()]
RECORDS = [json.loads(line) for line in (GOLDEN / "records.ndjson").read_text().splitlines()]


def test_there_is_a_golden_log_of_every_form():
    assert [log.name.split(".", 1)[1] for log in LOGS] == ["csv.zst", "journal", "jsonl.zst", "parquet"]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_every_form_still_gives_the_same_records(log):
    read = run_swarmscope("logs", "cat", log)
    assert read.returncode == 0, read.stderr
    assert [json.loads(line) for line in read.stdout.splitlines()] == RECORDS


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_every_form_still_gives_the_same_numbers(log):
    """The weights are 1, 1 and 10; each end host sent four messages."""
    read = run_swarmscope("analyze", log, "--json", "--by", "channel")
    assert read.returncode == 0, read.stderr
    summary = json.loads(read.stdout)
    assert (summary["messages"], summary["peers"], summary["sessions"]) == (48, 12, 12)
    assert (summary["duplicates"], summary["unreadable"]) == (0, 0)
    by_channel = {group["by"]["channel"]: group["messages"] for group in summary["groups"]}
    assert by_channel == {"Badminton": 4, "羽毛球": 4, 'A "quoted", name': 40}
    # p50: ten of twelve weights report 866 + i, so the heaviest end host decides; the mean was computed by hand.
    means = [(846.25 + peer * 10 + seq, weight) for peer, weight in enumerate((1, 1, 10)) for seq in (1, 2, 3)]
    expected = sum(value * weight for value, weight in means) / sum(weight for _, weight in means)
    assert summary["upload_kbps"]["mean"] == pytest.approx(expected, rel=1e-12)
    assert summary["upload_kbps"]["p50"] == 868.25


@pytest.mark.parametrize("log", [log for log in LOGS if log.suffix != ".parquet"], ids=lambda log: log.name)
def test_the_frames_still_have_the_same_counts(log):
    found = list(walk(log.read_bytes()))
    assert not [item for item in found if isinstance(item, Damage)]
    assert sum(item.header.records for item in found if isinstance(item, Frame)) == len(RECORDS)
    assert [item.header.kind for item in found if isinstance(item, Frame)].count(FrameKind.FOOTER) == (log.suffix != ".journal")


def test_there_is_a_golden_log_of_measurements_of_every_form():
    assert [log.name.split(".", 2)[2] for log in MEASUREMENT_LOGS] == ["csv.zst", "journal", "jsonl.zst", "parquet"]


@pytest.mark.parametrize("log", MEASUREMENT_LOGS, ids=lambda log: log.name)
def test_every_form_still_gives_the_same_measurements(log):
    read = run_swarmscope("logs", "cat", log, "--kind", "measurement")
    assert read.returncode == 0, read.stderr
    assert [json.loads(line) for line in read.stdout.splitlines()] == MEASUREMENTS
    table, added = open_records([log], RecordKind.MEASUREMENT)
    assert (added.records, added.unreadable) == (4, 0)
    [first, *_] = summarize_measurements(table, where={"technique": "PATHNECK"})
    assert (first.statuses, first.values["bottleneck_kbps"].mean) == ({"partial": 1}, 19460.5)


def test_there_is_a_golden_log_of_inferences_of_every_form():
    assert [log.name.split(".", 2)[2] for log in INFERENCE_LOGS] == ["csv.zst", "journal", "jsonl.zst", "parquet"]


@pytest.mark.parametrize("log", INFERENCE_LOGS, ids=lambda log: log.name)
def test_every_form_still_gives_the_same_inferences(log):
    read = run_swarmscope("logs", "cat", log, "--kind", "inference")
    assert read.returncode == 0, read.stderr
    assert [json.loads(line) for line in read.stdout.splitlines()] == INFERENCES
    table, added = open_records([log], RecordKind.INFERENCE)
    assert (added.records, added.unreadable) == (4, 0)
    [group] = summarize_inferences(table, where={"session_id": "g"})
    assert (group.inferences, group.values["stalled_probability"].mean) == (2, 0.525)


def test_golden_measurements_and_inferences_are_still_valid():
    for record in MEASUREMENTS:
        Draft202012Validator(record_schema(measurement_schema())).validate(record)
    for record in INFERENCES:
        Draft202012Validator(record_schema(inference_schema())).validate(record)


def test_golden_records_and_message_are_still_valid():
    for record in RECORDS:
        Draft202012Validator(record_schema()).validate(record)
    Draft202012Validator(message_schema()).validate(json.loads((GOLDEN / "message.json").read_text()))


def test_the_golden_catalogue_can_still_be_read():
    catalogue = Catalogue.from_json(msgspec.json.decode((GOLDEN / "catalogue.json").read_bytes()))
    assert [(str(entry.name), entry.records, entry.sealed) for entry in catalogue.logs] == [
        ("20120807T093000Z-fs1-0000.jsonl.zst", 12, True)
    ]
