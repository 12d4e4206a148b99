"""Promise 1 on bad networks: answers that never arrive, connections cut in the middle, delays, silence."""

from tests.faults.chaos_proxy import ChaosProxy, Toxics
from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import assert_conserved, judge
from tests.harness.deployment import Deployment
from tests.harness.waiting import eventually


def test_a_lost_acknowledgement_stores_a_message_twice_and_readers_count_it_once(deployment: Deployment, ledger: Ledger):
    servers = [deployment.feedback_server(), deployment.feedback_server()]
    coordinator = deployment.coordinator()
    with ChaosProxy(coordinator.url, Toxics(swallow=0.2)) as proxy, Load([proxy.url], ledger) as load:
        load.gets_on(300)
        eventually(lambda: proxy.did["swallow"] >= 10)
    counted = coordinator.metrics()
    assert_conserved(counted)
    stored = sum(server.metrics()["records_total"] for server in servers)
    assert stored == counted["messages_forwarded_total"], "the servers' counters agree to the message"
    deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated > 0, "the end hosts did send some twice"
    assert found.stored + found.repeated == stored
    assert found.stored == found.acknowledged, "in the end every message was acknowledged, and each counts once"


def test_after_a_lost_answer_of_a_feedback_server_the_batch_is_sent_again_under_the_same_id(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    with ChaosProxy(server.url, Toxics(swallow=0.2)) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url])
        with Load(deployment.entries, ledger) as load:
            load.gets_on(300)
            eventually(lambda: proxy.did["swallow"] >= 10)
            proxy.toxics = Toxics()
        assert server.metrics()["duplicates_total"] > 0, "batches did come twice"
        assert_conserved(coordinator.metrics())
        deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated == 0, "a single server recognises its batches by id"


def test_a_feedback_server_that_stores_but_never_answers_costs_repetitions_and_no_message(deployment: Deployment, ledger: Ledger):
    silent = deployment.feedback_server()
    healthy = deployment.feedback_server()
    with ChaosProxy(silent.url, Toxics(swallow_silently=1)) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url, healthy.url])
        with Load(deployment.entries, ledger) as load:
            eventually(lambda: coordinator.metrics()[f'feedback_server_errors_total{{server="{proxy.url}"}}'] >= 1)
            load.gets_on()
            proxy.toxics = Toxics()
        assert proxy.did["swallow_silently"] >= 1
        assert_conserved(coordinator.metrics())
        deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated > 0


def test_delays_and_cuts_between_coordinator_and_feedback_server_lose_nothing(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    with ChaosProxy(server.url, Toxics(latency_s=0.02, jitter_s=0.02, cut_after_bytes=20_000)) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url])
        with Load(deployment.entries, ledger) as load:
            eventually(lambda: proxy.did["cut"] >= 5)
            load.gets_on()
            proxy.toxics = Toxics()
        assert proxy.did["latency"] > 0
        assert_conserved(coordinator.metrics())
        deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_requests_in_fragments_and_randomly_reset_connections_lose_nothing(deployment: Deployment, ledger: Ledger):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    with ChaosProxy(coordinator.url, Toxics(drip_bytes=100, reset=0.05)) as proxy, Load([proxy.url], ledger) as load:
        eventually(lambda: proxy.did["reset"] >= 10)
        load.gets_on()
    assert proxy.did["drip"] > 0
    eventually(lambda: coordinator.metrics()["connections"] <= 1)  # this one: none is left behind
    eventually(lambda: coordinator.metrics()["held_bytes"] == 0)
    assert_conserved(coordinator.metrics())
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_half_open_feedback_server_is_skipped_and_the_spool_is_used(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    with ChaosProxy(server.url) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url])
        with Load(deployment.entries, ledger) as load:
            load.gets_on()
            proxy.toxics = Toxics(half_open=True)
            eventually(lambda: coordinator.metrics()["messages_spooled_total"] > 0)
            load.gets_on()
            proxy.toxics = Toxics()
        assert proxy.did["half_open"] >= 1
        assert load.answers[503] == 0
        assert_conserved(coordinator.metrics())
        deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.stored == found.acknowledged
