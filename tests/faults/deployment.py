"""Feedback servers and coordinators as an operator runs them: each keeps its port and its folder, however often it is restarted."""

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.oracle import metrics
from tests.processes import Server, eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Part:
    """One server of the deployment, of which one process after the other may run."""

    serve: Callable[..., Server]
    command: str
    flags: tuple[str, ...]
    folder: Path
    """Its data, or its spool."""
    url: str
    server: Server | None = None
    hurt: int = 0
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
        """SIGKILL; it must have been alive until then."""
        assert self.running.process.poll() is None, f"it had ended by itself:\n{self.running.said()[-2000:]}"
        self.hurt += 1
        self.running.kill()
        assert self.running.process.returncode == -signal.SIGKILL

    def freeze(self) -> None:
        self.hurt += 1
        self.running.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.server is not None:
            self.server.process.send_signal(signal.SIGCONT)  # does nothing if it has ended

    def stop(self) -> None:
        """SIGTERM, and the promised exit code."""
        self.hurt += 1
        code = self.running.stop()
        assert code == 0, f"exit code {code}:\n{self.running.said()[-2000:]}"

    def metrics(self) -> dict[str, float]:
        return metrics(self.url)


@dataclass
class Deployment:
    """The pipeline up to the logs. `serve` ends what is still running after the test."""

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
        servers = [flag for url in to or [part.url for part in self.feedback_servers] for flag in ("--feedback-server", url)]
        own = ("--listen", f"127.0.0.1:{port}", "--name", name, "--spool", str(folder), "--insecure")
        part = Part(self.serve, "coordinator", (*own, *servers, *flags), folder, f"http://127.0.0.1:{port}")
        self.coordinators.append(part)
        return part.start()

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
        """Where end hosts send to."""
        return [part.url for part in self.coordinators]

    def settle(self) -> None:
        """Wait until nothing is under way and no spool holds anything, then end everything in good order."""
        for coordinator in self.coordinators:
            eventually(lambda part=coordinator: _is_idle(part.metrics()), within_s=120)
        for part in self.parts:
            part.stop()


def _is_idle(counted: dict[str, Any]) -> bool:
    return counted["messages_in_flight"] == 0 and counted["spool_messages"] == 0
