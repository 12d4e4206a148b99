"""Promise 1: what was acknowledged is stored, whichever process is killed, frozen or restarted, at any moment.

A kill does not test fdatasync, because the page cache survives it; test_order_of_syncs.py does.
"""

import random
import time

import pytest

from tests.faults.chaos_proxy import ChaosProxy, Toxics
from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import assert_conserved, judge
from tests.harness.deployment import Deployment, Part
from tests.harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("short_pauses")

LONG = pytest.param(20, marks=pytest.mark.soak)
ONCE, TWICE = (pytest.mark.parametrize("times", [pytest.param(quick), LONG]) for quick in (1, 2))


def moment(roll: random.Random) -> None:
    """Let the load run for a random time, so that the next fault hits any instant within a group commit, an answer or a sealing."""
    time.sleep(roll.uniform(0.1, 0.5))


@TWICE
def test_killing_a_feedback_server_at_any_moment_loses_nothing(deployment: Deployment, ledger: Ledger, times: int):
    roll = random.Random(1)
    servers = [deployment.feedback_server(), deployment.feedback_server()]
    coordinator = deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        for _ in range(times):
            load.gets_on()
            moment(roll)
            victim = roll.choice(servers)
            victim.kill()
            moment(roll)
            victim.start()
    counted = coordinator.metrics()
    assert sum(value for name, value in counted.items() if name.startswith("feedback_server_errors_total")) >= 1
    assert_conserved(counted)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@ONCE
def test_killing_the_only_feedback_server_sends_messages_through_the_spool_and_loses_nothing(
    deployment: Deployment, ledger: Ledger, times: int
):
    roll = random.Random(2)
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        for _ in range(times):
            moment(roll)
            server.kill()
            spooled = coordinator.metrics()["messages_spooled_total"]
            eventually(lambda before=spooled: coordinator.metrics()["messages_spooled_total"] > before)
            server.start()
            load.gets_on()
    assert load.answers[503] == 0, "with a spool no request is refused"
    assert_conserved(coordinator.metrics())
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@ONCE
def test_killing_the_coordinator_at_any_moment_loses_nothing(deployment: Deployment, ledger: Ledger, times: int):
    roll = random.Random(3)
    deployment.feedback_server()
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        for _ in range(times):
            load.gets_on()
            moment(roll)
            coordinator.kill()
            coordinator.start()
    assert load.answers["error"] > 0, "end hosts did notice"
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@ONCE
def test_killing_the_coordinator_while_it_spools_loses_nothing(deployment: Deployment, ledger: Ledger, times: int):
    roll = random.Random(4)
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    server.kill()
    with Load(deployment.entries, ledger) as load:
        for _ in range(times):
            load.gets_on()
            moment(roll)
            assert coordinator.metrics()["messages_spooled_total"] > 0
            coordinator.kill()
            coordinator.start()
        load.gets_on()
    judge(ledger, deployment.data, deployment.spools).assert_kept()
    server.start()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@TWICE
def test_killing_the_coordinator_while_it_drains_its_spool_loses_nothing(deployment: Deployment, ledger: Ledger, times: int):
    server = deployment.feedback_server()
    with ChaosProxy(server.url) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url])
        server.kill()
        # One sender of single messages: as many batches in the spool as possible.
        with Load(deployment.entries, ledger, senders=1, batches=(1,), pause_s=0) as load:
            load.gets_on(40 * times)
        coordinator.kill()
        server.start()
        proxy.toxics = Toxics(latency_s=0.05)  # draining takes long enough to be hit
        hit = 0
        for _ in range(times):
            coordinator.start()
            waiting = coordinator.metrics()["spool_messages"]
            eventually(lambda full=waiting: coordinator.metrics()["spool_messages"] < full or not full, every_s=0.001)
            left = coordinator.metrics()["spool_messages"]
            coordinator.kill()
            hit += 0 < left < waiting
        assert hit >= 1, "it was never killed while draining"
        proxy.toxics = Toxics()
        coordinator.start()
        deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated == 0, "a batch keeps its id in the spool, so the same server stores it once"


@ONCE
def test_a_batch_that_a_killed_server_stored_without_answering_is_stored_once(deployment: Deployment, ledger: Ledger, times: int):
    server = deployment.feedback_server()
    with ChaosProxy(server.url) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url])
        up = f'feedback_server_up{{kind="feedback",server="{proxy.url}"}}'
        with Load(deployment.entries, ledger, patience_s=10) as load:
            for _ in range(times if times > 3 else 1):
                load.gets_on()
                swallowed = proxy.did["swallow_silently"]
                proxy.toxics = Toxics(swallow_silently=1)
                eventually(lambda before=swallowed: proxy.did["swallow_silently"] > before)
                server.kill()
                proxy.toxics = Toxics()
                server.start()
                eventually(lambda: coordinator.metrics()[up] == 1, within_s=40)
        eventually(lambda: coordinator.metrics()["spool_messages"] == 0, within_s=120)  # tens of thousands after twenty kills
        assert server.metrics()["duplicates_total"] >= 1, "a batch from before the kill did come again"
        deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated == 0, "a restarted server still knows the batches of its journals"


@ONCE
def test_killing_everything_at_once_loses_nothing(deployment: Deployment, ledger: Ledger, times: int):
    roll = random.Random(5)
    deployment.feedback_server()
    deployment.feedback_server()
    deployment.coordinator()
    deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        for _ in range(times):
            load.gets_on()
            moment(roll)
            kill_together(deployment.parts)
            for part in roll.sample(deployment.parts, len(deployment.parts)):
                part.start()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def kill_together(parts: list[Part]) -> None:
    for part in parts:
        part.freeze()  # none of them sees another one die
    for part in parts:
        part.kill()


@ONCE
def test_a_frozen_feedback_server_is_skipped_and_its_late_copies_are_counted_once(
    deployment: Deployment, ledger: Ledger, times: int
):
    frozen = deployment.feedback_server()
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    up = f'feedback_server_up{{kind="feedback",server="{frozen.url}"}}'
    with Load(deployment.entries, ledger) as load:
        for _ in range(times if times > 3 else 1):
            load.gets_on()
            frozen.freeze()
            eventually(lambda: coordinator.metrics()[up] == 0)
            load.gets_on()
            frozen.thaw()
            eventually(lambda: coordinator.metrics()[up] == 1, within_s=40)
    assert_conserved(coordinator.metrics())
    deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated > 0, "the frozen server held a batch that another one stored as well: that is the subject of this test"


@TWICE
def test_a_frozen_coordinator_makes_end_hosts_use_another_one_and_loses_nothing(deployment: Deployment, ledger: Ledger, times: int):
    deployment.feedback_server()
    coordinators = [deployment.coordinator(), deployment.coordinator()]
    with Load(deployment.entries, ledger, patience_s=1) as load:
        for turn in range(times if times > 3 else 2):
            frozen = coordinators[turn % 2]  # the other one next time: all end hosts use it then
            load.gets_on()
            frozen.freeze()
            errors = load.answers["error"]
            eventually(lambda before=errors: load.answers["error"] > before)
            load.gets_on()
            frozen.thaw()
    for coordinator in coordinators:
        assert_conserved(coordinator.metrics())
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()
