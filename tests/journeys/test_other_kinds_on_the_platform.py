"""Records of other kinds than feedback arrive at a live platform."""

import json
import time
import urllib.request

import pytest

from feedback_analysis.time_units import DAY_MS
from feedback_server.forms import log_writer
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName
from tests.harness.deployment import metrics
from tests.harness.inferences import inference
from tests.harness.measurements import measurement, measurement_record, ndjson, post
from tests.harness.waiting import eventually

pytestmark = pytest.mark.journey


def test_a_live_platform_answers_from_memory_and_from_the_logs_of_an_earlier_time(deployment, tmp_path):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    now_ms = time.time_ns() // 1_000_000
    earlier_ms = now_ms - 3 * DAY_MS
    write_earlier(tmp_path / "mirror" / "measurement" / "fs9", earlier_ms)
    monitor = deployment.monitor()
    messages = [measurement(f"live-{number}", started_ms=now_ms) for number in range(3)]
    assert post(coordinator.url + "/v1/measurements", ndjson(messages))[0] == 202
    assert post(coordinator.url + "/v1/inferences", ndjson([inference()]))[0] == 202
    eventually(lambda: total(monitor, "measurements", "operations") == 3)
    eventually(lambda: total(monitor, "inferences", "inferences") == 1)
    span = f"?from={earlier_ms}&to={earlier_ms + 60_000}"
    assert total(monitor, "measurements", "operations", span) == 2
    counted = metrics(monitor.url)
    assert counted['swarmscope_monitor_kind_records{kind="measurement"}'] == 3
    assert counted['swarmscope_monitor_kind_failures_total{kind="measurement"}'] == 0


def total(monitor, route, what, query=""):
    with urllib.request.urlopen(f"{monitor.url}/api/v1/{route}{query}", timeout=60) as answer:
        return sum(group[what] for group in json.load(answer)["groups"])


def write_earlier(folder, at_ms):
    """The log of an earlier day, with two operations."""
    folder.mkdir(parents=True)
    with (folder / str(LogName(at_ms // 1000, "fs9", 0, Form.JSONL, RecordKind.MEASUREMENT))).open("wb") as file:
        writer = log_writer(Form.JSONL, file, RecordKind.MEASUREMENT)
        writer.add(ndjson(measurement_record(f"earlier-{number}", received_ms=at_ms) for number in range(2)), 2)
        writer.finish()
