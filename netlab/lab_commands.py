"""`python -m netlab.lab_commands`: build a lab, and execute the commands on standard input until it ends.

This is the other side of `netlab.lab_process`. Each line is a JSON object, and each gets one line as an answer: `{"value": …}`, or
`{"error": TEXT}`. The first line describes the lab. A process without rights enters a user namespace first.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netlab.doors import Doors
from netlab.kernel import enter_user_namespace
from netlab.lab import Lab
from netlab.offer import probe
from netlab.server_socket import open_short
from netlab.topology import read_topology


class LabCommands:
    """The commands that the other side may send to a running lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._programs: dict[int, subprocess.Popen[bytes]] = {}
        self.known: dict[str, Callable[..., object]] = {
            "address": lab.address,
            "start": self.start,
            "kill": self.kill,
            "poll": self.poll,
            "reshape": self.reshape,
            "counters": self.counters,
        }

    def start(self, node: str, command: list[str], env: dict[str, str], output: str, errors: str) -> int:
        """Start a program at a node, with its two outputs in files. Return the process id."""
        with Path(output).open("wb") as out, Path(errors).open("wb") as err:
            process = self._lab.start(node, command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self._programs[process.pid] = process
        return process.pid

    def kill(self, program: int) -> None:
        """Kill a program with SIGKILL, and wait for its end."""
        self._programs[program].kill()
        self._programs[program].wait()

    def poll(self, program: int) -> int | None:
        """The exit code of a program as Popen states it; None while it runs."""
        return self._programs[program].poll()

    def reshape(self, link: str, changes: dict[str, float | None]) -> None:
        """Change the shape of both directions of a link."""
        self._lab.reshape(link, direction="both", **changes)

    def counters(self, node: str, link: str) -> dict[str, int]:
        """What a node's end of a link has counted."""
        return asdict(self._lab.counters(node, link))


def main() -> None:
    """Answer each line. The lab is removed when the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the other side decides
    with ExitStack() as stack:
        commands: LabCommands | None = None
        for line in _requests():
            try:
                if commands is None:
                    commands, value = _build(stack, **line), None
                else:
                    value = commands.known[line.pop("do")](**line)
                answer = {"value": value}
            except Exception as error:  # noqa: BLE001 - the other side raises it again
                answer = {"error": str(error)}
            with suppress(BrokenPipeError):  # the other side ends
                os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


def _requests() -> Iterator[dict[str, Any]]:
    yield from map(json.loads, sys.stdin)


def _build(stack: ExitStack, topology: str, doors: list[dict[str, Any]]) -> LabCommands:
    if probe().namespaces is not None:
        enter_user_namespace()
    lab = stack.enter_context(Lab(read_topology(topology)))
    for door in doors:
        stack.enter_context(Doors(lab, door["nodes"], door["port"], open_short(Path(door["server"]))))
    return LabCommands(lab)


if __name__ == "__main__":
    main()
