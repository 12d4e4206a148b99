"""Calls that fail although the disk has room: a failed fsync is never repeated on the same file, nor acknowledged."""

import resource
import shutil
import socket
from contextlib import ExitStack
from http.client import IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import assert_conserved, judge
from tests.faults.system_calls import failed, traced
from tests.harness.deployment import Deployment, Part
from tests.harness.waiting import eventually

strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@strace
@pytest.mark.parametrize("fail", ["fdatasync:error=EIO:when=3+4", "fdatasync,ftruncate:error=EIO:when=3+4"])
def test_a_failed_sync_of_a_feedback_server_costs_the_file_and_no_message(
    deployment: Deployment, ledger: Ledger, tmp_path: Path, fail: str
):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        load.gets_on()
        with traced(server.running.process.pid, tmp_path / "calls", fail=fail):
            eventually(lambda: server.metrics()["write_errors_total"] >= 6)
            load.gets_on()
        eventually(lambda: server.metrics()["ready"] == 1, within_s=5)
    assert failed(tmp_path / "calls") >= 6
    assert_conserved(coordinator.metrics())
    deployment.settle()
    found = judge(ledger, deployment.data)
    found.assert_kept()
    assert found.repeated == 0, "what could not be synced was cut off, or never shown"


@strace
def test_a_feedback_server_whose_disk_cannot_sync_is_not_ready_until_it_can(deployment: Deployment, ledger: Ledger, tmp_path: Path):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    up = f'feedback_server_up{{kind="feedback",server="{server.url}"}}'
    with Load(deployment.entries, ledger) as load:
        load.gets_on()
        with traced(server.running.process.pid, tmp_path / "calls", fail="fdatasync:error=EIO"):
            eventually(lambda: coordinator.metrics()[up] == 0 and server.metrics()["ready"] == 0)
            load.gets_on()
        eventually(lambda: coordinator.metrics()[up] == 1, within_s=40)
    assert failed(tmp_path / "calls") >= 2
    assert load.answers[503] == 0
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@strace
@pytest.mark.parametrize("call", ["fsync", "renameat"])
def test_sealing_that_fails_is_repeated_later_and_loses_nothing(deployment: Deployment, ledger: Ledger, tmp_path: Path, call: str):
    server = deployment.feedback_server("--roll-seconds", "1")
    deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        load.gets_on()
        with traced(server.running.process.pid, tmp_path / "calls", fail=f"{call}:error=EIO:when=1+3"):
            eventually(lambda: server.metrics()["seal_errors_total"] >= 1)
            load.gets_on()
        sealed = server.metrics()["sealed_total"]
        eventually(lambda: server.metrics()["sealed_total"] > sealed)
    assert failed(tmp_path / "calls") >= 1
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()
    assert not list(server.folder.glob("*.journal"))


@strace
@pytest.mark.parametrize("fail", ["fdatasync:error=EIO:when=3+4", "fdatasync,ftruncate:error=EIO:when=3+4", "fsync:error=EIO"])
def test_a_failed_sync_of_a_spool_is_answered_with_503_and_costs_no_message(
    deployment: Deployment, ledger: Ledger, tmp_path: Path, fail: str
):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    server.kill()
    tracing = ExitStack()
    tracing.enter_context(traced(coordinator.running.process.pid, tmp_path / "calls", fail=fail))
    with tracing, Load(deployment.entries, ledger) as load:
        eventually(lambda: load.answers[503] >= 4)
        tracing.close()
        load.gets_on()
        judge(ledger, deployment.data, deployment.spools).assert_kept()
        server.start()
    assert failed(tmp_path / "calls") >= 1
    assert_conserved(coordinator.metrics())
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@strace
def test_a_log_that_the_disk_cannot_read_ends_the_download_and_is_logged_in_a_line(deployment: Deployment, tmp_path: Path):
    server = deployment.feedback_server("--roll-seconds", "86400")
    batch = b'{"ip":"203.0.113.0","weight":1.0,"via":"c1","v":1,"seq":1}\n'
    headers = {"content-type": "application/x-ndjson", "swarmscope-batch": "ab" * 16}
    urlopen(Request(server.url + "/v1/records", batch, headers), timeout=20).close()
    [journal] = server.folder.glob("*.journal")
    with traced(server.running.process.pid, tmp_path / "calls", fail="pread64:error=EIO:when=1"):
        with (
            pytest.raises((IncompleteRead, ConnectionError)),
            urlopen(f"{server.url}/v1/logs/{journal.name}", timeout=20) as answer,
        ):
            answer.read()
        assert failed(tmp_path / "calls") == 1
    # strace counts the calls of each thread separately, so the next reader's first one would fail as well.
    with urlopen(f"{server.url}/v1/logs/{journal.name}", timeout=20) as answer:
        assert answer.read() == journal.read_bytes()
    assert server.metrics()["download_errors_total"] == 1
    output = server.running.log_text()
    assert f"a download is incomplete: {journal.name} cannot be read from byte 0 on: Input/output error" in output
    assert "Traceback" not in output


def limit_descriptors(part: Part, *, spare: int) -> None:
    pid = part.running.process.pid
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + spare, 4096))


def connect(part: Part) -> socket.socket:
    url = urlsplit(part.url)
    return socket.create_connection((url.hostname, url.port), timeout=5)


def answers(part: Part) -> bool:
    """Whether it accepts a connection and answers on it; without descriptors it closes new connections immediately."""
    try:
        return bool(part.metrics())
    except OSError:
        return False


@pytest.mark.parametrize("which", ["coordinator", "feedback server"])
def test_a_crowd_that_uses_up_all_descriptors_does_not_end_a_server(deployment: Deployment, ledger: Ledger, which: str):
    server = deployment.feedback_server("--roll-seconds", "1")
    coordinator = deployment.coordinator()
    crowded = coordinator if which == "coordinator" else server
    with Load(deployment.entries, ledger, senders=2) as load:
        load.gets_on()
        limit_descriptors(crowded, spare=10)
        with ExitStack() as crowd:
            for _ in range(60):
                crowd.enter_context(connect(crowded))
            pid = crowded.running.process.pid
            limit, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            eventually(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) >= limit - 2)
            load.gets_on()
        eventually(lambda: answers(crowded), within_s=10)
        load.gets_on()
    assert_conserved(coordinator.metrics())
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()
