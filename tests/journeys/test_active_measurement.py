"""An agent measures, and the outcome is in the logs beside the feedback, also if the coordinator was away meanwhile."""

import json

import pytest

from tests.harness.processes import run_swarmscope
from tests.harness.waiting import eventually

pytestmark = pytest.mark.journey


def test_a_measurement_reaches_the_logs_although_the_coordinator_was_down(deployment, serve, tmp_path):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    coordinator.kill()
    master = serve(
        *("measurement-master", "--listen", "127.0.0.1:0", "--insecure", "--allow-network", "127.0.0.0/8"),
        *("--data", str(tmp_path / "master"), "--coordinator", coordinator.url),
    )
    serve(
        *("measurement-agent", "--master", master.url, "--name", "hk-1", "--tag", "country=HK"),
        *("--spool", str(tmp_path / "agent"), "--insecure"),
    )
    port = server.url.rpartition(":")[2]
    asked = run_swarmscope("measure", "TCP_SEND", f"127.0.0.1:{port}", "--agents", "ALL", "--master", master.url, "--json")
    [outcome] = [json.loads(line)["outcome"] for line in asked.stdout.splitlines() if '"outcome"' in line]
    assert outcome["status"] in ("ok", "partial"), outcome
    eventually(lambda: "not forwarded" in master.log_text(), within_s=60)
    coordinator.start()
    eventually(lambda: coordinator.metrics()["messages_accepted_total"] == 1, within_s=120)
    deployment.stop()

    shown = run_swarmscope(
        "analyze", server.folder, "--kind", "measurement", "--by", "agent,agent_address,tags.country,technique", "--json"
    )
    assert shown.returncode == 0, shown.stderr
    [group] = json.loads(shown.stdout)["groups"]
    by = {"agent": "hk-1", "agent_address": "127.0.0.1", "tags.country": "HK", "technique": "TCP_SEND"}
    assert group["by"] == by
    assert group["statuses"] == {outcome["status"]: 1}
    measured = {value["name"]: value["value"] for value in outcome["values"] if value["value"] is not None}
    assert {name: value["mean"] for name, value in group["values"].items()} == measured
