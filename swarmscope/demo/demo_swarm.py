"""The demo's swarm: a source, relays and players as processes in a lab. They report to the demo's coordinator as end hosts."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from netlab import CannotBuildError, Door, LabProcess, ServerSocket
from overlay.proofs import node_key
from swarmscope.demo import swarm_topology
from swarmscope.demo.component_process import ComponentEnded, end_with_parent
from swarmscope.demo.components import Component, environment
from swarmscope.demo.lab_programs import Program, check_programs, last_output, log_of
from swarmscope.demo.swarm_topology import CORE, EDGE, PLAYERS, RATE_KBPS, SOURCE, STREAM

DOOR_PORT = 8080
READY_WITHIN_S = 120.0
READ_BYTES = 4096
STARTED_AT_ONCE = 4
"""Processes that start at the same time, so that they do not time out on a small machine."""


def new_secret() -> bytes:
    """A secret as text, so that its file can be copied and pasted."""
    return secrets.token_hex(32).encode("ascii")


class SwarmNetwork(Protocol):
    """Where nodes run."""

    def address(self, node: str) -> str: ...

    def start(self, node: str, command: Sequence[str], *, env: Mapping[str, str], output: Path, errors: Path) -> Program: ...


class Loopback:
    """All nodes on 127.0.0.1, for a machine that permits no namespaces. The kernel ends the processes with the demo."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def address(self, node: str) -> str:
        return "127.0.0.1"

    def start(self, node: str, command: Sequence[str], *, env: Mapping[str, str], output: Path, errors: Path) -> Program:
        parent = os.getpid()
        with output.open("wb") as out, errors.open("wb") as err:
            started = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                process_group=0, preexec_fn=lambda: end_with_parent(parent),
            )  # fmt: skip
        self._started.append(started)
        return started

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


class DemoSwarm:
    """The running swarm. A context manager that ends its processes and removes the lab."""

    def __init__(self, data: Path, coordinator: str, ingest_key: str, period_s: float) -> None:
        """Build the lab; nothing runs in it yet."""
        self._folder = data / "swarm"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secret = new_secret()
        self._programs: dict[str, Program] = {}
        self._write("secret", self._secret)
        self._write("ingest.key", ingest_key.encode())
        self._write("topology.json", json.dumps(swarm_topology.overlay()).encode())
        self._stack = ExitStack()
        self.why_no_lab: str | None = None
        self._network = self._build(coordinator)
        if self.why_no_lab is None:
            coordinator = f"http://127.0.0.1:{DOOR_PORT}"
        self._reports = (
            "--coordinator",
            coordinator,
            "--ingest-key",
            str(self._folder / "ingest.key"),
            "--period",
            f"{period_s:g}",
        )
        self._bootstrapper = ""

    def _build(self, coordinator: str) -> SwarmNetwork:
        server = self._stack.enter_context(ServerSocket(self._folder / "coordinator.sock", coordinator))
        door = Door(nodes=list(swarm_topology.neighbors()), port=DOOR_PORT, server=server.path)
        try:
            return self._stack.enter_context(LabProcess(json.dumps(swarm_topology.lab()), [door]))
        except CannotBuildError as error:
            self.why_no_lab = str(error)
        loopback = Loopback()
        self._stack.callback(loopback.close)
        return loopback

    def start(self) -> None:
        """Start all nodes, and wait until each has joined. ComponentEnded if one does not."""
        listen = f"{self._network.address(SOURCE)}:0"
        self._run(
            SOURCE,
            "bootstrapper",
            str(self._folder / "topology.json"),
            "--secret",
            str(self._folder / "secret"),
            "--listen",
            listen,
        )
        ready = self._wait("bootstrapper", lambda lines: next((line for line in lines if " ready on " in line), None))
        self._bootstrapper = ready.split()[-1].removeprefix("tcp://")
        self._start_nodes((*CORE, *EDGE), "node")
        self._start_nodes((SOURCE,), "source", "--stream", STREAM, "--rate-kbps", str(RATE_KBPS))
        self._start_nodes(PLAYERS, "play", "--stream", STREAM)

    def start_relay(self, name: str) -> None:
        """Start a relay again, without waiting for it."""
        self._start_node(name, "node")

    def kill(self, name: str) -> None:
        """Kill a node's process, as a crash does."""
        self._programs.pop(name).kill()

    def players(self) -> dict[str, dict[str, Any]]:
        """What each player has printed last about its stream; without those that have printed nothing yet."""
        found = {name: latest_state(self._lines(name)) for name in PLAYERS}
        return {name: state for name, state in found.items() if state is not None}

    def check(self) -> None:
        """ComponentEnded if a process has ended by itself."""
        check_programs(self._programs, self._folder)

    def _start_nodes(self, names: Sequence[str], command: str, *flags: str) -> None:
        for begin in range(0, len(names), STARTED_AT_ONCE):
            some = names[begin : begin + STARTED_AT_ONCE]
            for name in some:
                self._start_node(name, command, *flags)
            for name in some:
                self._wait(name, lambda lines: next((line for line in lines if line.endswith("has joined")), None))

    def _start_node(self, name: str, command: str, *flags: str) -> None:
        self._write(f"{name}.key", node_key(self._secret, name).hex().encode())
        joining = ("--key", str(self._folder / f"{name}.key"), "--bootstrapper", self._bootstrapper)
        self._run(name, command, name, *joining, "--host", self._network.address(name), *flags, *self._reports)

    def _run(self, node: str, command: str, *arguments: str) -> None:
        name = "bootstrapper" if command == "bootstrapper" else node
        self._programs[name] = self._network.start(
            node,
            [sys.executable, "-m", "swarmscope", "overlay", command, *arguments],
            env=environment(Component(name=name, arguments=())),
            output=self._output(name),
            errors=log_of(name, self._folder),
        )

    def _wait(self, name: str, found: Callable[[list[str]], str | None]) -> str:
        deadline_s = time.monotonic() + READY_WITHIN_S
        # The first lines: a node that has joined prints more each second, and the others may take long on a busy machine.
        while (line := found(self._lines(name, first=True))) is None:
            self.check()
            if time.monotonic() > deadline_s:
                raise ComponentEnded(
                    f"the node {name} has not joined within {READY_WITHIN_S:g} s:\n{last_output(name, self._folder)}"
                )
            time.sleep(0.05)
        return line

    def _lines(self, name: str, *, first: bool = False) -> list[str]:
        """The last, or the first, complete lines that a node has printed."""
        path = self._output(name)
        with path.open("rb") as out:
            out.seek(0 if first else max(path.stat().st_size - READ_BYTES, 0))
            text = out.read(READ_BYTES).decode(errors="replace")
        return text[: text.rfind("\n") + 1].splitlines()

    def _output(self, name: str) -> Path:
        return self._folder / f"{name}.out"

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)

    def __enter__(self) -> "DemoSwarm":
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


def latest_state(lines: Sequence[str]) -> dict[str, Any] | None:
    """The last of a player's lines that describes its stream. Other lines state that playback has begun or stopped."""
    found = (json.loads(line) for line in reversed(lines) if line.startswith("{") and line.endswith("}"))
    return next((state for state in found if "played_ms" in state), None)


class RelayFailure:
    """What happens to the swarm, as lines for the terminal: it plays, a relay is killed, its viewers recover, the relay returns."""

    def __init__(self, swarm: DemoSwarm, fail_after_s: float) -> None:
        self._swarm = swarm
        self._fails_s = time.monotonic() + fail_after_s
        self._plays = self._recovered = self._returned = False
        self._failed: str | None = None
        self._before: dict[str, dict[str, Any]] = {}
        self._affected: list[str] = []

    def new_lines(self) -> Iterator[str]:
        """What has happened since the last call."""
        self._swarm.check()
        players = self._swarm.players()
        if not self._plays and len(players) == len(PLAYERS) and all(each["played_ms"] for each in players.values()):
            self._plays = True
            startups_ms = sorted(each["startup_ms"] for each in players.values())
            middle = startups_ms[len(startups_ms) // 2]
            yield f"swarm: all {len(players)} players play; startup {middle:.0f} ms (median), {startups_ms[-1]:.0f} ms (longest)"
        elif self._plays and self._failed is None and time.monotonic() >= self._fails_s:
            yield from self._fail(players)
        elif self._failed is not None and not self._recovered:
            yield from self._recovery(players)
        elif self._recovered and not self._returned:
            self._returned = True
            self._swarm.start_relay(str(self._failed))
            yield f"swarm: {self._failed} is started again"

    def _fail(self, players: dict[str, dict[str, Any]]) -> Iterator[str]:
        """Kill the relay that feeds most players."""
        fed: dict[str, list[str]] = {}
        for name, line in players.items():
            if line["parent"] in EDGE:
                fed.setdefault(line["parent"], []).append(name)
        if not fed:
            return
        self._failed = max(sorted(fed), key=lambda relay: len(fed[relay]))
        self._affected, self._before = fed[self._failed], players
        self._swarm.kill(self._failed)
        yield f"swarm: {self._failed} is killed; it fed {', '.join(self._affected)}"

    def _recovery(self, players: dict[str, dict[str, Any]]) -> Iterator[str]:
        now = {name: players[name] for name in self._affected}
        if any(line["parent"] in (None, self._failed) or line["failover_gap_ms"] is None for line in now.values()):
            return
        self._recovered = True
        for name, line in now.items():
            before = self._before[name]
            lost, stalls = line["lost"] - before["lost"], line["stalls"] - before["stalls"]
            saw = "the viewer saw nothing" if stalls == 0 else f"playback stalled for {line['stall_ms'] - before['stall_ms']} ms"
            yield f"swarm: {name} is fed by {line['parent']} after {line['failover_gap_ms']:.0f} ms; {lost} packets lost, {saw}"
