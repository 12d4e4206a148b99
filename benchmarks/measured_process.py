"""Starts servers and commands as processes, and measures their processor time and memory."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class MeasuredProcess:
    """A process. `url` is empty if the process is not a server."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Processor time of all threads, in user and kernel mode."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS_A_SECOND

    def memory_mib(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_MIB


@contextmanager
def serving(*arguments: str) -> Iterator[MeasuredProcess]:
    """Start a server on a free port and wait until it is ready."""
    with _started(*arguments, "--listen", "127.0.0.1:0", "--insecure") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "ready on" not in line:
            sys.exit(f"{arguments[0]} did not start")
        yield MeasuredProcess(line.split()[-1], process.pid)


@contextmanager
def working(*arguments: str) -> Iterator[MeasuredProcess]:
    """Run another subcommand until the end of the block."""
    with _started(*arguments) as process:
        yield MeasuredProcess("", process.pid)


@contextmanager
def _started(*arguments: str) -> Iterator[Popen[str]]:
    with Popen([sys.executable, "-m", "swarmscope", *arguments], stdout=PIPE, stderr=DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
