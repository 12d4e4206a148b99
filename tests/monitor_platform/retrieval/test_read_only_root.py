"""A read-only root with writable data folders, as containers have it: everything works in these folders."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.processes import READY_WITHIN_S, Server, start_server
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[3]
# Everything below / is read-only, except the first argument of the script; the other arguments are run.
SCRIPT = 'mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,ro,bind / && shift && exec "$@"'
NO_TEMPORARY_FOLDER = "import tempfile\ntry: tempfile.gettempdir()\nexcept FileNotFoundError: print('none')"


def inside(writable: Path, *command: str) -> list[str]:
    return ["unshare", "-m", "sh", "-c", SCRIPT, "sh", str(writable), *command]


@pytest.fixture
def read_only_root(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start servers for which only `tmp_path/volumes` can be written; the address of each."""
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in {"TMPDIR", "TEMP", "TMP", "HOME"}}
    proof = subprocess.run(
        inside(volumes, sys.executable, "-c", NO_TEMPORARY_FOLDER),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment,
    )
    if proof.returncode:
        pytest.skip(f"a read-only root needs the right to mount one: {proof.stderr.strip()}")
    if proof.stdout.strip() != "none":
        pytest.skip("another file system on this machine takes temporary files, so the root cannot be made read-only as a whole")
    path = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    running: list[Server] = []

    def start(*arguments: str) -> str:
        prefix = (*inside(volumes), "env", "-u", "TMPDIR", "-u", "TEMP", "-u", "TMP", "-u", "HOME")
        log = tmp_path / f"{arguments[0]}.log"
        running.append(start_server(*arguments, log=log, env={"PYTHONPATH": path}, prefix=prefix, cwd=Path("/")))
        return running[-1].url

    yield start
    for server in running:
        server.close()


def test_with_a_read_only_root_and_writable_data_folders_every_message_is_shown(read_only_root, sender, tmp_path):
    volumes = tmp_path / "volumes"
    server = read_only_root("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(volumes / "data"))
    monitor = read_only_root(
        "monitor", "--insecure", "--listen", "127.0.0.1:0", "--feedback-server", server, "--mirror", str(volumes / "mirror"),
        "--poll-seconds", "1", "--history", str(volumes / "history"),
    )  # fmt: skip
    sender.send(server, 3)

    def messages() -> int:
        with urllib.request.urlopen(f"{monitor}/api/v1/summary", timeout=60) as answer:
            return json.load(answer)["messages"]

    eventually(lambda: messages() == 3)
    with urllib.request.urlopen(f"{monitor}/readyz", timeout=60) as answer:
        assert answer.read() == b"ready\n"


def test_without_a_temporary_folder_recorded_files_are_refused_in_one_line(read_only_root, tmp_path):
    done = subprocess.run(
        inside(
            tmp_path / "volumes",
            sys.executable,
            "-m",
            "swarmscope",
            "monitor",
            "--static",
            str(tmp_path),
            "--listen",
            "127.0.0.1:0",
        ),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=READY_WITHIN_S,
        env={name: value for name, value in os.environ.items() if name not in {"TMPDIR", "TEMP", "TMP"}}
        | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert "no temporary file can be made in TMPDIR or /tmp" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
