"""Players and relays report as end hosts: overlay, SDK, coordinator and feedback server as processes, and their records."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.swarm import swarm
from feedback_analysis.quality.mos import MosModel
from tests.harness.deployment import Deployment
from tests.harness.ports import free_port
from tests.harness.processes import run_swarmscope
from tests.harness.waiting import eventually
from tests.overlay.loopback import Loopback
from tests.overlay.swarm import Swarm

pytestmark = pytest.mark.journey
RATE_KBPS = 1000.0
TOPOLOGY = {
    "s": {"neighbors": ["r1", "r2"], "role": "source"},
    "r1": {"neighbors": ["p"]},
    "r2": {"neighbors": ["p"]},
    "p": {"neighbors": [], "role": "player"},
    "streams": {"news": {"source": "s", "rate_kbps": RATE_KBPS}},
}


def records(deployment: Deployment) -> list[dict[str, Any]]:
    done = run_swarmscope("logs", "cat", *deployment.data)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_peer(found: list[dict[str, Any]], peer: str) -> list[dict[str, Any]]:
    return sorted((each for each in found if each["peer_id"] == peer), key=lambda each: each["seq"])


def test_players_and_relays_report_what_they_get_and_give(deployment: Deployment, tmp_path: Path):
    deployment.feedback_server()
    deployment.coordinator()
    network = Loopback()
    try:
        left = watched_with_a_failure(network, deployment.entries[0], tmp_path)
    finally:
        network.end()
    deployment.settle()
    check(records(deployment), left)
    check_page(deployment, left)


def check_page(deployment: Deployment, left: Mapping[str, Any]) -> None:
    """The page of the swarm shows which relay failed, when all nodes have left too."""
    with Locator() as locator:
        table = open_logs(deployment.data, locator=locator, mos=MosModel())
        whole = extent(table)
        assert whole is not None
        found = swarm(table, span=whole, period_s=1.0, exactly=False)
        table.close()
    assert found is not None
    [failure] = found.failures
    assert (failure.peer_id, failure.failed, failure.parent) == ("p", left["failed"], ({"r1", "r2"} - {left["failed"]}).pop())
    assert failure.gap_ms == left["failover_gap_ms"]
    assert {"s", "p"} <= {each.name for each in found.nodes if each.state == "here"}


def watched_with_a_failure(network: Loopback, coordinator: str, folder: Path) -> Mapping[str, Any]:
    """Watch, kill the relay in use, watch on, and end all nodes; what the player printed last."""
    reports = ("--coordinator", coordinator, "--period", "1")
    swarm = Swarm(network, TOPOLOGY, folder, bootstrapper_at="s", port=free_port())
    eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
    for name in ("r1", "r2"):
        swarm.start("node", name, *reports)
    swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(RATE_KBPS), *reports)
    swarm.start("play", "p", "--stream", "news", *reports)
    player = swarm.parts["p"]
    eventually(lambda: player.printed("played_ms") and player.printed("played_ms")[-1]["played_ms"] > 1500)
    failed = player.printed("parent")[-1]["parent"]
    swarm.parts[failed].process.send_signal(signal.SIGKILL)
    eventually(lambda: player.printed("parent")[-1]["parent"] not in (failed, None))
    played_ms = player.printed("played_ms")[-1]["played_ms"]
    eventually(lambda: player.printed("played_ms")[-1]["played_ms"] > played_ms + 2000)
    for name in ("p", "s", *({"r1", "r2"} - {failed})):
        swarm.parts[name].stop()
    return {**player.printed("played_ms")[-1], "failed": failed}


def check(found: list[dict[str, Any]], left: Mapping[str, Any]) -> None:
    mine = of_peer(found, "p")
    assert [each["event"] for each in (mine[0], mine[-1])] == ["join", "leave"]
    last = mine[-1]
    assert last["channel"] == "news"
    assert last["extra"]["failovers"] == 1
    assert 0 < last["extra"]["failover_gap_ms"] < 5000
    assert last["extra"]["parent"] in ({"r1", "r2", ""} - {left["failed"]})
    assert last["extra"]["depth"] == 2
    assert last["startup_ms"] >= 900  # the buffer
    assert abs(last["played_ms"] - left["played_ms"]) <= 1500
    playing = [each for each in mine if each.get("playback_kbps", 0) > 0 and "download_kbps" in each]
    assert playing
    assert max(each["continuity"] for each in mine if "continuity" in each) > 0.8  # a busy machine may stall the others
    assert max(each["download_kbps"] for each in playing) > 0.8 * RATE_KBPS
    assert any(each["p2p_ratio"] > 0.9 for each in playing if "p2p_ratio" in each)
    relay = of_peer(found, ({"r1", "r2"} - {left["failed"]}).pop())
    assert {each["extra"]["role"] for each in relay} == {"relay"}
    assert max(each["upload_kbps"] for each in relay if "upload_kbps" in each) > 0.8 * RATE_KBPS
    assert of_peer(found, "s")[-1]["extra"]["role"] == "source"
