"""An answer of a proxy in front of a feedback server decides about no batch: everything acknowledged ends in exactly one log."""

import itertools
import random
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from coordinator.carriers.spool import Spool
from tests.faults.answering_proxy import Relay
from tests.faults.ledger import Ledger, messages_of
from tests.faults.oracle import judge
from tests.harness.deployment import Deployment, Part
from tests.harness.disks import MIB, fill
from tests.harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("short_pauses")

STATUSES = pytest.mark.parametrize(
    "statuses", [(400, 200, 204), pytest.param((400, 404, 413, 415, 422, 200, 204), marks=pytest.mark.soak)], ids=["some", "all"]
)
POISON = b"poison"


def send(coordinator: Part, messages: Sequence[bytes], ledger: Ledger) -> None:
    """Send messages in one request, which the coordinator must accept."""
    ledger.sending(messages)
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{coordinator.url}/v1/feedback", b"[" + b",".join(messages) + b"]", headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202
    ledger.acknowledged(messages)


def assert_each_in_one_log(deployment: Deployment, ledger: Ledger) -> None:
    deployment.settle()
    verdict = judge(ledger, deployment.data)
    verdict.assert_kept()
    assert verdict.repeated == 0


def waiting(coordinator: Part) -> tuple[float, float]:
    """Messages that wait in the spool, and how many of them are blocked."""
    counted = coordinator.metrics()
    return counted["spool_messages"], counted["spool_blocked_messages"]


@STATUSES
def test_answers_of_a_proxy_neither_reject_nor_store_spooled_batches(
    deployment: Deployment, ledger: Ledger, statuses: Sequence[int]
):
    server = deployment.feedback_server()
    messages = messages_of("relayed", random.Random(1))
    with Relay(server.url) as relay:
        coordinator = deployment.coordinator(to=[relay.url])
        for status in statuses:
            relay.status, relay.blocks = status, lambda _body: True
            for _ in range(3):
                send(coordinator, list(itertools.islice(messages, 2)), ledger)
            eventually(lambda status=status: relay.answered[status] >= 2)  # once live, then from the spool
            assert waiting(coordinator)[0] == 6
            relay.blocks = lambda _body: False
            eventually(lambda: waiting(coordinator) == (0, 0))
        # A batch is counted just after it has left the spool.
        eventually(lambda: coordinator.metrics()["messages_drained_total"] == 6 * len(statuses))
        counted = coordinator.metrics()
        assert (counted["messages_drain_rejected_total"], counted["messages_spooled_total"]) == (0, 6 * len(statuses))
        assert_each_in_one_log(deployment, ledger)


def test_a_batch_that_every_path_blocks_delays_no_other_and_arrives_when_a_path_opens(deployment: Deployment, ledger: Ledger):
    servers = [deployment.feedback_server() for _ in range(2)]
    good = messages_of("good", random.Random(2))
    poisoned = next(messages_of(POISON.decode(), random.Random(3)))
    with Relay(servers[0].url) as first, Relay(servers[1].url) as second:
        relays = (first, second)
        coordinator = deployment.coordinator(to=[relay.url for relay in relays])
        for relay in relays:
            relay.blocks = lambda _body: True
        send(coordinator, [poisoned], ledger)
        for message in itertools.islice(good, 8):
            send(coordinator, [message], ledger)
        assert coordinator.metrics()["messages_spooled_total"] == 9
        for relay in relays:
            relay.blocks = lambda body: POISON in body
        eventually(lambda: waiting(coordinator) == (1, 1))
        [file] = coordinator.folder.glob("worker-0/blocked-*.spool")
        name = file.stem.removeprefix("blocked-")
        output = coordinator.running.log_text()
        assert f"batch {name} (1 messages) was not stored in 3 tries" in output
        counted = coordinator.metrics()
        assert counted["messages_drain_blocked_total"] == 1
        assert counted["messages_drained_total"] == 8

        before = sum(relay.answered[400] for relay in relays)
        eventually(lambda: sum(relay.answered[400] for relay in relays) >= before + 2)  # it is tried again
        send(coordinator, [next(good)], ledger)
        counted = coordinator.metrics()
        assert counted["messages_forwarded_total"] == 1
        assert counted["messages_spooled_total"] == 9  # the servers stay in use

        coordinator.kill()
        coordinator.start()
        assert waiting(coordinator) == (1, 1)
        second.blocks = lambda _body: False
        eventually(lambda: waiting(coordinator) == (0, 0))
        assert not list(coordinator.folder.glob("worker-0/blocked-*"))
        assert_each_in_one_log(deployment, ledger)


def test_a_blocked_batch_on_a_full_disk_stays_in_the_spool_and_moves_when_there_is_room(
    deployment: Deployment, ledger: Ledger, make_disk: Callable[[int], Path]
):
    disk = make_disk(MIB)
    good = messages_of("good", random.Random(5))
    poisoned = next(messages_of(POISON.decode(), random.Random(6)))
    with Relay(deployment.feedback_server().url) as relay:
        coordinator = deployment.coordinator(to=[relay.url], spool=disk / "spool")
        relay.blocks = lambda _body: True
        for message in (poisoned, *itertools.islice(good, 2)):
            send(coordinator, [message], ledger)
        ballast = fill(disk)
        relay.blocks = lambda body: POISON in body
        eventually(lambda: "cannot keep a blocked batch" in coordinator.running.log_text())
        assert waiting(coordinator) == (3, 0), "nothing is lost, and the others wait behind it"
        ballast.unlink()
        eventually(lambda: waiting(coordinator) == (1, 1), within_s=90)
        relay.blocks = lambda _body: False
        eventually(lambda: waiting(coordinator) == (0, 0), within_s=90)
        assert_each_in_one_log(deployment, ledger)


def test_a_batch_that_the_feedback_server_itself_rejects_is_set_aside(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    spool = Spool(deployment.root / "spool" / "worker-0", 10**9)
    spool.append(b"b" * 16, b"no object\n", 1)
    spool.close()
    [message] = itertools.islice(messages_of("good", random.Random(4)), 1)
    with Relay(server.url) as relay:
        coordinator = deployment.coordinator(to=[relay.url], spool=deployment.root / "spool")
        eventually(lambda: coordinator.metrics()["messages_drain_rejected_total"] == 1)
        [kept] = (deployment.root / "spool").glob("worker-0/*.rejected.jsonl")
        assert kept.read_bytes() == b"no object\n"
        assert "bad_lines" in coordinator.running.log_text()
        send(coordinator, [message], ledger)
        assert_each_in_one_log(deployment, ledger)
