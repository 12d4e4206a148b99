"""Kills the processes that remain in a lab's namespaces when the process that built the lab has ended.

As a program (`python -I -S keeper.py RUN NAMESPACE_DESCRIPTOR…`, standard library only) it waits for the end of its standard
input, which the kernel closes when the lab's owner ends, by SIGKILL too. Then it kills every process in the namespaces that it
was given, until there is none, and ends. A lab that is closed in the usual way is ended by the same code.

Membership is the inode of a process's network namespace, which children inherit and cannot forge. The keeper holds the
namespaces open, so no other namespace can get the same inode meanwhile.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

MARK = "NETLAB_RUN"
"""The environment variable that names the run in each process of a lab, the keeper included."""
AGAIN_AFTER_S = 0.01


def namespace_of(pid: int) -> int | None:
    """The inode of the network namespace; None if the process has ended or belongs to another user."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None


def run_of(pid: int) -> str | None:
    """The lab's run that started the process; None if no lab did, or the process belongs to another user."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    prefix = f"{MARK}=".encode()
    return next((each[len(prefix) :].decode() for each in environment.split(b"\0") if each.startswith(prefix)), None)


def others() -> list[int]:
    """The ids of all processes but this one."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]


def kill_all(is_member: Callable[[int], bool]) -> int:
    """Kill members until none is left. Return how many processes were killed."""
    killed: set[int] = set()
    while members := [pid for pid in others() if is_member(pid)]:
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it has just ended
                continue
            killed.add(pid)
        time.sleep(AGAIN_AFTER_S)
    return len(killed)


def runs() -> dict[str, list[int]]:
    """The process ids of each run on this machine that this user may see. The owner of a lab is not among them."""
    found: dict[str, list[int]] = {}
    for pid in others():
        run = run_of(pid)
        if run is not None:
            found.setdefault(run, []).append(pid)
    return found


def end_run(run: str) -> int:
    """Kill every process of a run, its keeper too. Return how many were killed. For a lab whose owner hangs, or lost its keeper."""
    return kill_all(lambda pid: run_of(pid) == run)


def main() -> None:
    """Wait for the owner's end, then kill what is left in its namespaces."""
    namespaces = {os.fstat(int(descriptor)).st_ino for descriptor in sys.argv[2:]}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the keeper has to outlive the owner
    while os.read(0, 4096):
        pass
    kill_all(lambda pid: namespace_of(pid) in namespaces)


if __name__ == "__main__":
    main()
