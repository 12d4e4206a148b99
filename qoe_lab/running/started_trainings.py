"""The processes of the trainings that this server has started. A training is a process of its own, and outlives the server."""

import asyncio
import subprocess
import time
from collections.abc import Sequence

from qoe_lab.running.training_folder import TrainingFolder
from serving.regular_files import read_regular

START_WITHIN_S = 60.0
CHECK_EACH_S = 0.05
OUTPUT = "output.log"


class CannotRunError(Exception):
    """The process of a training ended before it ran."""


class StartedTrainings:
    """Starts trainings: `command` with the path of a training as last argument runs it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.started = 0

    async def start(self, training: TrainingFolder) -> None:
        """Return when the training runs. CannotRunError with the reason if it does not."""
        with (training.path / OUTPUT).open("ab") as output:
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - no shell; it only forks
                [*self._command, str(training.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes[training.training_id] = process
        self.started += 1
        deadline_s = time.monotonic() + START_WITHIN_S
        while not training.is_running():
            if process.poll() is not None and not training.queue().is_done:
                raise CannotRunError(_last_line(training) or f"its process ended with exit code {process.returncode}")
            if process.poll() is not None or time.monotonic() > deadline_s:
                return
            await asyncio.sleep(CHECK_EACH_S)

    def reap(self) -> None:
        """Let the kernel forget processes that have ended."""
        self._processes = {training: process for training, process in self._processes.items() if process.poll() is None}


def _last_line(training: TrainingFolder) -> str:
    lines = read_regular(training.path / OUTPUT).decode(errors="replace").splitlines()
    return lines[-1].strip() if lines else ""
