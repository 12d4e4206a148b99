"""A swarm without a lab: all nodes on the loopback interface."""

import subprocess
from collections.abc import Sequence
from typing import Any

from tests.harness.processes import SWARMSCOPE, start_swarmscope


class Loopback:
    """Starts the processes of all nodes on 127.0.0.1."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[Any]] = []

    def address(self, _node: str) -> str:
        return "127.0.0.1"

    def start(self, _node: str, command: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
        assert tuple(command[: len(SWARMSCOPE)]) == SWARMSCOPE
        self.processes.append(start_swarmscope(*command[len(SWARMSCOPE) :], text=False, **options))
        return self.processes[-1]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
