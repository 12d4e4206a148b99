"""A killed test run leaves no process and no mount behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.disks import enter_private_mounts
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]

RUN_WITH_PROCESSES = """
import json, os, pathlib, subprocess, time

def test_that_never_ends(serve):
    server = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", "data")
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    grandchild = int(shell.stdout.readline())
    pids = [os.getpid(), server.process.pid, shell.pid, grandchild]
    pathlib.Path("report.tmp").write_text(json.dumps({"pids": pids}))
    os.rename("report.tmp", "report")
    time.sleep(600)
"""

RUN_WITH_A_DISK = """
import json, os, pathlib, subprocess, time

def test_that_never_ends(disk):
    holder = subprocess.Popen(["sleep", "600"], cwd=disk)
    pathlib.Path("report.tmp").write_text(json.dumps({"pids": [os.getpid(), holder.pid], "disk": str(disk)}))
    os.rename("report.tmp", "report")
    time.sleep(600)
"""


def start_run(folder: Path, source: str, *flags: str) -> "tuple[subprocess.Popen[bytes], dict[str, Any]]":
    """Start pytest on one test; return the process and the test's report of what runs."""
    (folder / "test_killed.py").write_text(source)
    fixtures = ("-p", "tests.conftest", "--import-mode=importlib", "--basetemp", str(folder / "tmp"))
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(folder), *fixtures, *flags, "test_killed.py"]
    with (folder / "output").open("wb") as output:
        run = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True
        )
    report = folder / "report"
    eventually(lambda: report.exists() or run.poll() is not None, "the test runs")
    assert report.exists(), (folder / "output").read_text()
    return run, json.loads(report.read_text())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def mounts() -> set[str]:
    """The mount points that any process on this machine sees."""
    found: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/mounts"):
        try:
            found |= {line.split()[1] for line in path.read_text().splitlines()}
        except OSError:
            continue
    return found


@pytest.mark.parametrize("flags", [(), ("-n", "1")], ids=["one process", "workers"])
def test_no_process_survives_a_killed_test_run(tmp_path: Path, flags: tuple[str, ...]) -> None:
    run, report = start_run(tmp_path, RUN_WITH_PROCESSES, *flags)
    assert all(is_alive(pid) for pid in report["pids"])
    assert (run.pid in report["pids"]) == (not flags), "with workers, the killed process is not the one that runs the test"
    run.kill()
    run.wait(10)
    eventually(lambda: not any(is_alive(pid) for pid in report["pids"]), "every process of the run has ended")


def test_no_mount_survives_a_killed_test_run(tmp_path: Path) -> None:
    if refused := enter_private_mounts():
        pytest.skip(f"mounting needs the right to, such as root's: {refused}")
    run, report = start_run(tmp_path, RUN_WITH_A_DISK)
    assert report["disk"] in mounts()
    assert report["disk"] not in {line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()}
    run.kill()
    run.wait(10)
    eventually(lambda: report["disk"] not in mounts(), "no process sees the mount")
    eventually(lambda: not any(is_alive(pid) for pid in report["pids"]), "every process of the run has ended")
