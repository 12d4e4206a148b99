"""A session of the lab is an ordinary end host: its messages pass the pipeline under the same session id."""

import json
from pathlib import Path
from typing import Any

import pytest

from qoe_lab.labels.session_labels import session_labels
from tests.harness.deployment import Deployment, deployment
from tests.harness.processes import run_swarmscope
from tests.qoe_lab.played_sessions import MASTER, content_server, played

__all__ = ["deployment"]
pytestmark = pytest.mark.journey


def test_the_reports_of_a_client_agree_with_its_events(deployment: Deployment, contents: Path, tmp_path: Path):
    deployment.feedback_server()
    deployment.coordinator()
    reporting = ("--coordinator", deployment.entries[0], "--training-id", "evening", "--period", "1")
    with content_server(contents, tmp_path) as server:
        code, printed, events = played("headless", server.url + MASTER, tmp_path, *reporting, seconds=5)
    assert (code, printed) == (0, "")
    deployment.settle()
    found = records(deployment)
    labels = session_labels(events)
    assert [each["event"] for each in found] == ["join", *["report"] * (len(found) - 2), "leave"]
    assert {each["session_id"] for each in found} == {"s-0"}
    assert {each["channel"] for each in found} == {"ball"}
    assert {(each["app"], each["platform"]) for each in found} == {("swarmscope-lab", "headless")}
    assert {each["extra"]["training_id"] for each in found} == {"evening"}
    last = found[-1]
    assert last["startup_ms"] == round(labels.startup_ms or 0)
    assert last["stall_count"] == labels.stall_count == 0
    assert last["extra"]["height"] == labels.shown[-1].height
    assert any(each.get("download_kbps", 0) > 0 for each in found)
    assert last["buffer_ms"] > 1000


def records(deployment: Deployment) -> list[dict[str, Any]]:
    done = run_swarmscope("logs", "cat", *deployment.data)
    assert done.returncode == 0, done.stderr
    return sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda each: each["seq"])
