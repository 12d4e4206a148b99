"""Nothing of a lab stays behind: not after its end, not after SIGKILL, not after many labs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netlab import Lab, end_run, runs
from netlab.keeper import namespace_of, others
from tests.harness.waiting import eventually
from tests.netlab.labs import OFFER, needs_namespaces, open_descriptors, two_nodes

ROOT = Path(__file__).parents[2]
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []

pytestmark = [
    needs_namespaces,
    pytest.mark.skipif(bool(OFFER.tbf or OFFER.drop_filter or OFFER.packet_sockets), reason="the labs here need shaped links"),
]


def owner(*task: str, start: list[str] | None = None, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*(start or [sys.executable]), str(ROOT / "tests/netlab/owner.py"), *task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])} | (env or {}),
    )


def python_without_rights() -> list[str]:
    """The command of a Python that a user without rights may run; the one that runs the tests may lie in root's home folder."""
    task = "import pyroute2, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [*AS_NOBODY, python]
        if all(map(shutil.which, command[:: len(command) - 1 or 1])):
            path = {"PYTHONPATH": sysconfig.get_path("purelib")}
            if subprocess.run([*command, "-c", task], env=path, check=False, capture_output=True).returncode == 0:
                return command
    pytest.skip("no Python that a user without rights may run")


@contextmanager
def held_lab() -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """An owner that waits, the run of its lab, and the inode of a namespace in it."""
    with owner("hold") as process:
        assert process.stdout is not None
        described = json.loads(process.stdout.readline())
        try:
            yield process, described["run"], described["namespace"]
        finally:
            process.kill()


def members(namespace: int) -> list[int]:
    return [pid for pid in others() if namespace_of(pid) == namespace]


def test_closing_a_lab_ends_its_processes_and_frees_its_descriptors():
    with Lab(two_nodes()):
        pass
    before = open_descriptors()
    with Lab(two_nodes(delay_ms=1)) as lab:
        sleeper = lab.start("a", [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
        assert lab.run in runs()
    assert sleeper.returncode == -signal.SIGKILL
    assert lab.run not in runs()
    assert open_descriptors() == before


def test_an_owner_that_is_killed_leaves_no_process_and_so_no_namespace():
    with held_lab() as (process, run, namespace):
        assert len(members(namespace)) == 2  # the process and its child
        assert len(runs()[run]) == 4  # with the keeper and the delayer
        process.kill()
        assert process.wait() == -signal.SIGKILL
        eventually(lambda: run not in runs())
        assert members(namespace) == []


def test_a_run_whose_keeper_was_killed_too_is_ended_by_its_name():
    with held_lab() as (process, run, namespace):
        for pid in runs()[run]:
            if b"keeper.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        assert len(members(namespace)) == 2
        assert end_run(run) >= 2
        assert members(namespace) == []
        assert run not in runs()


def test_a_lab_whose_keeper_was_killed_is_removed_when_it_is_closed():
    with Lab(two_nodes()) as lab:
        sleeper = lab.start("a", [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
        (keeper,) = set(runs()[lab.run]) - {sleeper.pid}
        os.kill(keeper, signal.SIGKILL)
    assert sleeper.returncode == -signal.SIGKILL
    assert lab.run not in runs()


def test_a_lab_that_cannot_be_finished_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    before = open_descriptors()
    monkeypatch.setattr("netlab.shaping.apply", _refuse)
    with pytest.raises(OSError, match="no room"):
        Lab(two_nodes(delay_ms=1), run="unfinished")
    assert "unfinished" not in runs()
    assert open_descriptors() == before


def _refuse(*_arguments: object, **_options: object) -> None:
    raise OSError("no room")


@pytest.mark.parametrize("labs", [10, pytest.param(200, marks=pytest.mark.soak)])
def test_many_labs_in_a_row_leave_no_descriptor_link_or_namespace_and_need_no_rights(labs: int):
    start, rootless = python_without_rights(), {"NETLAB_ROOTLESS": "1"}
    # A lab has four namespaces, and the kernel frees them a moment after their end. It refuses the 41st.
    with owner("cycle", str(labs), "40", start=start, env=rootless) as process:
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert json.loads(printed) == {"descriptors": 0, "links": 0}
    with owner("cycle", "1", "3", start=start, env=rootless) as process:
        _, errors = process.communicate()
    assert "No space left on device" in errors  # so the kernel does count them
