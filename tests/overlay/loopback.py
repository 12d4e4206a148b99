"""A swarm without a lab: all nodes on the loopback interface."""

import subprocess
from collections.abc import Sequence
from typing import Any


class Loopback:
    """Starts the processes of all nodes on 127.0.0.1."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def address(self, _node: str) -> str:
        return "127.0.0.1"

    def start(self, _node: str, command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        self.processes.append(subprocess.Popen(command, **options))
        return self.processes[-1]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
