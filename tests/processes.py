"""Real processes for tests: started with a deadline, ended by their id."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

READY_WITHIN_S = 120.0
"""A deadline, not an expectation: a machine that is busy with thirty other things takes its time to import."""


def eventually(condition: Callable[[], object], *, within_s: float = 60.0, every_s: float = 0.05) -> object:
    """What `condition` returns once it is true; fails when the deadline passes first."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {getattr(condition, '__name__', condition)}; last value {value!r}")
        time.sleep(every_s)


@dataclass
class Server:
    """A running `swarmscope` server process and where it listens."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def kill(self) -> None:
        """As a power cut to the process: nothing of it runs any more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """As an operator ends it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def said(self) -> str:
        """Its standard error so far."""
        return self.log.read_text(errors="replace")


def start_server(*arguments: str, log: Path, env: dict[str, str] | None = None) -> Server:
    """Start `swarmscope ARGUMENTS` and wait for its ready line."""
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "swarmscope", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=log.parent,
            env=os.environ | (env or {}),
        )
    line = _first_line(process)
    if " ready on " not in line:
        process.kill()
        pytest.fail(f"{arguments[0]} did not get ready, it said {line!r} and:\n{log.read_text()[-2000:]}")
    return Server(process, line.split()[-1], log)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
    return process.stdout.readline() if readable else ""
