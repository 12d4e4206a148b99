"""Disks that fail under running servers: the right party is blamed, nothing acknowledged is lost, and work resumes by itself."""

import errno
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import judge
from tests.faults.system_calls import failed, traced
from tests.harness.deployment import Deployment
from tests.harness.disks import assert_read_only, read_only_paths, remount, try_to_make_read_only
from tests.harness.processes import Server
from tests.harness.waiting import eventually

LINE = (
    '{"ip":"203.0.113.0","weight":1.0,"via":"c1","v":1,"peer_id":"p%d","session_id":"s%d","seq":0,"event":"report","sent_ms":5}\n'
)


@dataclass
class Followed:
    """A feedback server and a live monitor with its mirror in a separate folder."""

    server: Server
    monitor: Server
    sent: int = 0

    def send(self, records: int = 200) -> None:
        body = "".join(LINE % (number, number) for number in range(self.sent, self.sent + records)).encode()
        headers = {"content-type": "application/x-ndjson", "swarmscope-batch": f"{self.sent + 1:032x}"}
        with urllib.request.urlopen(urllib.request.Request(self.server.url + "/v1/records", body, headers), timeout=30) as answer:
            assert json.load(answer) == {"stored": records}
        self.sent += records

    def shows_everything(self) -> bool:
        with urllib.request.urlopen(self.monitor.url + "/api/v1/summary", timeout=30) as answer:
            return bool(json.load(answer)["messages"] == self.sent)

    def readiness(self) -> str:
        try:
            return self._get("/readyz")
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.read().decode()

    def counted(self, name: str) -> float:
        [line] = [line for line in self._get("/metrics").splitlines() if line.startswith(f"swarmscope_monitor_{name} ")]
        return float(line.split()[-1])

    def server_failures(self) -> float:
        return self.counted("failures_total")

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.monitor.url + path, timeout=30) as answer:
            return answer.read().decode()


@pytest.fixture
def followed(serve: Callable[..., Server], tmp_path: Path) -> Callable[[Path], Followed]:
    def followed(mirror: Path) -> Followed:
        server = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"))
        follow = ("--feedback-server", server.url, "--mirror", str(mirror), "--poll-seconds", "1")
        pair = Followed(server, serve("monitor", "--insecure", "--listen", "127.0.0.1:0", *follow))
        pair.send()
        eventually(pair.shows_everything)
        return pair

    return followed


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_unwritable_mirror_is_reported_as_a_local_fault_and_recovers_by_itself(
    followed: Callable[[Path], Followed], disk: Path, tmp_path: Path
):
    pair = followed(disk / "mirror")

    ballast = fill(disk)
    pair.send(5_000)
    assert_the_mirror_is_blamed_then_followed(pair, errno.ENOSPC, ballast.unlink)

    make_read_only(disk)
    pair.send()
    assert_the_mirror_is_blamed_then_followed(pair, errno.EROFS, lambda: remount(disk, "rw"))

    with ExitStack() as tracing:
        tracing.enter_context(traced(pair.monitor.process.pid, tmp_path / "calls", fail="ftruncate:error=EIO"))
        pair.send()
        assert_the_mirror_is_blamed_then_followed(pair, errno.EIO, tracing.close)
    assert failed(tmp_path / "calls") >= 1
    assert pair.monitor.log_text().count("the mirror of this platform cannot be used") == 3, "once for each fault"
    assert "Traceback" not in pair.monitor.log_text()


def assert_the_mirror_is_blamed_then_followed(pair: Followed, why: int, mend: Callable[[], object]) -> None:
    eventually(lambda: os.strerror(why) in pair.readiness())
    assert "the mirror of this platform cannot be used" in pair.readiness()
    assert pair.counted("mirror_usable") == 0
    assert pair.counted("failures_total") == 0, "no feedback server's fault"
    with urllib.request.urlopen(pair.monitor.url + "/health", timeout=30) as page:
        assert page.status == 200
    mend()
    eventually(pair.shows_everything)
    eventually(lambda: pair.readiness() == "ready\n")
    assert pair.counted("mirror_usable") == 1
    assert "the mirror works again" in pair.monitor.log_text()


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        taken = 0
        with pytest.raises(OSError, match="No space left"):
            os.posix_fallocate(file.fileno(), 0, 2**40)
        with suppress(OSError):
            while True:
                taken += file.write(bytes(4096))
    assert taken
    return ballast


def test_a_data_folder_that_becomes_read_only_under_load_loses_nothing_and_works_again(
    deployment: Deployment, ledger: Ledger, disk: Path
):
    (disk / "fs1").mkdir()
    remount(disk, "ro")  # at the start, so that the lock of the folder is not open for writing
    server = deployment.feedback_server("--roll-seconds", "1", data=disk / "fs1")
    remount(disk, "rw")
    deployment.coordinator("--spool-max-bytes", "1")  # without a spool: refusals are the server's own
    with Load(deployment.entries, ledger, senders=1, pause_s=0.3) as load:
        load.gets_on(10)
        make_read_only(disk)
        eventually(lambda: os.strerror(errno.EROFS) in refusal(server.url))
        refused = load.answers[503]
        eventually(lambda: load.answers[503] > refused + 5)
        judge(ledger, deployment.data).assert_kept()
        remount(disk, "rw")
        eventually(lambda: not refusal(server.url))
        load.gets_on(10)
    assert "Traceback" not in server.running.log_text()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()
    assert [path.name for path in (disk / "fs1").glob("*.journal")] == [], "all is sealed again"


def test_a_spool_that_becomes_read_only_under_load_loses_nothing_and_works_again(
    deployment: Deployment, ledger: Ledger, disk: Path
):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator(spool=disk / "spool")
    with Load(deployment.entries, ledger) as load:
        load.gets_on(100)
        with read_only_paths(disk):
            server.kill()
            eventually(lambda: "the spool cannot be written" in refusal(coordinator.url))
            assert os.strerror(errno.EROFS) in refusal(coordinator.url)
            refused = load.answers[503]
            eventually(lambda: load.answers[503] > refused + 20)
            judge(ledger, deployment.data, deployment.spools).assert_kept()
        load.gets_on(100)
        server.start()
        load.gets_on(100)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def make_read_only(disk: Path) -> None:
    """The kernel refuses while a file is open for writing, so this is repeated until none is open."""
    eventually(lambda: try_to_make_read_only(disk), every_s=0.005)
    assert_read_only(disk)


def refusal(url: str) -> str:
    """Why a server is not ready; empty if it is."""
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=60):
            return ""
    except urllib.error.HTTPError as refused:
        with refused:
            return str(json.load(refused)["detail"])
