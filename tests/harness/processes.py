"""Real `swarmscope` processes for tests: commands that run to their end, and servers that run until a test ends them."""

import io
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from swarmscope.__main__ import main
from tests.harness import forks

SWARMSCOPE = (sys.executable, "-m", "swarmscope")
READY_WITHIN_S = 120.0
"""A deadline, not an expectation: imports are slow on a busy machine."""
END_WITHIN_S = 15.0
"""How long a server may take to stop at the end of its test before it is killed."""


def run_swarmscope(
    *arguments: object,
    stdin: str = "",
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    prefix: Sequence[str] = (),
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run `PREFIX swarmscope ARGUMENTS` to its end; `env` is added to the environment of the tests."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start_swarmscope(*arguments, cwd=cwd, env=env, prefix=prefix, **pipes) as process:
        try:
            printed, errors = process.communicate(stdin, timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, printed, errors)


def start_swarmscope(
    *arguments: object, env: dict[str, str] | None = None, prefix: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    """Start `PREFIX swarmscope ARGUMENTS`; `env` is added to the environment of the tests, `options` are those of Popen.

    The process is a fork of the preloaded one, or a new interpreter if the test is marked `new_interpreter` or a fork would differ.
    """
    command, variables = [*map(str, arguments)], os.environ | (env or {})
    options = {"text": True, "env": variables} | options
    if not prefix and forks.may_start(variables):
        return forks.ForkedProcess(command, **options)
    return subprocess.Popen([*prefix, *SWARMSCOPE, *command], **options)


def run_here(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `swarmscope ARGUMENTS` in the process of the tests, which saves the start of another one.

    For the many forms of one refusal or help, where another test runs the same command as a process. Settings files are read once,
    so a test of theirs needs `run_swarmscope`.
    """
    printed, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with (
        patch.object(sys, "argv", ["swarmscope", *map(str, arguments)]),
        patch.dict(os.environ, env or {}),
        chdir(cwd or Path.cwd()),
        redirect_stdout(printed),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    if not isinstance(code, int):
        code, _ = 1, errors.write(f"{code}\n")
    texts = [stream.buffer.getvalue().decode() for stream in (printed, errors)]
    return subprocess.CompletedProcess([*map(str, arguments)], code, *texts)


class NotReadyError(AssertionError):
    """A server printed no ready line. `exit_code` is None if the server was still running, and was killed for that."""

    def __init__(self, command: str, line: str, log: Path, exit_code: int | None) -> None:
        super().__init__(f"{command} is not ready; its output is {line!r} and:\n{log.read_text(errors='replace')[-2000:]}")
        self.exit_code = exit_code


@dataclass
class Server:
    """A running `swarmscope` server process."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    """Where its standard error goes."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def reload(self) -> None:
        """Send SIGHUP: read certificates and keys again."""
        self.process.send_signal(signal.SIGHUP)

    def log_text(self) -> str:
        """Its standard error so far."""
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """End the process if it still runs, by SIGKILL if SIGTERM does not end it in time."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_server(
    *arguments: str, log: Path, env: dict[str, str] | None = None, prefix: Sequence[str] = (), cwd: Path | None = None
) -> Server:
    """Start `PREFIX swarmscope ARGUMENTS` and wait for its ready line. `env` is added to the environment of the tests."""
    with log.open("a") as stderr:
        options = {"stdout": subprocess.PIPE, "stderr": stderr, "cwd": cwd or log.parent}
        process = start_swarmscope(*arguments, env=env, prefix=prefix, **options)
    line = _first_line(process)
    if not line.startswith(f"swarmscope {arguments[0]} ready on "):
        raise NotReadyError(arguments[0], line, log, _exit_code(process))
    return Server(process, line.split()[-1], log)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
    return process.stdout.readline() if readable else ""


def _exit_code(process: subprocess.Popen[str]) -> int | None:
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
        return None


@contextmanager
def servers(folder: Path) -> Iterator[Callable[..., Server]]:
    """`serve("feedback-server", "--name", "fs1", …)` starts servers; all of them end with the block."""
    running: list[Server] = []

    def serve(*arguments: str, env: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> Server:
        log = folder / f"{len(running)}-{arguments[0]}.log"
        running.append(start_server(*arguments, log=log, env=env, prefix=prefix))
        return running[-1]

    try:
        yield serve
    finally:
        for server in reversed(running):  # all get the signal first, then each is waited for
            if server.process.poll() is None:
                server.process.terminate()
        for server in reversed(running):
            server.close()
