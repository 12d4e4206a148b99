"""One part as a process. None outlives the demo: the kernel ends it (PR_SET_PDEATHSIG) even if the demo itself is killed.

Each has a process group of its own, so that Ctrl-C reaches the demo alone, which then ends its parts in the right order.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from swarmscope.demo.errors import Errors
from swarmscope.demo.parts import Part, environment

READY_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0
LAST_LINES = 12

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


class PartDied(Exception):  # noqa: N818 - it says what happened
    """A part ended by itself, or did not get ready; the text says which and what it said last."""


class PartProcess:
    """A part that runs, until `end`."""

    def __init__(self, part: Part, data: Path, port: int | None) -> None:
        """`port`: where it listens, if it does; 0: on any free port."""
        self.part = part
        self.log = data / "said" / f"{part.name.replace(' ', '-')}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.errors = Errors(self.log)
        listen = () if port is None else ("--listen", f"127.0.0.1:{port}")
        parent = os.getpid()
        with self.log.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "swarmscope", *part.arguments, *listen],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment(part),
                process_group=0,
                preexec_fn=lambda: _die_with(parent),
            )

    def address(self) -> str:
        """Its address, once it is ready."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not select.select([self._process.stdout], [], [], 0.1)[0]:
            if time.monotonic() > deadline_s:
                raise PartDied(
                    f"the {self.part.name} did not get ready within {READY_WITHIN_S:g} s; it said:\n{self._last_lines()}"
                )
        line = self._process.stdout.readline().decode()
        if " ready on " not in line:
            self._process.wait(ENDS_WITHIN_S)
            self.check()
        return line.split()[-1]

    def check(self) -> None:
        """PartDied if it is no longer there."""
        code = self._process.poll()
        if code is not None:
            how = f"with exit code {code}" if code >= 0 else f"by signal {signal.Signals(-code).name}"
            raise PartDied(f"the {self.part.name} ended {how}; it said last:\n{self._last_lines()}")

    def end(self) -> None:
        """Ask it to end, and see to it that it does."""
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
            "\n".join(f"    {line}" for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
            or "    nothing"
        )


def _die_with(parent: int) -> None:
    """In the child, before it becomes the part."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the demo died before the kernel knew whom to watch
        os._exit(1)
