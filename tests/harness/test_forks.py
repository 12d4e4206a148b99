"""A fork of the preloaded process behaves as a new interpreter does."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import forks
from tests.harness.processes import Server, run_swarmscope, start_swarmscope

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks need pidfds, which this kernel does not have")


@contextmanager
def new_interpreters() -> Iterator[None]:
    forks.allow(False)
    try:
        yield
    finally:
        forks.allow(True)


@pytest.mark.parametrize("arguments", [("schema",), ("analyze", "nowhere"), ("analyse",)])
def test_a_fork_prints_and_returns_what_a_new_interpreter_does(arguments: tuple[str, ...], tmp_path: Path):
    forked = run_swarmscope(*arguments, cwd=tmp_path)
    with new_interpreters():
        started = run_swarmscope(*arguments, cwd=tmp_path)
    assert forked.args[0] == "swarmscope" != started.args[0]
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_a_fork_takes_over_the_folder_the_limits_and_nothing_that_is_open(serve, tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    flags = ("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", "data")
    with (tmp_path / "open").open("wb"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        try:
            server: Server = serve(*flags)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(server.process, forks.ForkedProcess)
    process = Path(f"/proc/{server.process.pid}")
    assert (process / "cwd").readlink() == tmp_path
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == 200
    opened = [file.readlink() for file in (process / "fd").iterdir()]
    assert tmp_path / "open" not in opened
    with new_interpreters():
        other: Server = serve(*flags[:-1], "other")
    assert len(opened) == len(list(Path(f"/proc/{other.process.pid}/fd").iterdir()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_exit_code_of_a_fork_states_the_signal_that_ended_it(number: signal.Signals):
    with start_swarmscope("analyze", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        with pytest.raises(subprocess.TimeoutExpired):
            reading.wait(0.5)  # standard input stays open, so the command cannot end by itself
        assert reading.poll() is None
        reading.send_signal(number)
        assert reading.wait(60) == -number
        reading.send_signal(number)  # it has ended: nothing happens


def test_variables_that_an_interpreter_reads_when_it_starts_need_a_new_one():
    assert forks.may_start(os.environ | {"SWARMSCOPE_MONITOR_READ_TOKEN": "r"})
    for name in ("LC_ALL", "PYTHONPATH", "TZ", "HOME"):
        assert not forks.may_start(os.environ | {name: "/nowhere"})
    assert not forks.may_start({name: value for name, value in os.environ.items() if name != "PATH"})
