"""Shared by the tests of trainings: whether this machine can play sessions, a command line that plays them, and what it leaves."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from netlab.keeper import others
from qoe_lab.running.kernel_offer import kernel_offer, why_no_sessions
from tests.harness.processes import start_swarmscope

WHY_NOT = why_no_sessions(kernel_offer())
needs_sessions = pytest.mark.skipif(WHY_NOT is not None, reason=f"no sessions here: {WHY_NOT}")
MARK = "TEST_OF_LAB"
"""Not SWARMSCOPE_…: a training keeps such variables from its coordinator."""


def start_lab(*arguments: object, log: Path) -> "subprocess.Popen[str]":
    """`swarmscope lab ARGUMENTS` with its output in a file. All its descendants have the path of the file in their environment."""
    with log.open("ab") as output:
        return start_swarmscope("lab", *arguments, stdout=output, stderr=output, env={MARK: str(log)})


def descendants(log: Path) -> list[int]:
    """The processes that `start_lab` with this file has started, also indirectly, and that have not ended."""
    return [pid for pid in others() if f"{MARK}={log}".encode() in _environment(pid).split(b"\0")]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def json_of(path: Path) -> Any:
    return json.loads(path.read_bytes())


def statuses(training: Path) -> list[dict[str, Any]]:
    """The whole lines of the journal."""
    path = training / "sessions.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def with_status(training: Path, status: int) -> list[dict[str, Any]]:
    return [line for line in statuses(training) if line["status"] == status]


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
