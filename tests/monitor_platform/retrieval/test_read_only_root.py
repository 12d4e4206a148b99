"""A read-only root with writable data folders, as containers have it: everything works in the folders that were given."""

import json
import os
import select
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import READY_WITHIN_S, eventually

# Everything below / is read-only, but what is named after the script; the rest of the arguments is run.
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
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        command = inside(volumes, sys.executable, "-m", "swarmscope", *arguments)
        with (tmp_path / f"{arguments[0]}.log").open("a") as log:
            path = os.pathsep.join([str(Path(__file__).parents[3]), environment.get("PYTHONPATH", "")])
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd="/", env=environment | {"PYTHONPATH": path}
            )
        running.append(process)
        assert process.stdout is not None
        select.select([process.stdout], [], [], READY_WITHIN_S)
        line = process.stdout.readline()
        assert " ready on " in line, (tmp_path / f"{arguments[0]}.log").read_text()
        return line.split()[-1]

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


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


def test_recorded_files_without_a_folder_for_temporary_files_are_refused_in_one_line(read_only_root, tmp_path):
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
        | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 1
    assert "no temporary file can be made in TMPDIR or /tmp" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
