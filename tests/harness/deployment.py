"""Feedback servers, coordinators and a monitoring platform as an operator runs them.

Each server keeps its port and its folder over all its restarts.
"""

import json
import re
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness.ports import free_port
from tests.harness.processes import Server, run_swarmscope, start_swarmscope
from tests.harness.tested_counts import ACKNOWLEDGED, PROCESS_FAULT, RecordProperty
from tests.harness.waiting import eventually


@dataclass
class Part:
    """One server of the deployment; its processes run one after the other."""

    serve: Callable[..., Server]
    command: str
    flags: tuple[str, ...]
    folder: Path
    """Its data, or its spool."""
    url: str
    server: Server | None = None
    faults: int = 0
    """How often it was killed, frozen or stopped."""

    def start(self) -> "Part":
        assert self.server is None or self.server.process.poll() is not None, "it still runs"
        self.server = self.serve(self.command, *self.flags)
        return self

    @property
    def running(self) -> Server:
        assert self.server is not None
        return self.server

    def kill(self) -> None:
        """Send SIGKILL; the process must be alive until then."""
        assert self.running.process.poll() is None, f"it had ended by itself:\n{self.running.log_text()[-2000:]}"
        self.faults += 1
        self.running.kill()
        assert self.running.process.returncode == -signal.SIGKILL

    def freeze(self) -> None:
        self.faults += 1
        self.running.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.server is not None:
            self.server.process.send_signal(signal.SIGCONT)  # does nothing if it has ended

    def stop(self) -> None:
        """Send SIGTERM; the exit code must be 0."""
        self.faults += 1
        code = self.running.stop()
        assert code == 0, f"exit code {code}:\n{self.running.log_text()[-2000:]}"

    def metrics(self) -> dict[str, float]:
        return metrics(self.url)


@dataclass
class Deployment:
    """The pipeline on this machine. `serve` ends what still runs after the test."""

    serve: Callable[..., Server]
    root: Path
    feedback_servers: list[Part] = field(default_factory=list)
    coordinators: list[Part] = field(default_factory=list)

    def feedback_server(self, *flags: str, data: Path | None = None) -> Part:
        name, port = f"fs{len(self.feedback_servers) + 1}", free_port()
        folder = data or self.root / name
        # Rolls of two seconds: sealing and retiring journals happens in every test, not once a minute.
        own = ("--listen", f"127.0.0.1:{port}", "--data", str(folder), "--name", name, "--insecure")
        rolls = () if "--roll-seconds" in flags else ("--roll-seconds", "2")
        part = Part(self.serve, "feedback-server", (*own, *rolls, *flags), folder, f"http://127.0.0.1:{port}")
        self.feedback_servers.append(part)
        return part.start()

    def coordinator(self, *flags: str, to: list[str] | None = None, spool: Path | None = None) -> Part:
        """A coordinator with a spool, in front of all feedback servers, or of the URLs in `to`."""
        name, port = f"c{len(self.coordinators) + 1}", free_port()
        folder = spool or self.root / f"spool-{name}"
        servers = _flags("--feedback-server", to or [part.url for part in self.feedback_servers])
        own = ("--listen", f"127.0.0.1:{port}", "--name", name, "--spool", str(folder), "--insecure")
        part = Part(self.serve, "coordinator", (*own, *servers, *flags), folder, f"http://127.0.0.1:{port}")
        self.coordinators.append(part)
        return part.start()

    def monitor(self, *flags: str) -> Server:
        """A live monitoring platform that polls all feedback servers."""
        own = ("--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", str(self.root / "mirror"), "--insecure")
        return self.serve("monitor", *own, *_flags("--feedback-server", [part.url for part in self.feedback_servers]), *flags)

    def simulate(self, *flags: str, peers: int = 80, period: float = 1, duration: float = 8) -> subprocess.Popen[str]:
        """Start a simulated audience; it writes the expected values into `truth.json` at its end."""
        size = ("--peers", str(peers), "--period", str(period), "--duration", str(duration), "--seed", "7")
        to = _flags("--coordinator", self.entries)
        command = ("simulate", *to, *size, "--truth", str(self.root / "truth.json"), *flags)
        return start_swarmscope(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def has_truth(self) -> bool:
        return (self.root / "truth.json").exists()

    def truth(self) -> dict[str, Any]:
        """The expected values, computed by the simulated audience without the platform."""
        values: dict[str, Any] = json.loads((self.root / "truth.json").read_text())
        return values

    @property
    def parts(self) -> list[Part]:
        return [*self.coordinators, *self.feedback_servers]

    @property
    def data(self) -> list[Path]:
        return [part.folder for part in self.feedback_servers]

    @property
    def spools(self) -> list[Path]:
        return [part.folder for part in self.coordinators]

    @property
    def entries(self) -> list[str]:
        """The URLs that end hosts send to."""
        return [part.url for part in self.coordinators]

    def stop(self) -> None:
        """Stop the coordinators first, then the feedback servers, which seal what they hold."""
        for part in self.parts:
            part.stop()

    def settle(self) -> None:
        """Wait until no message is in flight and no spool holds any, then stop everything."""
        for coordinator in self.coordinators:
            eventually(lambda part=coordinator: _is_idle(part.metrics()), within_s=120)  # type: ignore[misc]
        self.stop()

    def stored_copies(self) -> Counter[tuple[str, int]]:
        """How many copies of each message are in the logs."""
        done = run_swarmscope("logs", "cat", *self.data)
        assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in done.stdout.splitlines()]
        return Counter((record["session_id"], record["seq"]) for record in records)

    def analysis(self, *flags: str | Path) -> dict[str, Any]:
        done = run_swarmscope("analyze", *self.data, "--json", *flags)
        assert done.returncode == 0, done.stderr
        values: dict[str, Any] = json.loads(done.stdout)
        return values


@pytest.fixture
def deployment(serve: Callable[..., Server], tmp_path: Path, record_property: RecordProperty) -> Iterator[Deployment]:
    deployment = Deployment(serve, tmp_path)
    yield deployment
    for part in deployment.parts:
        part.thaw()  # a frozen process would not react to SIGTERM
    record_property(PROCESS_FAULT, sum(part.faults for part in deployment.parts))
    if deployment.has_truth():
        record_property(ACKNOWLEDGED, deployment.truth()["messages"])


def metrics(url: str) -> dict[str, float]:
    """Every sample of a server's /metrics, without the prefix that all its names share."""
    fresh = urllib.request.Request(url + "/metrics", headers={"Cache-Control": "no-cache"})
    with urllib.request.urlopen(fresh, timeout=60) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    samples = (line.rsplit(" ", 1) for line in lines)
    return {re.sub("^swarmscope_(coordinator|feedback_server)_", "", name): float(value) for name, value in samples}


def _flags(name: str, values: list[str]) -> list[str]:
    return [each for value in values for each in (name, value)]


def _is_idle(counted: dict[str, float]) -> bool:
    return counted["messages_in_flight"] == 0 and counted["spool_messages"] == 0
