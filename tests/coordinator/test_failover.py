import json
import os
import signal
import time
from pathlib import Path

import pytest

from coordinator.worker_server import STOP_S
from feedback_wire.problem import Problem
from feedback_wire.routes import PROBLEM
from tests.harness.measurements import measurement
from tests.harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("short_pauses")


def encoded(message: object) -> bytes:
    return json.dumps(message).encode()


def ids(receiver) -> set[int]:
    return {record["seq"] for record in receiver.records}


def up(coordinator, receiver) -> bool:
    return coordinator.metrics()[f'feedback_server_up{{kind="feedback",server="{receiver.url}"}}'] == 1


def errors(coordinator, receiver) -> float:
    return coordinator.metrics()[f'feedback_server_errors_total{{server="{receiver.url}"}}']


@pytest.mark.parametrize("policy", ["round-robin", "random", "least-pending", "by-peer"])
def test_every_placement_policy_uses_all_servers_and_loses_nothing(coordinators, receivers, message, policy):
    servers = [receivers(), receivers()]
    coordinator = coordinators(*servers, flags=("--policy", policy))
    for group in range(20):
        body = encoded([message(peer_id=f"peer-{group}-{n}") for n in range(5)])
        assert coordinator.post(body) == (202, {"accepted": 5})
    assert all(server.batches for server in servers)
    assert ids(servers[0]) | ids(servers[1]) == set(range(100))
    assert len(servers[0].records) + len(servers[1].records) == 100
    if policy == "by-peer":
        homes = [{record["peer_id"] for record in server.records} for server in servers]
        assert not homes[0] & homes[1]


def test_a_failing_server_is_skipped_and_used_again_and_no_acknowledged_message_is_lost(coordinators, receivers, message):
    steady, failing = receivers(), receivers()
    coordinator = coordinators(steady, failing)
    for _ in range(10):
        assert coordinator.post(encoded(message()))[0] == 202
    assert ids(failing)
    failing.stop()
    for _ in range(10):
        assert coordinator.post(encoded(message()))[0] == 202
    assert errors(coordinator, failing) == 1
    assert not up(coordinator, failing)
    assert ids(steady) | ids(failing) == set(range(20))
    failing.start()
    eventually(lambda: up(coordinator, failing), "the server is used again")
    before = len(failing.records)
    for _ in range(10):
        assert coordinator.post(encoded(message()))[0] == 202
    assert len(failing.records) > before
    assert ids(steady) | ids(failing) == set(range(30))


def test_a_batch_keeps_its_id_when_it_moves_to_another_server_or_into_the_spool(coordinators, receivers, message, tmp_path):
    first, second = receivers(), receivers()
    coordinator = coordinators(first, second, flags=("--spool", str(tmp_path / "spool")))
    first.answer = second.answer = (500, b"perhaps stored, perhaps not")
    assert coordinator.post(encoded(message())) == (202, {"accepted": 1})
    assert coordinator.metrics()["messages_spooled_total"] == 1
    first.answer = second.answer = None
    eventually(lambda: first.batches or second.batches, "the batch is drained")
    [name] = {*first.batches, *second.batches}
    assert name in first.names
    assert name in second.names


NO_ACKNOWLEDGEMENTS = (
    *((status, b"") for status in (204, 302, 400, 401, 404, 413, 415, 422, 500)),
    (503, b"full"),
    (200, b"<html>hello</html>"),
    (200, b'{"stored":"1"}'),
    (200, b'{"stored":2}'),
    (200, b'{"stored":0}'),
)


def test_an_answer_without_an_acknowledgement_sends_the_batch_to_another_server(coordinators, receivers, message):
    good, odd = receivers(), receivers()
    coordinator = coordinators(good, odd)
    for answer in NO_ACKNOWLEDGEMENTS:
        odd.answer = answer
        arrivals, failed, stored = odd.arrivals, errors(coordinator, odd), len(good.records)
        for _ in range(3):
            assert coordinator.post(encoded(message()))[0] == 202
        assert odd.arrivals > arrivals, answer
        assert errors(coordinator, odd) > failed, answer
        assert len(good.records) == stored + 3, answer
        odd.answer, stored = None, len(odd.records)
        eventually(lambda: up(coordinator, odd), "the server is used again")
        for _ in range(3):
            assert coordinator.post(encoded(message()))[0] == 202
        assert len(odd.records) > stored


def test_a_proxys_page_at_readyz_does_not_make_a_server_ready(coordinators, receivers, message):
    steady, failing = receivers(), receivers()
    failing.answer, failing.readiness = (502, b""), b"<html>\nready\n</html>"
    coordinator = coordinators(steady, failing)
    for _ in range(2):
        assert coordinator.post(encoded(message()))[0] == 202
    eventually(lambda: failing.probes >= 2, "the server's readiness is probed")
    assert not up(coordinator, failing)
    failing.readiness = b"ready\nwith a remark\n"
    eventually(lambda: up(coordinator, failing), "the server is used again")


def test_a_batch_that_a_server_rejects_permanently_is_not_tried_on_all_servers(coordinators, receivers, message):
    servers = [receivers(), receivers()]
    for server in servers:
        server.answer = (400, Problem(400, "bad_lines", "no such format").body(), PROBLEM)
    coordinator = coordinators(*servers)
    status, problem = coordinator.post(encoded(message()))
    assert (status, problem["reason"]) == (503, "rejected_by_feedback_server")
    assert sum(server.arrivals for server in servers) == 1
    assert all(up(coordinator, server) for server in servers)
    assert "ERROR" in coordinator.log_text()


@pytest.mark.parametrize("spool", ["none", "full"])
def test_a_request_that_every_path_blocks_is_named_to_its_sender_and_others_are_stored(
    coordinators, receivers, message, tmp_path, spool
):
    servers = [receivers(), receivers()]
    flags = ("--spool-max-bytes", "0") if spool == "none" else ("--spool", str(tmp_path / "spool"), "--spool-max-bytes", "1")
    coordinator = coordinators(*servers, flags=flags)
    for server in servers:
        server.answer = (400, b"<html>blocked</html>", "text/html")
    blocked = encoded(message())
    status, problem = coordinator.post(blocked)
    assert (status, problem["reason"]) == (503, "batch_blocked")
    assert [server.arrivals for server in servers] == [1, 1], "each path was tried once"
    for server in servers:
        server.answer = None
    eventually(lambda: all(up(coordinator, server) for server in servers), "the servers are used again")
    assert coordinator.post(encoded(message()))[0] == 202
    assert coordinator.post(blocked)[0] == 202, "it is stored when a path opens"
    metrics = coordinator.metrics()
    assert metrics['messages_refused_total{reason="batch_blocked"}'] == 1
    assert metrics["messages_received_total"] == metrics["messages_forwarded_total"] + 1 == 3


def test_failing_servers_and_full_spools_are_not_named_as_blocked(coordinators, receivers, message, tmp_path):
    first, second = receivers(), receivers()
    coordinator = coordinators(first, second, flags=("--spool", str(tmp_path / "spool"), "--spool-max-bytes", "1"))
    first.answer, second.answer = (
        (400, b"<html>blocked</html>", "text/html"),
        (503, Problem(503, "not_durable", "x").body(), PROBLEM),
    )
    assert coordinator.post(encoded(message()))[1]["reason"] == "spool_full", "one server itself has failed"
    assert first.arrivals + second.arrivals == 2


def test_a_server_that_is_too_slow_counts_as_failing(coordinators, receivers, message):
    good, slow = receivers(), receivers()
    slow.answer_late_s = 20
    coordinator = coordinators(good, slow)
    for _ in range(2):
        assert coordinator.post(encoded(message()))[0] == 202
    assert errors(coordinator, slow) == 1
    assert ids(good) == {0, 1}


def test_a_server_that_restarts_between_two_batches_costs_no_error(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    assert coordinator.post(encoded(message()))[0] == 202
    receiver.stop()
    receiver.start()
    assert coordinator.post(encoded(message()))[0] == 202
    assert errors(coordinator, receiver) == 0
    assert len(receiver.batches) == 2


def test_without_a_server_messages_wait_in_the_spool_and_drain_when_it_is_back(coordinators, receiver, message, tmp_path):
    coordinator = coordinators(receiver, flags=("--spool", str(tmp_path / "spool")))
    receiver.stop()
    for _ in range(5):
        assert coordinator.post(encoded([message(), message()])) == (202, {"accepted": 2})
    metrics = coordinator.metrics()
    assert (metrics["messages_spooled_total"], metrics["messages_forwarded_total"], metrics["spool_messages"]) == (10, 0, 10)
    assert coordinator.request("GET", "/readyz")[0] == 200
    receiver.start()
    eventually(lambda: coordinator.metrics()["messages_drained_total"] == 10, "the spool is drained")
    assert [record["seq"] for record in receiver.records] == list(range(10))
    assert coordinator.metrics()["spool_messages"] == 0
    assert coordinator.metrics()["messages_received_total"] == 10


def test_spooled_messages_survive_a_kill_and_are_drained_by_the_next_process(coordinators, receiver, message, tmp_path):
    flags = ("--spool", str(tmp_path / "spool"))
    killed = coordinators(receiver, flags=flags)
    receiver.stop()
    for _ in range(5):
        assert killed.post(encoded(message()))[0] == 202
    killed.kill()
    coordinator = coordinators(receiver, flags=flags)
    assert coordinator.metrics()["spool_messages"] == 5
    assert coordinator.post(encoded(message()))[0] == 202
    receiver.start()
    eventually(lambda: len(receiver.records) == 6, "all messages arrive")
    assert [record["seq"] for record in receiver.records] == list(range(6))


def test_a_spooled_batch_that_was_stored_before_a_kill_is_stored_once(coordinators, receiver, message, tmp_path):
    flags = ("--spool", str(tmp_path / "spool"))
    killed = coordinators(receiver, flags=flags)
    receiver.stop()
    assert killed.post(encoded(message()))[0] == 202
    receiver.start()
    receiver.released.clear()
    eventually(lambda: receiver.arrivals == 1, "the batch is on its way")
    killed.kill()
    receiver.released.set()
    eventually(lambda: len(receiver.records) == 1, "the batch is stored")
    coordinator = coordinators(receiver, flags=flags)
    eventually(lambda: coordinator.metrics()["messages_drained_total"] == 1, "the batch is drained again")
    assert receiver.arrivals == 2
    assert len(receiver.records) == 1


def test_a_full_spool_refuses_with_503_and_is_not_ready(coordinators, receiver, message, tmp_path):
    coordinator = coordinators(receiver, flags=("--spool", str(tmp_path / "spool"), "--spool-max-bytes", "2000"))
    receiver.stop()
    spooled = 0
    while (answer := coordinator.request("POST", "/v1/feedback", encoded(message(channel=os.urandom(50).hex()))))[0] == 202:
        spooled += 1
    status, headers, body = answer
    assert (status, json.loads(body)["reason"]) == (503, "spool_full")
    assert int(headers["retry-after"]) >= 1
    assert coordinator.request("GET", "/readyz")[0] == 503
    assert coordinator.request("GET", "/healthz")[0] == 200
    metrics = coordinator.metrics()
    assert metrics["messages_received_total"] == spooled + 1
    assert metrics["messages_spooled_total"] == spooled
    assert metrics['messages_refused_total{reason="spool_full"}'] == 1
    assert metrics["spool_bytes"] <= 2000
    receiver.start()
    eventually(lambda: len(receiver.records) == spooled, "the spool is drained")
    assert coordinator.post(encoded(message()))[0] == 202
    assert coordinator.request("GET", "/readyz")[0] == 200


def test_without_a_spool_messages_are_refused_while_no_server_answers(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    receiver.stop()
    assert coordinator.post(encoded(message()))[1]["reason"] == "no_feedback_server"
    assert coordinator.request("GET", "/readyz")[0] == 503
    receiver.start()
    eventually(lambda: coordinator.request("GET", "/readyz")[0] == 200, "it is ready again")
    assert coordinator.post(encoded(message()))[0] == 202


def test_workers_share_the_port_and_their_metrics_add_up(coordinators, receiver, message, tmp_path):
    coordinator = coordinators(receiver, flags=("--workers", "2", "--spool", str(tmp_path / "spool")))
    for _ in range(20):
        assert coordinator.post(encoded(message()))[0] == 202
    for _ in range(4):
        assert coordinator.metrics()["messages_forwarded_total"] == 20
    assert sorted(path.name for path in (tmp_path / "spool").glob("worker-*")) == ["worker-0", "worker-1"]
    receiver.stop()
    for _ in range(20):
        assert coordinator.post(encoded(message()))[0] == 202
    receiver.start()
    eventually(lambda: coordinator.metrics()["messages_drained_total"] == 20, "both spools are drained")
    assert ids(receiver) == set(range(40))
    assert coordinator.stop() == 0


def test_a_worker_that_dies_is_replaced(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--workers", "2"))
    [killed, _] = workers(coordinator)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: "another one replaces it" in coordinator.log_text(), "the death is noticed")
    eventually(lambda: len(set(workers(coordinator)) - {killed}) == 2, "two workers run")
    assert coordinator.post(encoded(message()))[0] == 202
    assert coordinator.stop() == 0


def workers(coordinator) -> list[int]:
    pid = coordinator.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_coordinator_stops_at_once_while_it_replaces_a_worker_and_just_after(coordinators, receiver, replaced):
    """A worker that got SIGTERM just after its fork ran on for nine seconds, until it was killed."""
    coordinator = coordinators(receiver, flags=("--workers", "2"))
    [killed, other] = workers(coordinator)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: "another one replaces it" in coordinator.log_text(), "the death is noticed")
    if replaced:
        eventually(lambda: set(workers(coordinator)) - {killed, other}, "the other worker", every_s=0.001)
    began_s = time.monotonic()
    assert coordinator.stop() == 0
    assert time.monotonic() - began_s < STOP_S


def test_measurements_wait_in_the_spool_if_the_feedback_server_knows_only_feedback(coordinators, receiver, message, tmp_path):
    coordinator = coordinators(receiver, flags=("--spool", str(tmp_path / "spool")))
    status, _, _ = coordinator.request("POST", "/v1/measurements", encoded(measurement()), content_type="application/json")
    assert status == 202
    eventually(lambda: coordinator.metrics()["spool_messages"] == 1, "the measurement waits")
    assert set(receiver.unknown_paths) == {"/v1/records/measurement"}
    assert coordinator.post(encoded(message()))[0] == 202
    counted = coordinator.metrics()
    assert counted["messages_forwarded_total"] == 1
    up = [counted[f'feedback_server_up{{kind="{kind}",server="{receiver.url}"}}'] for kind in ("feedback", "measurement")]
    assert up == [1, 0], "the server is up for feedback, and down for measurements only"
    assert [record["session_id"] for record in receiver.records] == ["view"]
