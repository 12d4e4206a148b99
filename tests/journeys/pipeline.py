"""The whole pipeline as real processes, and what every journey asks: what was acknowledged, what do the files say?"""

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


def swarmscope(*arguments: str | Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "swarmscope", *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Pipeline:
    """Feedback servers, coordinators and what they write; ended by the `serve` fixture."""

    serve: Callable[..., Any]
    root: Path
    form: str = "jsonl"
    feedback_servers: list[Any] = field(default_factory=list)
    coordinators: list[Any] = field(default_factory=list)

    def add_feedback_server(self, *flags: str) -> Any:
        name = f"fs{len(self.feedback_servers) + 1}"
        self.feedback_servers.append(self.start_feedback_server(name, free_port(), *flags))
        return self.feedback_servers[-1]

    def start_feedback_server(self, name: str, port: int, *flags: str) -> Any:
        listen = f"127.0.0.1:{port}"
        data = str(self.root / name)
        return self.serve(
            "feedback-server", "--listen", listen, "--data", data, "--name", name,
            "--format", self.form, "--roll-seconds", "2", "--insecure", *flags,
        )  # fmt: skip

    def restart_feedback_server(self, index: int) -> Any:
        old = self.feedback_servers[index]
        self.feedback_servers[index] = self.start_feedback_server(f"fs{index + 1}", int(old.url.rsplit(":", 1)[1]))
        return self.feedback_servers[index]

    def add_coordinator(self, *flags: str) -> Any:
        name = f"c{len(self.coordinators) + 1}"
        to = [flag for server in self.feedback_servers for flag in ("--feedback-server", server.url)]
        self.coordinators.append(
            self.serve(
                "coordinator", "--listen", "127.0.0.1:0", "--name", name, "--spool", str(self.root / f"spool-{name}"),
                "--trusted-proxy", "127.0.0.1/32", "--insecure", *to, *flags,
            )
        )  # fmt: skip
        return self.coordinators[-1]

    def add_monitor(self, *flags: str) -> Any:
        to = [flag for server in self.feedback_servers for flag in ("--feedback-server", server.url)]
        mirror = str(self.root / "mirror")
        return self.serve(
            "monitor", "--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", mirror, "--insecure", *to, *flags
        )

    def audience(self, *flags: str, peers: int = 80, period: float = 1, duration: float = 8) -> subprocess.Popen[str]:
        """Start a simulated audience; its truth lands in `truth.json`."""
        to = [flag for coordinator in self.coordinators for flag in ("--coordinator", coordinator.url)]
        return subprocess.Popen(
            [
                sys.executable, "-m", "swarmscope", "simulate", *to, "--peers", str(peers), "--period", str(period),
                "--duration", str(duration), "--seed", "7", "--truth", str(self.root / "truth.json"), *flags,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def truth(self) -> dict[str, Any]:
        return json.loads((self.root / "truth.json").read_text())

    def has_truth(self) -> bool:
        return (self.root / "truth.json").exists()

    def stop(self) -> None:
        """End coordinators first, then feedback servers, which seal what they hold."""
        for server in (*self.coordinators, *self.feedback_servers):
            assert server.stop() == 0, server.said()

    def data_directories(self) -> list[Path]:
        return [self.root / f"fs{index + 1}" for index in range(len(self.feedback_servers))]

    def identities(self) -> Counter[tuple[str, int]]:
        """How often each message lies in the logs."""
        done = swarmscope("logs", "cat", *self.data_directories())
        assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in done.stdout.splitlines()]
        return Counter((record["session_id"], record["seq"]) for record in records)

    def analysis(self, *flags: str | Path) -> dict[str, Any]:
        done = swarmscope("analyze", *self.data_directories(), "--json", *flags)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


COUNTS = ("messages", "peers", "sessions")
DISTRIBUTIONS = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "startup_ms", "mos")


def assert_same_numbers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Counts exactly, means within 1e-9 relative, quantiles exactly (they are values that were sent)."""
    for count in COUNTS:
        assert found[count] == expected[count], count
    assert found["contribution_ratio"] == pytest.approx(expected["contribution_ratio"], rel=1e-9)
    for name in DISTRIBUTIONS:
        assert found[name]["mean"] == pytest.approx(expected[name]["mean"], rel=1e-9), name
        for quantile in ("p50", "p95"):
            assert found[name][quantile] == pytest.approx(expected[name][quantile], rel=1e-12), (name, quantile)


def groups_by(summary: dict[str, Any], column: str) -> dict[str, dict[str, Any]]:
    return {group["by"][column]: group for group in summary["groups"] if list(group["by"]) == [column]}


def assert_same_groups(found: dict[str, Any], expected: dict[str, Any], columns: Sequence[str]) -> None:
    for column in columns:
        ours, theirs = groups_by(found, column), groups_by(expected, column)
        assert ours.keys() == theirs.keys()
        for value, group in ours.items():
            assert_same_numbers(group, theirs[value])
