"""The agent's side of the process that measures (`python -m measurement.techniques`).

It is killed when an operation must end: no technique can keep it from stopping in time. It also dies with the agent, because a
process that continues to send after the master has given its lease to another agent would disturb that one.
"""

import asyncio
import ctypes
import signal
import sys
import time
from contextlib import suppress

import msgspec

from measurement.operation import Operation
from measurement.outcome import Outcome, Status
from measurement.techniques.__main__ import ProbeAnswer, ProbeOrder
from measurement.techniques.task import ProbeSettings

_LINE_BYTES = 8 * 1024 * 1024
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Interrupted(Exception):  # noqa: N818 - the end of an operation, not a mistake
    """`interrupt` has ended the operation; it has no outcome."""


class ProbeProcess:
    """One process, which runs one operation at a time. It starts with the first one, and again after it was killed."""

    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._killed: list[asyncio.subprocess.Process] = []
        self._interrupted = False

    async def run(self, operation: Operation, within_s: float) -> Outcome:
        """Run an operation, for at most `within_s`, and return its outcome. Interrupted if `interrupt` is called meanwhile."""
        self._interrupted = False
        found: list[Outcome] = []
        started_ms, begin_s = time.time_ns() // 1_000_000, time.monotonic()
        status, reason = Status.AGENT_LOST, "the agent's probe process ended before it had an outcome"
        try:
            async with asyncio.timeout(within_s):
                if await self._ask(operation, found):
                    return found[-1]
        except TimeoutError:
            status, reason = Status.TIMEOUT_AGENT, f"the operation did not end within {within_s:.1f} s, and was stopped"
        except (OSError, MemoryError, RuntimeError, msgspec.MsgspecError, ValueError) as error:  # RuntimeError: no thread starts
            reason = f"the agent's probe process failed: {error}"[:1024]
        await self.close()  # it may still be sending
        if self._interrupted:
            raise Interrupted
        latest = found[-1] if found else None
        return Outcome(
            operation_id=operation.operation_id,
            status=status,
            reason=reason,
            started_ms=latest.started_ms if latest is not None else started_ms,
            duration_ms=(time.monotonic() - begin_s) * 1000,
            values=latest.values if latest is not None else [],
            hops=latest.hops if latest is not None else [],
        )

    def interrupt(self) -> None:
        """Kill the process at once; `run` raises Interrupted."""
        self._interrupted = True
        self._kill()

    async def close(self) -> None:
        """Kill the process, and wait until it has ended."""
        self._kill()
        while self._killed:
            await self._killed.pop().wait()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            self._killed.append(process)

    async def _ask(self, operation: Operation, found: list[Outcome]) -> bool:
        """Collect the outcomes so far in `found`; True if the last one is final, False if the process has ended."""
        process = await self._running()
        if self._interrupted:  # while the process was starting
            return False
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(msgspec.json.encode(ProbeOrder(operation=operation, settings=self._settings)) + b"\n")
        await process.stdin.drain()
        while (line := await process.stdout.readline()).endswith(b"\n"):
            answer = msgspec.json.decode(line, type=ProbeAnswer)
            found.append(answer.outcome)
            if answer.final:
                return True
        return False

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "measurement.techniques",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
                preexec_fn=_die_with_parent,
            )
        return self._process


def _die_with_parent() -> None:
    """In the new process: let the kernel kill it when the agent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
