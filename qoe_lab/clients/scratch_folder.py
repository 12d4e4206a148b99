"""A folder for the files of a browser, which disappears with the process that made it, also if that process is killed.

A second process waits for the end of the first, kills what still uses the folder, and removes it. If both are killed, as at the end
of a lab, the folder stays until the next `ScratchFolder` on this machine is made.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PREFIX = "swarmscope-lab-"
_REMOVED_WITHIN_S = 10.0


class ScratchFolder:
    """`path` exists until the end of the block."""

    def __init__(self) -> None:
        remove_left_behind()
        owner = f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-"
        self.path = Path(tempfile.mkdtemp(prefix=owner))
        command = [sys.executable, "-m", "qoe_lab.clients.scratch_folder", str(self.path)]
        self._remover = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - no shell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remover.communicate()  # closes its input
        shutil.rmtree(self.path, ignore_errors=True)


def remove_left_behind() -> None:
    """Remove the folders of processes that have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid, _, rest = folder.name.removeprefix(PREFIX).partition("-")
        if pid.isdigit() and _started(int(pid)) != rest.partition("-")[0]:
            remove(folder)


def remove(folder: Path) -> None:
    """Kill the processes that have the folder in their command line, and remove it."""
    deadline = time.monotonic() + _REMOVED_WITHIN_S
    while folder.exists() and time.monotonic() < deadline:
        for pid in _users(folder):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05 if folder.exists() else 0)


def _users(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with suppress(OSError):
                if os.fsencode(folder) in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
    return found


def _started(pid: int) -> str:
    """When a process started, in ticks since the boot; empty if there is none. Ids of processes are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    except OSError:
        return ""


if __name__ == "__main__":
    sys.stdin.read()
    remove(Path(sys.argv[1]))
