"""Limits of address space (RLIMIT_AS) lead to a refusal or an error in one line and an exit code, and lose nothing acknowledged."""

import json
import re
import resource
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.address_space import BASE_MIB, OWN_MIB
from serving.memory import is_no_memory
from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import judge
from tests.harness.deployment import Deployment
from tests.harness.ports import free_port
from tests.harness.processes import Server
from tests.harness.waiting import eventually

pytestmark = pytest.mark.new_interpreter

MIB = 1024 * 1024
STACK = 8 * MIB
"""The minimum that a thread needs."""
GOLDEN = Path(__file__).parents[1] / "golden"
LINE = (
    '{"ip":"203.0.113.0","weight":1.0,"via":"c1","v":1,"peer_id":"p%d","session_id":"%s","seq":%d,"event":"report","sent_ms":5}\n'
)


def limited(mib: int, *command: str) -> subprocess.CompletedProcess[str]:
    """`swarmscope COMMAND` with so many MiB of address space."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))

    run = [sys.executable, "-m", "swarmscope", *command]
    return subprocess.run(run, preexec_fn=limit, capture_output=True, text=True, timeout=60, check=False)


def without_more_memory(server: Server) -> int:
    """Limit a running server to the memory that it has; its limit in bytes."""
    limit = used(server)
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
    return limit


def used(server: Server) -> int:
    """Bytes of address space."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("command", "own"),
    [
        (("monitor", "--insecure", "--feedback-server", "http://127.0.0.1:9"), "3,584 MiB (2,048 of them are --memory-mib)"),
        (("monitor", "--static", str(GOLDEN), "--memory-mib", "512"), "2,048 MiB (512 of them are --memory-mib)"),
        (("analyze", str(GOLDEN)), "1,536 MiB"),
        (("history", "show", "missing"), "1,536 MiB"),
    ],
)
def test_a_limit_that_the_libraries_do_not_survive_is_refused_before_they_are_loaded(command: tuple[str, ...], own: str):
    done = limited(600, *command)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "the limit of address space (ulimit -v) is 600 MiB, and swarmscope " in done.stderr
    assert f"needs {own}; raise the limit" in done.stderr


@pytest.mark.parametrize("mib", [40, 100, BASE_MIB - 1])
@pytest.mark.parametrize("command", ["coordinator", "feedback-server", "monitor", "overlay"])
def test_a_limit_below_what_the_imports_need_is_refused_in_one_line(command: str, mib: int):
    done = limited(mib, command)
    assert done.returncode == 1, done.stderr
    assert done.stderr == (
        f"swarmscope: the limit of address space (ulimit -v) is {mib} MiB, and swarmscope needs 256 MiB; raise the limit\n"
    )


@pytest.mark.parametrize("command", ["coordinator", "feedback-server", "monitor", "analyze", "import", "logs", "overlay", "demo"])
def test_each_command_is_imported_within_the_required_address_space(command: str):
    done = limited(BASE_MIB, command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == ""


def test_a_live_monitor_needs_the_required_memory_and_ends_with_less(serve: Callable[..., Server], tmp_path: Path):
    server = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"))
    follow = ("--feedback-server", server.url, "--mirror", str(tmp_path / "mirror"), "--poll-seconds", "1", "--memory-mib", "512")
    monitor = serve("monitor", "--insecure", "--listen", "127.0.0.1:0", *follow)
    limit = (OWN_MIB + 512) * MIB
    resource.prlimit(monitor.process.pid, resource.RLIMIT_AS, (limit, limit))
    for number in range(4):
        store(server, f"{number}", 5_000)
    eventually(lambda: messages(monitor) == 20_000)
    assert "rror" not in monitor.log_text()
    resource.prlimit(monitor.process.pid, resource.RLIMIT_AS, (limit - MIB, limit - MIB))
    assert monitor.process.wait(60) == 1, "libraries may hang or abort with less"
    assert monitor.log_text().splitlines()[-1] == (
        "swarmscope monitor: the limit of address space (ulimit -v) is 2,047 MiB, and swarmscope monitor needs 2,048 MiB "
        "(512 of them are --memory-mib); raise the limit, or lower --memory-mib"
    )


def test_a_feedback_server_without_memory_stops_cleanly_and_keeps_what_it_acknowledged(deployment: Deployment, ledger: Ledger):
    server = deployment.feedback_server()
    deployment.coordinator()
    with Load(deployment.entries, ledger) as load:
        load.gets_on(20)
        limit = without_more_memory(server.running)
        with urllib.request.urlopen(server.url + "/v1/logs", timeout=60) as answer:  # made in a thread that exists already
            assert json.load(answer)["logs"]
        load.gets_on(20)
        assert used(server.running) + STACK > limit, "a thread could still start"
    assert server.running.stop() == 0
    assert "Traceback" not in server.running.log_text()
    server.start()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


@pytest.mark.parametrize(
    "command",
    [
        ("overlay", "bootstrapper", "topology.json", "--secret", "secret", "--listen", "127.0.0.1:{port}"),
        ("measurement-responder", "--listen", "127.0.0.1:{port}"),
    ],
    ids=["bootstrapper", "responder"],
)
def test_a_server_whose_event_loop_gets_no_memory_ends_with_one_line(tmp_path: Path, command: tuple[str, ...]):
    """The loop would log the same traceback without an end, and not end on SIGTERM."""
    (tmp_path / "topology.json").write_text('{"s": {"neighbors": []}}', encoding="ascii")
    (tmp_path / "secret").write_text("x" * 40, encoding="ascii")
    port = free_port()
    run = [sys.executable, "-m", "swarmscope", *(each.format(port=port) for each in command)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(run, cwd=tmp_path, stdout=log, stderr=log) as process,
        ExitStack() as connections,
    ):
        connections.callback(process.kill)
        eventually(lambda: connected(port, connections))
        size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size // 2, size // 2))
        eventually(lambda: process.poll() is not None or not connected(port, connections), every_s=0)
        code = process.wait(60)
    printed = (tmp_path / "log").read_text()
    assert printed.count("Traceback") < 5, printed[:3000]  # of what gets no memory for its report
    if code == -signal.SIGSEGV and command[0] == "overlay":
        return  # uvloop itself does not survive every allocation that fails
    assert code == 1
    assert re.match(r"swarmscope.*: out of memory: the system provides no more memory", printed.splitlines()[-1])


def connected(port: int, connections: ExitStack) -> bool:
    """Whether a server accepts one connection more, which stays open."""
    try:
        connections.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
    except OSError:
        return False
    return True


def test_a_server_of_trainings_that_gets_no_thread_refuses_for_now(serve: Callable[..., Server], tmp_path: Path):
    lab = serve("lab", "serve", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path))
    former = resource.prlimit(lab.process.pid, resource.RLIMIT_AS, (used(lab), resource.RLIM_INFINITY))
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(lab.url + "/v1/trainings", timeout=60):
        pass
    with refused.value as answer:
        assert (answer.status, json.load(answer)["reason"]) == (503, "no_memory")
    assert "Traceback" not in lab.log_text()
    resource.prlimit(lab.process.pid, resource.RLIMIT_AS, former)
    with urllib.request.urlopen(lab.url + "/v1/trainings", timeout=60) as answer:
        assert json.load(answer) == {"trainings": []}


def test_every_error_for_a_lack_of_memory_is_recognised():
    group = ExceptionGroup("tasks", [ValueError("other"), RuntimeError("can't start new thread")])
    caused = ValueError("in other words")
    caused.__cause__ = MemoryError()
    for error in (MemoryError(), OSError(12, "Cannot allocate memory"), group, caused):
        assert is_no_memory(error), error
    for error in (RuntimeError("boom"), OSError(28, "No space left on device"), ExceptionGroup("tasks", [ValueError()])):
        assert not is_no_memory(error), error


def store(server: Server, session: str, count: int) -> None:
    body = "".join(LINE % (number % 50, session, number) for number in range(count)).encode()
    headers = {"content-type": "application/x-ndjson", "swarmscope-batch": session.encode().hex().ljust(32, "0")[:32]}
    with urllib.request.urlopen(urllib.request.Request(server.url + "/v1/records", body, headers), timeout=30) as answer:
        assert json.load(answer) == {"stored": count}


def messages(monitor: Server) -> int:
    with urllib.request.urlopen(monitor.url + "/api/v1/summary", timeout=30) as answer:
        return int(json.load(answer)["messages"])
