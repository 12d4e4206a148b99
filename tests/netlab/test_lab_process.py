"""A lab in a process of its own: its owner keeps the machine's network, and needs no rights."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from netlab import CannotBuildError, Door, LabProcess, ServerSocket, probe
from netlab.keeper import others
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces, open_descriptors, without_rights
from tests.netlab.test_doors import FETCH, Answering

ROOT = Path(__file__).parents[2]
PAIR = json.dumps({"nodes": {"a": {}, "b": {}}, "links": [{"between": ["a", "b"]}]})
SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print('runs', flush=True); time.sleep(600)"]
SEND = "import socket, sys; [socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 9)) for _ in range(3)]"

pytestmark = [needs_namespaces, needs("drop_filter")]


def use_the_lab(folder: Path) -> None:
    """Reach a server of the machine from a node, change a link, read its counters, and end a program."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with ServerSocket(folder / "server.sock", f"http://127.0.0.1:{server.server_port}") as way:
            _use_with_door(folder, Door(nodes=["a"], port=8080, server=way.path))
        server.shutdown()


def _use_with_door(folder: Path, door: Door) -> None:
    with LabProcess(PAIR, [door]) as lab:
        fetched = folder / "fetched"
        fetching = lab.start("a", [sys.executable, "-c", FETCH], env=os.environ, output=fetched, errors=folder / "errors")
        eventually(lambda: fetching.poll() == 0)
        assert fetched.read_text() == "b'300000 bytes'\n"
        lab.reshape("a-b", loss=1.0)
        send = [sys.executable, "-I", "-S", "-c", SEND, lab.address("b")]
        sending = lab.start("a", send, env=os.environ, output=folder / "sent", errors=folder / "errors")
        eventually(lambda: sending.poll() == 0)
        assert lab.counters("a", "a-b").filter_dropped == 3
        sleeping = lab.start("b", SLEEP, env=os.environ, output=folder / "slept", errors=folder / "errors")
        eventually(lambda: (folder / "slept").read_text() == "runs\n")
        assert sleeping.poll() is None
        sleeping.kill()
        assert sleeping.poll() == -signal.SIGKILL


def test_a_lab_in_a_process_of_its_own_runs_programs_and_reaches_servers_through_doors(tmp_path):
    before = open_descriptors()
    use_the_lab(tmp_path)
    assert open_descriptors() == before


def test_the_end_of_a_lab_ends_its_programs(tmp_path):
    with LabProcess(PAIR) as lab:
        lab.start("a", [*SLEEP, str(tmp_path)], env=os.environ, output=tmp_path / "out", errors=tmp_path / "err")
        eventually(lambda: with_argument(str(tmp_path)))
    assert with_argument(str(tmp_path)) == []


def test_an_owner_without_rights_has_the_same_lab_and_keeps_the_network_of_the_machine(tmp_path):
    task = f"from pathlib import Path; import tests.netlab.test_lab_process as it; it.use_without_rights(Path({str(tmp_path)!r}))"
    command = [*without_rights(), sys.executable, "-c", task]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if "skip: " in found.stdout:
        pytest.skip(found.stdout)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "used without rights\n"


def use_without_rights(folder: Path) -> None:
    """What the owner without rights does, in a process of its own."""
    assert probe().namespaces is not None, "this process has the right to build labs"
    try:
        LabProcess(PAIR).close()
    except CannotBuildError as error:
        print(f"skip: no user namespaces here: {error}")
        return
    use_the_lab(folder)
    print("used without rights")


def test_the_end_of_a_killed_owner_ends_the_lab(tmp_path):
    task = (
        "import os, pathlib, sys, netlab\n"
        f"lab, nowhere = netlab.LabProcess({PAIR!r}), pathlib.Path('/dev/null')\n"
        f"lab.start('a', {[*SLEEP, str(tmp_path / 'program')]!r}, env=os.environ, output=nowhere, errors=nowhere)\n"
        "print('started', flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", task], cwd=ROOT, text=True, **pipes) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n"
        eventually(lambda: with_argument(str(tmp_path / "program")))
        owner.kill()
    eventually(lambda: not with_argument(str(tmp_path / "program")))


def test_a_lab_that_cannot_be_built_names_the_reason():
    with pytest.raises(CannotBuildError, match="nodes"):
        LabProcess("{}")


def test_a_wrong_request_states_the_error_and_the_lab_goes_on():
    with LabProcess(PAIR) as lab:
        with pytest.raises(RuntimeError, match="the lab has no link 'a-c'; it has a-b"):
            lab.reshape("a-c", loss=0.5)
        assert lab.counters("a", "a-b").filter_dropped == 0


def test_a_method_of_a_lab_whose_process_was_killed_says_that_it_ended():
    lab = LabProcess(PAIR)
    [pid] = [pid for pid in others() if b"netlab.lab_commands" in arguments_of(pid) and parent_of(pid) == os.getpid()]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ConnectionError, match="the process of the lab ended with exit code -9"):
        lab.counters("a", "a-b")
    lab.close()


def with_argument(argument: str) -> list[int]:
    """The processes that have this argument."""
    return [pid for pid in others() if argument.encode() in arguments_of(pid).split(b"\0")]


def arguments_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
