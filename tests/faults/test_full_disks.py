"""Full disks: refusals are honest, stored data stays readable, and the servers continue by themselves when there is room again."""

import json
import random
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import assert_conserved, judge
from tests.harness.deployment import Deployment, Part
from tests.harness.disks import MIB, fill
from tests.harness.waiting import eventually


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=60):
            return True
    except urllib.error.HTTPError as refusal:
        if refusal.code == 503:
            return False
        raise


def readable(server: Part) -> int:
    """Bytes of all logs that a reader gets from this server now."""
    with urllib.request.urlopen(server.url + "/v1/logs", timeout=60) as answer:
        names = [log["name"] for log in json.load(answer)["logs"]]
    total = 0
    for name in names:
        with urllib.request.urlopen(f"{server.url}/v1/logs/{name}", timeout=60) as answer:
            total += len(answer.read())
    return total


def test_a_full_spool_refuses_and_every_acknowledged_message_is_still_there(deployment: Deployment, ledger: Ledger):
    servers = [deployment.feedback_server(), deployment.feedback_server()]
    coordinator = deployment.coordinator("--spool-max-bytes", "60000")
    for server in servers:
        server.kill()
    with Load(deployment.entries, ledger) as load:
        eventually(lambda: load.answers[503] >= 20)
        assert not is_ready(coordinator.url)
        assert coordinator.metrics()["spool_bytes"] <= 60_000
        refused_at = load.acknowledged
        judge(ledger, deployment.data, deployment.spools).assert_kept()
        for server in servers:
            server.start()
        eventually(lambda: load.acknowledged > refused_at + 100, within_s=30)
    counted = coordinator.metrics()
    assert counted['messages_refused_total{reason="spool_full"}'] >= 20
    assert_conserved(counted)
    assert is_ready(coordinator.url)
    deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.stored == found.acknowledged


def test_a_feedback_server_with_a_full_disk_refuses_stays_readable_and_recovers(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(2 * MIB)
    server = deployment.feedback_server(data=disk / "fs1")
    coordinator = deployment.coordinator("--spool-max-bytes", "1")  # without a spool: refusals are the server's own
    with Load(deployment.entries, ledger) as load:
        load.gets_on(200)
        ballast = fill(disk)
        eventually(lambda: not is_ready(server.url))
        refused = load.answers[503]
        eventually(lambda: load.answers[503] > refused + 20)
        assert server.metrics()["write_errors_total"] >= 1
        assert readable(server) > 0
        judge(ledger, deployment.data).assert_kept()
        ballast.unlink()
        eventually(lambda: is_ready(server.url), within_s=5)
        load.gets_on(100)
    assert_conserved(coordinator.metrics())
    deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert [path.name for path in (disk / "fs1").glob("*.journal")] == [], "all is sealed again"


def test_a_feedback_server_starts_on_a_full_disk_and_serves_its_logs(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(2 * MIB)
    server = deployment.feedback_server(data=disk / "fs1")
    deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        load.gets_on(200)
        server.kill()
        ballast = fill(disk)
        server.start()
        assert readable(server) > 0
        eventually(lambda: not is_ready(server.url))
        load.gets_on()  # into the spool
        ballast.unlink()
        eventually(lambda: is_ready(server.url), within_s=5)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@pytest.mark.soak
def test_a_lasting_full_disk_leaves_no_useless_files_and_uses_up_no_names(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(2 * MIB)
    server = deployment.feedback_server("--roll-seconds", "86400", data=disk / "fs1")
    deployment.coordinator("--spool-max-bytes", "1")
    with Load(deployment.entries, ledger) as load:
        load.gets_on()
        ballast = fill(disk, leave=40_000)
        eventually(lambda: server.metrics()["write_errors_total"] >= 6, within_s=30)
        files = len(list((disk / "fs1").iterdir()))
        assert files <= 6, sorted(path.name for path in (disk / "fs1").iterdir())
        ballast.unlink()
        load.gets_on()
    parts = sorted(path.name for path in (disk / "fs1").glob("*Z-fs1-*"))
    assert max(int(name.split(".")[0][-4:]) for name in parts) <= 3, f"failed attempts used up names: {parts}"
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_spool_on_a_full_disk_refuses_and_drains_quickly_when_a_server_is_back(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(MIB)
    server = deployment.feedback_server()
    coordinator = deployment.coordinator(spool=disk / "spool")
    server.kill()
    with Load(deployment.entries, ledger) as load:
        load.gets_on(200)
        ballast = fill(disk, leave=random.Random(1).randrange(4096, 40_000))
        eventually(lambda: load.answers[503] >= 20)
        judge(ledger, deployment.data, deployment.spools).assert_kept()
        server.start()  # nothing else makes room: draining has to
        eventually(lambda: coordinator.metrics()["messages_drained_total"] >= 200, within_s=15)
        load.gets_on()
    assert ballast.exists()
    eventually(lambda: coordinator.metrics()["spool_messages"] == 0)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_spool_accepts_messages_again_once_its_disk_has_room(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(MIB)
    server = deployment.feedback_server()
    deployment.coordinator(spool=disk / "spool")
    server.kill()
    with Load(deployment.entries, ledger) as load:
        ballast = fill(disk)
        eventually(lambda: load.answers[503] >= 20)
        ballast.unlink()
        load.gets_on()
        judge(ledger, deployment.data, deployment.spools).assert_kept()
        server.start()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


TORN = b"SwSf cut short"


def tear(folder: Path, suffix: str) -> Path:
    """Append to the newest file what a write leaves when a crash interrupts it."""
    newest = max(folder.rglob(f"*{suffix}"))
    with newest.open("ab") as file:
        file.write(TORN)
    return newest


def test_a_torn_journal_on_a_full_disk_is_readable_up_to_its_tear(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(2 * MIB)
    server = deployment.feedback_server("--roll-seconds", "3600", data=disk / "fs1")
    deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        load.gets_on(200)
        server.kill()
        torn = tear(server.folder, ".journal")
        ballast = fill(disk)
        server.start()
        assert readable(server) == torn.stat().st_size - len(TORN)
        ballast.unlink()
        eventually(lambda: is_ready(server.url), within_s=5)
        load.gets_on()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_torn_batch_on_a_full_disk_does_not_prevent_draining_the_spool(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(MIB)
    server = deployment.feedback_server()
    coordinator = deployment.coordinator(spool=disk / "spool")
    server.kill()
    with Load(deployment.entries, ledger) as load:
        load.gets_on(100)
        coordinator.kill()
        torn = tear(disk / "spool", ".spool")
        fill(disk)
        server.start()
        coordinator.start()
        eventually(lambda: coordinator.metrics()["spool_messages"] == 0, within_s=10)
        eventually(lambda: torn.with_suffix(".damaged").exists())
        assert coordinator.metrics()["spool_damaged_bytes_total"] == len(TORN)
        load.gets_on()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()
