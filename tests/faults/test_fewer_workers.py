"""A coordinator that restarts with fewer workers drains what the other workers had spooled."""

from pathlib import Path

from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import judge
from tests.harness.deployment import Deployment
from tests.harness.waiting import eventually


def spooled(spool: Path) -> set[str]:
    """The workers with batches in their folders."""
    return {path.parent.name for path in spool.glob("worker-*/*.spool")}


def test_the_spools_of_removed_workers_are_drained(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator("--workers", "3")
    server.kill()
    # With so many connections, at least one almost certainly reaches another worker than the first.
    with Load(deployment.entries, ledger, senders=24) as load:
        eventually(lambda: spooled(coordinator.folder) - {"worker-0"}, within_s=30)
        load.gets_on()
    coordinator.stop()
    assert spooled(coordinator.folder) - {"worker-0"}, "there is something to be left behind"
    coordinator.flags = tuple("1" if flag == "3" else flag for flag in coordinator.flags)
    coordinator.start()
    assert spooled(coordinator.folder) == {"worker-0"}
    server.start()
    deployment.settle()
    assert not spooled(coordinator.folder)
    judge(ledger, deployment.data).assert_kept()
