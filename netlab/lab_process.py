"""A lab in a process of its own, for an owner that needs the machine's network too.

Without the right to build labs, the process of the lab enters a user namespace and loses the machine's network. Its owner does not.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netlab.lab import LinkCounters
from netlab.offer import CannotBuildError

ENDS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Some nodes reach the server of a `ServerSocket` on 127.0.0.1 and `port`."""

    nodes: Sequence[str]
    port: int
    server: Path
    """The path of the socket of the server."""


class LabProcess:
    """The running network of a topology, from construction until `close`. Its methods are for one thread.

    ConnectionError of a method: the lab's process has ended. RuntimeError: the lab refused, as the message explains.
    """

    def __init__(self, topology: str, doors: Sequence[Door] = ()) -> None:
        """`topology` is the text of a lab file. CannotBuildError if the lab cannot be built here."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "netlab.lab_commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        ways = [{"nodes": list(door.nodes), "port": door.port, "server": str(door.server)} for door in doors]
        try:
            self._ask(topology=topology, doors=ways)
        except (OSError, RuntimeError) as error:
            self.close()
            raise CannotBuildError(str(error)) from error

    def address(self, node: str) -> str:
        """The IPv4 address of a node on its first link."""
        found: str = self._ask(do="address", node=node)
        return found

    def start(self, node: str, command: Sequence[str], *, env: Mapping[str, str], output: Path, errors: Path) -> "LabProgram":
        """Start a program at a node, with its standard output and standard error in files."""
        asked = {"node": node, "command": list(command), "env": dict(env), "output": str(output), "errors": str(errors)}
        return LabProgram(self, self._ask(do="start", **asked))

    def reshape(self, link: str, **changes: float | None) -> None:
        """Change the shape of both directions of a running link, for example `loss=0.2`."""
        self._ask(do="reshape", link=link, changes=changes)

    def counters(self, node: str, link: str) -> LinkCounters:
        """What a node's end of a link has counted."""
        return LinkCounters(**self._ask(do="counters", node=node, link=link))

    def kill(self, program: int) -> None:
        """Kill a program by its process id, and wait for its end."""
        self._ask(do="kill", program=program)

    def poll(self, program: int) -> int | None:
        """The exit code of a program as `subprocess.Popen` states it; None while it runs."""
        code: int | None = self._ask(do="poll", program=program)
        return code

    def close(self) -> None:
        """Kill the programs and remove the lab."""
        try:
            self._process.communicate(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:  # the keeper of the lab ends what runs in it
            self._process.kill()
            self._process.communicate()

    def _ask(self, **request: Any) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdin is not None  # noqa: S101 - Popen got PIPE
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            raise ConnectionError(f"the process of the lab ended with exit code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class LabProgram:
    """A program that runs in a lab."""

    def __init__(self, lab: LabProcess, pid: int) -> None:
        self._lab, self._pid = lab, pid

    def poll(self) -> int | None:
        """The exit code as `subprocess.Popen` states it; None while it runs."""
        return self._lab.poll(self._pid)

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait for its end."""
        self._lab.kill(self._pid)
