"""The coordinator under extreme load: thousands of senders at once, ten times what it can accept, no descriptors, no memory.

It continues to work, refuses with a time to come again, keeps within the bounds that docs/coordinator-limits.md publishes, and
recovers within ten seconds.
"""

import http.client
import json
import os
import re
import resource
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults import crowd
from tests.faults.chaos_proxy import ChaosProxy, Toxics
from tests.faults.crowd import Happened, Plan
from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import assert_conserved, judge
from tests.faults.system_calls import failed, traced
from tests.harness.deployment import Deployment, Part
from tests.harness.ports import free_port
from tests.harness.processes import NotReadyError, Server
from tests.harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("short_pauses")

MEASURES_MEMORY = pytest.mark.new_interpreter

MIB = 1024 * 1024
RECOVERY_S = 10
"""The promised time, and the deadline of the tests."""

SIZES = pytest.mark.parametrize("senders", [pytest.param(500), pytest.param(5000, marks=pytest.mark.soak)])
# How much can be offered depends on the machine, which the quick test shares with other tests.
STORMS = pytest.mark.parametrize(("storm_s", "times"), [pytest.param(4, 2), pytest.param(60, 10, marks=pytest.mark.soak)])


def memory_bound(*, in_flight: int, connections: int) -> int:
    """What docs/coordinator-limits.md says that a worker uses beyond its use when idle."""
    return 4 * in_flight + 64 * 1024 * connections + 32 * MIB


def resident(pid: int) -> int:
    """Bytes in memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


class Watch:
    """Watches a coordinator during a test: the most memory and held bytes, and whether its counters ever failed to balance."""

    def __init__(self, part: Part) -> None:
        self.memory = self.held = self.connections = 0
        self.looks = 0
        self._part = part
        self._enough = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(30)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._enough.wait(0.1):
                self.memory = max(self.memory, resident(self._part.running.process.pid))
                self._look()
        except BaseException as error:  # noqa: BLE001 — carried to the thread that waits for this one
            self._failure = error

    def _look(self) -> None:
        try:
            counted = self._part.metrics()
        except (OSError, http.client.HTTPException):
            return  # no connection is left for this probe either
        self.looks += 1
        self.held = max(self.held, int(counted["held_bytes"]))
        self.connections = max(self.connections, int(counted["connections"]))
        assert_conserved(counted)


def assert_itself_again(coordinator: Part, ledger: Ledger) -> None:
    """Within the promised time nothing is held, it is ready, and a message is acknowledged."""
    eventually(lambda: _is_idle(coordinator), within_s=RECOVERY_S)
    with Load([coordinator.url], ledger, senders=1) as load:
        load.gets_on(5)


def _is_idle(coordinator: Part) -> bool:
    try:
        with urllib.request.urlopen(coordinator.url + "/readyz", timeout=2):
            return coordinator.metrics()["held_bytes"] == 0
    except OSError:
        return False


def assert_honest(happened: Happened, *, also: tuple[str, ...] = ()) -> None:
    """Every answer was an acknowledgement, or a refusal with a time to come again."""
    assert set(happened.answers) <= {"202", "503 overloaded", *also}, happened
    assert happened.hasty == 0, happened
    assert not happened.broken, happened


@pytest.fixture
def ledger_folder(tmp_path: Path, ledger: Ledger) -> str:
    """The folder of this test's ledger; crowds, which are separate processes, write into the same one."""
    return str(tmp_path / "ledger")


@MEASURES_MEMORY
@SIZES
def test_every_sender_of_a_crowd_that_arrives_within_a_second_is_answered(
    deployment: Deployment, ledger: Ledger, ledger_folder: str, senders: int
):
    deployment.feedback_server()
    coordinator = deployment.coordinator("--in-flight-max-bytes", str(8 * MIB))
    idle = resident(coordinator.running.process.pid)
    with Watch(coordinator) as watch:
        happened = crowd.result(crowd.start(Plan(url=coordinator.url, ledger=ledger_folder, senders=senders)), within_s=90)
    assert happened.acknowledged == senders, happened
    assert_honest(happened)
    assert watch.connections >= senders / 2, "they were connected at the same time"
    assert watch.memory - idle <= memory_bound(in_flight=8 * MIB, connections=senders)
    assert_itself_again(coordinator, ledger)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_connections_beyond_the_limit_are_refused_and_accepted_when_others_close(
    deployment: Deployment, ledger: Ledger, ledger_folder: str
):
    deployment.feedback_server()
    coordinator = deployment.coordinator("--connections-max", "60")
    connections = _open_connections(coordinator, 60)
    waiting = crowd.start(Plan(url=coordinator.url, ledger=ledger_folder, senders=50))
    eventually(lambda: _refused_connections(connections[0]) >= 50)
    for connection in connections:
        connection.close()
    happened = crowd.result(waiting, within_s=90)
    assert happened.answers["503 too_many_connections"] >= 50
    assert_honest(happened, also=("503 too_many_connections",))
    assert happened.acknowledged == 50
    assert_itself_again(coordinator, ledger)
    assert coordinator.metrics()["connections_dropped_total"] == 0
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def _open_connections(coordinator: Part, count: int) -> list[http.client.HTTPConnection]:
    """Connections that the coordinator has accepted and serves."""
    url = urlsplit(coordinator.url)
    connections = [http.client.HTTPConnection(str(url.hostname), url.port, timeout=10) for _ in range(count)]
    for connection in connections:
        connection.connect()
    eventually(lambda: _metric(connections[0], "connections") >= count)
    return connections


def _refused_connections(connection: http.client.HTTPConnection) -> float:
    """Reads a metric over an existing connection: a new one would be refused as well."""
    return _metric(connection, 'requests_refused_total{reason="too_many_connections"}')


def _metric(connection: http.client.HTTPConnection, name: str) -> float:
    connection.request("GET", "/metrics", headers={"Cache-Control": "no-cache"})
    text = connection.getresponse().read().decode()
    return sum(map(float, re.findall(rf"^swarmscope_coordinator_{re.escape(name)} (.*)$", text, re.MULTILINE)))


@MEASURES_MEMORY
@STORMS
def test_ten_times_the_capacity_is_refused_fairly_within_bounds_and_then_recovers(
    deployment: Deployment, ledger: Ledger, ledger_folder: str, tmp_path: Path, storm_s: float, times: int
):
    in_flight = 200_000
    server = deployment.feedback_server()
    keys = tmp_path / "keys.toml"
    keys.write_text('[keys.loud]\nsecret = "loud"\n\n[keys.quiet]\nsecret = "quiet"\n')
    with ChaosProxy(server.url, Toxics(latency_s=0.2)) as slow:  # 64 KiB a fifth of a second: about a hundred messages a second
        flags = ("--keys", str(keys), "--in-flight-max-bytes", str(in_flight))
        coordinator = deployment.coordinator(*flags, to=[slow.url])
        idle = resident(coordinator.running.process.pid)
        with Watch(coordinator) as watch:
            storm = crowd.start(
                Plan(
                    url=coordinator.url,
                    ledger=ledger_folder,
                    senders=60,
                    name="loud",
                    key="loud",
                    batch=10,
                    pause_s=0.02,
                    storm_s=storm_s,
                )
            )
            calm = crowd.start(
                Plan(url=coordinator.url, ledger=ledger_folder, senders=2, name="quiet", key="quiet", pause_s=0.05, storm_s=storm_s)
            )
            loud, quiet = (crowd.result(each, within_s=storm_s + 60) for each in (storm, calm))
        eventually(lambda: _is_idle(coordinator), within_s=RECOVERY_S)
        counted = coordinator.metrics()
        deployment.settle()
    assert_honest(loud)
    assert loud.sent >= times * loud.acknowledged > 0, f"the load should be {times} times too much: {loud}"
    assert quiet.answers == {"202": quiet.acknowledged}, f"a light sender is served beside a heavy one: {quiet}"
    assert quiet.acknowledged > 0
    assert counted['requests_refused_total{reason="overloaded"}'] == loud.answers["503 overloaded"]
    assert watch.looks > 3
    assert in_flight / 2 < watch.held <= in_flight + 64 * 8192  # a request of each connection may have begun before it was full
    assert watch.memory - idle <= memory_bound(in_flight=in_flight, connections=64)
    assert_conserved(counted)
    judge(ledger, deployment.data).assert_kept()


@pytest.fixture
def limited(serve: Callable[..., Server], tmp_path: Path) -> Callable[..., Part]:
    """Starts a coordinator that may open `descriptors` files, by the hard limit too."""

    def start(server: Part, descriptors: int) -> Part:
        port, spool = free_port(), tmp_path / "spool"
        flags = ("--listen", f"127.0.0.1:{port}", "--insecure", "--spool", str(spool), "--feedback-server", server.url)
        limit = ("sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh")
        running = serve("coordinator", *flags, prefix=limit)
        return Part(_never, "coordinator", flags, spool, running.url, running)

    return start


def _never(*_: str) -> Server:
    raise AssertionError("started by hand")


def test_with_sixty_four_descriptors_a_crowd_is_refused_the_spool_works_and_no_loop_spins(
    deployment: Deployment, ledger: Ledger, ledger_folder: str, limited: Callable[..., Part]
):
    server = deployment.feedback_server()
    coordinator = limited(server, 64)
    pid = coordinator.running.process.pid
    connections = _open_connections(coordinator, 26)  # all that are served: 64 - 34, less one in nine
    happened = crowd.result(crowd.start(Plan(url=coordinator.url, ledger=ledger_folder, senders=100, patience_s=2)), within_s=60)
    assert happened.answers["503 too_many_connections"] > 0
    assert set(happened.answers) == {"503 too_many_connections"}
    assert happened.hasty == 0
    assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 64
    assert _metric(connections[0], "connections_dropped_total") >= sum(happened.broken.values()), (
        "connections without an answer are counted"
    )
    for connection in connections[1:]:
        connection.close()
    server.kill()
    used_s = _cpu_s(pid)
    with Load([coordinator.url], ledger, senders=2) as load:
        load.gets_on()
    assert _metric(connections[0], "messages_spooled_total") > 0
    assert _cpu_s(pid) - used_s < 10, "a loop that spins uses all available processor time"
    connections[0].close()
    server.start()
    eventually(lambda: coordinator.metrics()["spool_messages"] == 0, within_s=40)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_too_few_descriptors_for_a_single_connection_are_refused_at_startup(deployment: Deployment, limited: Callable[..., Part]):
    server = deployment.feedback_server()
    with pytest.raises(NotReadyError, match="the limit of open files is 30; a coordinator needs 43") as refused:
        limited(server, 30)
    assert refused.value.exit_code == 1


@pytest.mark.soak
@MEASURES_MEMORY
def test_memory_stays_within_the_published_bound_while_all_buffers_are_full(
    deployment: Deployment, ledger: Ledger, ledger_folder: str
):
    in_flight = 32 * MIB
    server = deployment.feedback_server()
    coordinator = deployment.coordinator("--in-flight-max-bytes", str(in_flight))
    idle = resident(coordinator.running.process.pid)
    plan = Plan(url=coordinator.url, ledger=ledger_folder, senders=150, batch=1000, storm_s=20)
    with Watch(coordinator) as watch:
        storm = crowd.start(plan)
        server.freeze()
        assert_honest(crowd.result(storm, within_s=90))
        server.thaw()
    assert in_flight / 2 < watch.held < in_flight + 4 * MIB
    assert watch.memory - idle <= memory_bound(in_flight=in_flight, connections=150)
    assert_itself_again(coordinator, ledger)
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@pytest.mark.soak
@MEASURES_MEMORY
def test_with_less_memory_than_the_bound_everything_acknowledged_is_kept(
    deployment: Deployment, ledger: Ledger, ledger_folder: str
):
    """It exits immediately instead of continuing with a half-finished step, and is started again, as a supervisor does."""
    server = deployment.feedback_server()
    with ChaosProxy(server.url, Toxics(latency_s=0.1)) as slow:
        coordinator = deployment.coordinator(to=[slow.url])
        with Load([coordinator.url], ledger, senders=1) as load:
            load.gets_on(5)
        pid = coordinator.running.process.pid
        limit = _address_space(pid) + MIB
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        plan = Plan(url=coordinator.url, ledger=ledger_folder, senders=100, batch=60, storm_s=2, pause_s=0.02)
        happened = crowd.result(crowd.start(plan), within_s=60)
        assert happened.broken
        assert coordinator.running.process.wait(10) != 0, "an exit code that supervisors treat as a failure"
        coordinator.start()
        assert_itself_again(coordinator, ledger)
        deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def test_a_coordinator_killed_with_a_full_spool_drains_all_of_it_after_a_restart(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator("--spool-max-bytes", "60000")
    server.kill()
    with Load(deployment.entries, ledger) as load:
        eventually(lambda: load.answers[503] >= 10)
        waiting = coordinator.metrics()["spool_messages"]
        coordinator.kill()
        coordinator.start()
        assert coordinator.metrics()["spool_messages"] == waiting > 0
        eventually(lambda: _readiness(coordinator) == (503, "no feedback server answers, and the spool is full"))
        server.start()
        eventually(lambda: coordinator.metrics()["messages_drained_total"] >= waiting, within_s=120)
        load.gets_on()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("fail", ["fdatasync:error=EIO", "openat:error=EROFS", "fsync:error=ENOSPC"])
def test_a_coordinator_that_can_make_nothing_durable_is_not_ready_with_the_reason(
    deployment: Deployment, ledger: Ledger, tmp_path: Path, fail: str
):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    server.kill()
    with ExitStack() as tracing:
        tracing.enter_context(traced(coordinator.running.process.pid, tmp_path / "calls", fail=fail))
        with Load(deployment.entries, ledger) as load:
            eventually(lambda: _readiness(coordinator)[0] == 503)
            assert _readiness(coordinator)[1].startswith("no feedback server answers, and the spool cannot be written: ")
            tracing.close()  # the disk works again, and the coordinator notices by itself
            eventually(lambda: _readiness(coordinator)[0] == 200)
            load.gets_on()
            server.start()
    assert failed(tmp_path / "calls") >= 1
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def _readiness(coordinator: Part) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(coordinator.url + "/readyz", timeout=60) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)["detail"]
