"""Clean stops: SIGTERM ends every server within 10 s with exit code 0, loses nothing, and costs end hosts at most a retry."""

import json
import os
import socket
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.chaos_proxy import ChaosProxy, Toxics
from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import assert_conserved, judge
from tests.harness.deployment import Deployment, Part
from tests.harness.processes import NotReadyError
from tests.harness.waiting import eventually

GRACE_S = 10
"""After this time supervisors send SIGKILL."""


def stop_in_time(part: Part) -> None:
    began_s = time.monotonic()
    part.stop()
    assert time.monotonic() - began_s < GRACE_S


@pytest.mark.parametrize("rounds", [pytest.param(1), pytest.param(20, marks=pytest.mark.soak)])
def test_a_rolling_restart_of_every_process_under_load_loses_nothing(deployment: Deployment, ledger: Ledger, rounds: int):
    for _ in range(2):
        deployment.feedback_server()
    for _ in range(2):
        deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        for _ in range(rounds):
            for part in deployment.parts:
                load.gets_on()
                stop_in_time(part)
                load.gets_on(1)
                part.start()
    assert load.answers[503] == 0, "with a second coordinator no request needs to be refused"
    for coordinator in deployment.coordinators:
        assert_conserved(coordinator.metrics())
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()
    for folder in deployment.data:
        assert not list(folder.glob("*.journal")), "a server that stops seals what it has"


def test_a_coordinator_in_front_of_frozen_feedback_servers_stops_in_time_and_spools_its_batches(
    deployment: Deployment, ledger: Ledger
):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    with Load(deployment.entries, ledger, patience_s=12) as load:
        load.gets_on()
        server.freeze()
        before = load.acknowledged
        eventually(lambda: coordinator.metrics()["messages_in_flight"] > 0)
        stop_in_time(coordinator)
        eventually(lambda: load.acknowledged > before)
        server.thaw()
        judge(ledger, deployment.data, deployment.spools).assert_kept()
        coordinator.start()
        load.gets_on()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_coordinator_stops_in_time_when_feedback_servers_do_not_accept_connections(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    with ChaosProxy(server.url) as proxy:
        coordinator = deployment.coordinator(to=[proxy.url])
        with Load(deployment.entries, ledger, patience_s=12) as load:
            load.gets_on()
            proxy.toxics = Toxics(half_open=True)
            eventually(lambda: proxy.did["half_open"] > 0)
            stop_in_time(coordinator)
            proxy.toxics = Toxics()
            coordinator.start()
            load.gets_on()
        deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_feedback_server_stops_in_time_despite_a_stalled_reader_and_a_stalled_sender(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server("--roll-seconds", "3600")
    deployment.coordinator()
    big = b"".join(b'{"noise":"%s"}\n' % os.urandom(1500).hex().encode() for _ in range(600))
    for number in range(1, 9):  # 8 MiB that do not compress: more than socket buffers hold
        request = urllib.request.Request(server.url + "/v1/records", big, headers=_batch(number))
        assert json.load(urllib.request.urlopen(request, timeout=60))["stored"] == 600
    name = json.load(urllib.request.urlopen(server.url + "/v1/logs/latest", timeout=60))["name"]
    with _raw(server, f"GET /v1/logs/{name} HTTP/1.1\r\nhost: x\r\n\r\n") as reader, _raw(server, _UNFINISHED) as sender:
        eventually(lambda: server.metrics()["downloads_total"] >= 1)
        assert reader.recv(1000)
        stop_in_time(server)
        assert sender.fileno() >= 0


_UNFINISHED = (
    "POST /v1/records HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    "swarmscope-batch: ffffffffffffffffffffffffffffffff\r\ncontent-length: 1000\r\n\r\n{"
)


def _batch(number: int) -> dict[str, str]:
    return {"content-type": "application/x-ndjson", "swarmscope-batch": f"{number:032x}"}


def _raw(part: Part, text: str) -> socket.socket:
    """A connection on which `text` was sent, and from which nothing is read."""
    url = urlsplit(part.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(5)
    connection.connect((url.hostname, url.port))
    connection.sendall(text.encode())
    return connection


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_coordinator_on_the_same_spool_is_refused_with_the_reason(deployment: Deployment, tmp_path: Path, workers: str):
    deployment.feedback_server()
    first = deployment.coordinator("--workers", workers)
    with pytest.raises(NotReadyError, match="is in use by another coordinator; give each its own --spool"):
        deployment.coordinator("--workers", workers, spool=first.folder)
    assert first.metrics()["spool_messages"] == 0, "the first one is not affected"
    stop_in_time(first)


def test_a_second_feedback_server_on_the_same_folder_is_refused_with_the_reason(deployment: Deployment):
    first = deployment.feedback_server()
    with pytest.raises(NotReadyError, match="is in use by another feedback server: stop it, or give this one its own --data"):
        deployment.feedback_server(data=first.folder)
    assert first.metrics()["ready"] == 1
    stop_in_time(first)


def test_workers_do_not_outlive_a_killed_coordinator(deployment: Deployment, ledger: Ledger):
    deployment.feedback_server()
    coordinator = deployment.coordinator("--workers", "2")
    with Load(deployment.entries, ledger) as load:
        load.gets_on()
        coordinator.kill()
        eventually(lambda: not _listens(coordinator))
        coordinator.start()
        load.gets_on()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def _listens(part: Part) -> bool:
    url = urlsplit(part.url)
    with socket.socket() as probe:
        return probe.connect_ex((url.hostname, url.port)) == 0
