"""One component as a process. It never outlives the demo: if the demo is killed, the kernel ends it (PR_SET_PDEATHSIG).

Each process has its own process group, so Ctrl-C reaches only the demo, which ends the components in the right order.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from serving.regular_files import read_regular
from swarmscope.demo.components import Component, environment
from swarmscope.demo.logged_errors import LoggedErrors

READY_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0
LAST_LINES = 12

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


class ComponentEnded(Exception):  # noqa: N818 - the name states the event
    """A component ended by itself, or was not ready in time. The text contains its name and its last lines of output."""


class ComponentProcess:
    """A running component."""

    def __init__(self, component: Component, data: Path, port: int | None) -> None:
        """Start the component. It listens on `port`, or on a free port if `port` is 0, or not at all if `port` is None."""
        self.component = component
        self.log = data / "output" / f"{component.name.replace(' ', '-')}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.errors = LoggedErrors(self.log)
        listen = () if port is None else ("--listen", f"127.0.0.1:{port}")
        parent = os.getpid()
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "swarmscope", *component.arguments, *listen],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment(component),
                process_group=0,
                preexec_fn=lambda: end_with_parent(parent),
            )

    def address(self) -> str:
        """The URL of the component, as soon as it is ready."""
        assert self._process.stdout is not None  # noqa: S101 - Popen got stdout=PIPE
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not select.select([self._process.stdout], [], [], 0.1)[0]:
            if time.monotonic() > deadline_s:
                raise ComponentEnded(
                    f"the {self.component.name} was not ready within {READY_WITHIN_S:g} s; its last output:\n{self._last_lines()}"
                )
        line = self._process.stdout.readline().decode()
        if " ready on " not in line:
            self._process.wait(ENDS_WITHIN_S)
            self.check()
        return line.split()[-1]

    def check(self) -> None:
        """ComponentEnded if the process has ended."""
        code = self._process.poll()
        if code is not None:
            how = f"with exit code {code}" if code >= 0 else f"by signal {signal.Signals(-code).name}"
            raise ComponentEnded(f"the {self.component.name} ended {how}; its last output:\n{self._last_lines()}")

    def end(self) -> None:
        """End the process: SIGTERM first, then SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _last_lines(self) -> str:
        return (
            "\n".join(f"    {line}" for line in read_regular(self.log).decode(errors="replace").splitlines()[-LAST_LINES:])
            or "    none"
        )


def end_with_parent(parent: int) -> None:
    """Called in the child process, before it executes the component."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the demo ended before prctl took effect
        os._exit(1)
