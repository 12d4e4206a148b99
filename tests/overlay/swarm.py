"""A swarm of real processes in a lab: bootstrapper, source, relays, players; each node of the overlay in its own namespace."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from overlay.proofs import node_key
from tests.harness.processes import run_swarmscope

SECRET = b"an overlay secret of tests, 32 bytes"
PORT = 7000


class Network(Protocol):
    """A lab of netlab, or the loopback interface."""

    def address(self, node: str) -> str: ...

    def start(self, node: str, command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]": ...


class Part:
    """A process of the swarm, and the lines that it has printed so far."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode())

    def printed(self, key: str) -> list[dict[str, Any]]:
        """The JSON lines so far that have a key."""
        values = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [value for value in values if key in value]

    def read_to_the_end(self) -> None:
        """Wait until all that the ended process has printed is read."""
        self._reader.join(30)

    def stop(self) -> dict[str, Any]:
        """End it as an operator does; its last JSON line."""
        self.process.send_signal(signal.SIGTERM)
        self._reader.join(30)
        assert self.process.wait(30) == 0
        return json.loads(self.lines[-1])


class Swarm:
    """Starts the parts of an overlay at the nodes of a network; names of overlay nodes are names of its nodes."""

    def __init__(self, lab: Network, topology: Mapping[str, Any], folder: Path, *, bootstrapper_at: str, port: int = PORT) -> None:
        self.lab, self._folder = lab, folder
        self.parts: dict[str, Part] = {}
        (folder / "secret").write_bytes(SECRET)
        (folder / "topology.json").write_text(json.dumps(topology), encoding="utf-8")
        self._bootstrapper = f"{lab.address(bootstrapper_at)}:{port}"
        self._bootstrapper_at = bootstrapper_at
        self.start_bootstrapper()

    def start_bootstrapper(self) -> None:
        files = [str(self._folder / "topology.json"), "--secret", str(self._folder / "secret")]
        self.bootstrapper = self._start(self._bootstrapper_at, "bootstrapper", *files, "--listen", self._bootstrapper)

    def start(self, command: str, name: str, *arguments: str) -> Part:
        joining = [*self._joining(name), "--host", self.lab.address(name)]
        self.parts[name] = self._start(name, command, name, *joining, *arguments)
        return self.parts[name]

    def _joining(self, name: str) -> list[str]:
        key = self._folder / f"{name}.key"
        key.write_text(node_key(SECRET, name).hex(), encoding="ascii")
        return ["--key", str(key), "--bootstrapper", self._bootstrapper]

    def list_offers(self, name: str) -> dict[str, Any]:
        """What the bootstrapper lists for the only stream, asked with the key of a node."""
        return json.loads(run_swarmscope("overlay", "list", name, *self._joining(name)).stdout)

    def refused_play(self, name: str, *arguments: str) -> str:
        """The error of a player that cannot get what it asks for."""
        ended = run_swarmscope("overlay", "play", name, *self._joining(name), *arguments)
        assert ended.returncode == 2
        return ended.stderr

    def _start(self, at: str, *arguments: str) -> Part:
        command = [sys.executable, "-m", "swarmscope", "overlay", *arguments]
        log = (self._folder / f"{at}-{arguments[0]}.log").open("wb")
        with log:
            return Part(self.lab.start(at, command, stdout=subprocess.PIPE, stderr=log))

    def logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in self._folder.glob("*.log"))
