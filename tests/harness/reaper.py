"""End the processes that a test run leaves behind when it is killed.

A test run that gets SIGKILL runs no fixture's teardown. So each pytest process starts a watcher, in a session of its own that a
signal to the run's process group does not reach. The watcher waits until its pytest process has ended, and then kills every process
whose environment carries the mark of the run. Children inherit the mark; the mark of a worker of pytest-xdist begins with that of
its controller, so the controller's watcher covers the workers and their servers too.
"""

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "TESTS_OF_RUN"
QUIET_S = 0.2
"""A process between fork and exec shows its parent's environment, so one empty search does not prove that all are dead."""


def start_reaper() -> None:
    """Mark this process's future children, and watch this process. Does nothing where the kernel has no pidfd."""
    if not hasattr(os, "pidfd_open"):
        return
    os.environ[MARK] = f"{os.environ.get(MARK, '')}/{secrets.token_hex(8)}"
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), os.environ[MARK]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != MARK},
    )


def _watch(pid: int, mark: str) -> None:
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:  # it has ended already
        pass
    else:
        select.select([watched], [], [])
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_S:
        for process in _marked(mark):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            os.close(process)
            quiet_since = time.monotonic()
        time.sleep(0.02)


def _marked(mark: str) -> Iterator[int]:
    """A pidfd of each process that carries the mark. The pidfd is opened first: a pid can be reused, a pidfd cannot."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            process = os.pidfd_open(int(folder.name))
        except OSError:
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            found = any(each == wanted or each.startswith(wanted + b"/") for each in variables)
        except OSError:  # it has ended, or belongs to another user
            found = False
        if found:
            yield process
        else:
            os.close(process)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), sys.argv[2])
