"""Servers that may open few files: they log how many connections are left, or refuse to start."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.waiting import eventually

SERVERS = {
    "coordinator": ("--feedback-server", "http://127.0.0.1:9", "--spool", "spool"),
    "feedback-server": ("--data", "data"),
    "monitor": ("--feedback-server", "http://127.0.0.1:9", "--mirror", "mirror"),
}


def command(name: str, files: int) -> list[str]:
    flags = ("--insecure", "--listen", "127.0.0.1:0", *SERVERS[name])
    return ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "swarmscope", name, *flags]


@pytest.mark.parametrize(("name", "files"), [("coordinator", 42), ("feedback-server", 64), ("monitor", 64)])
def test_a_server_without_room_for_connections_refuses_to_start_and_states_its_needs(tmp_path: Path, name: str, files: int):
    ended = subprocess.run(command(name, files), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert f"the limit of open files is {files}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("name", "left"), [("coordinator", 236), ("feedback-server", 118), ("monitor", 172)])
def test_a_server_with_room_for_few_connections_states_how_many(tmp_path: Path, name: str, left: int):
    log = tmp_path / "log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(command(name, 300), cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            eventually(lambda: f"connections: at most {left}" in log.read_text(), within_s=120)
        finally:
            process.terminate()
