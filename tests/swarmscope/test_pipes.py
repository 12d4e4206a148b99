"""A command that gets a named pipe where it needs a file ends at once: opening it would wait for a writer."""

import os
from pathlib import Path

import pytest

from tests.harness.processes import run_swarmscope

UNUSED_URL = "http://127.0.0.1:9"
MONITOR = ("monitor", "--insecure", "--feedback-server", UNUSED_URL, "--mirror", "mirror")


@pytest.mark.parametrize(
    "command",
    [
        ("coordinator", "--insecure", "--feedback-server", UNUSED_URL, "--spool", "spool", "--keys", "pipe"),
        ("coordinator", "--insecure", "--feedback-server", "https://127.0.0.1:9", "--spool", "spool", "--tls-ca", "pipe"),
        (*MONITOR, "--alerts", "pipe"),
        ("overlay", "play", "p", "--stream", "s", "--bootstrapper", "127.0.0.1:9", "--key", "pipe"),
        ("users", "list", "--file", "pipe"),
        ("lab", "import", "pipe", "--into", "new.csv"),
    ],
)
def test_a_named_pipe_is_refused_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = run_swarmscope(*command, cwd=tmp_path, timeout_s=60)
    assert ended.returncode in (1, 2)
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "pipe" in ended.stderr
    assert "it is a pipe, and a file is needed" in ended.stderr
