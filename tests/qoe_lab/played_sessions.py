"""Shared by tests of the lab: a small encoded content, content servers and clients as processes, and what they wrote."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from netlab import Lab, Topology, read_topology
from qoe_lab.labels.server_witness import Agreement, agreement, server_witness
from qoe_lab.labels.session_labels import SessionLabels
from qoe_lab.player_events import PlayerEvent, read_events
from qoe_lab.sources.ladder import ContentRecipe, Rung
from tests.harness.processes import END_WITHIN_S

RUNGS = (
    Rung(name="low", width=128, height=72, kbps=100),
    Rung(name="middle", width=256, height=144, kbps=250),
    Rung(name="high", width=426, height=240, kbps=700),
)
RECIPE = ContentRecipe(content_id="ball", detail=5, motion=4, grain=4, scene_frames=40, segment_s=2, rungs=RUNGS)
SEGMENTS = 2
SECONDS = SEGMENTS * RECIPE.segment_s
MASTER, MANIFEST = "/ball/hls/master.m3u8", "/ball/dash/manifest.mpd"
END_OF_CLIENT_S = 60.0


class Start(Protocol):
    """Starts a process, as `subprocess.Popen` and `netlab.Lab.start` do."""

    def __call__(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]: ...


@dataclass(frozen=True, slots=True)
class RunningServer:
    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    def requests(self) -> list[dict[str, Any]]:
        """In the order of the requests; the log has that of the answers."""
        return sorted(json_lines(self.folder / "server.jsonl"), key=lambda request: request["wall_ms"])


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def content_server(
    contents: Path, folder: Path, *, host: str = "127.0.0.1", seconds: float = 60, start: Start = subprocess.Popen
) -> Iterator[RunningServer]:
    """A content server with its logs in a folder. At the end it must stop without an error."""
    logs = ("--request-log", str(folder / "server.jsonl"), "--tcp-info-log", str(folder / "tcp_info.jsonl"))
    command = [sys.executable, "-m", "qoe_lab.sources", "serve", str(contents), "--listen", f"{host}:0", "--seconds", str(seconds)]
    process = start([*command, *logs], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield RunningServer(process.stdout.readline().decode().split()[-1], process, folder)
    finally:
        process.terminate()
        assert process.wait(END_WITHIN_S) == 0
        process.stdout.close()  # type: ignore[union-attr]


def client_command(client: str, url: str, folder: Path, *arguments: str, seconds: float = 5) -> list[str]:
    """The command line of a client that writes to `player.jsonl` in a folder. Its session has the habits `usual`."""
    session = ("--session-id", "s-0", "--content-id", "ball", "--seconds", str(seconds), "--events", str(folder / "player.jsonl"))
    return [sys.executable, "-m", "qoe_lab.clients", client, "--url", url, *session, *arguments]


def played(
    client: str, url: str, folder: Path, *arguments: str, seconds: float = 5, start: Start = subprocess.Popen
) -> tuple[int, str, list[PlayerEvent]]:
    """Run a client to its end: its exit code, what it printed to standard error, and its events."""
    process = start(client_command(client, url, folder, *arguments, seconds=seconds), stderr=subprocess.PIPE)
    _, printed = process.communicate(timeout=END_OF_CLIENT_S + seconds)
    return process.returncode, printed.decode(), list(read_events(folder / "player.jsonl"))


def compared(labels: SessionLabels, server: RunningServer) -> Agreement:
    """How far the player and the log of the server differ, printed."""
    witness = server_witness(server.requests(), wall_ms=labels.wall_ms, until_ms=labels.watched_ms)
    found = agreement(labels, witness)
    print(f"startup differs by {found.startup_ms:.0f} ms, stalls by {[round(each) for each in found.stall_ms]} ms")
    return found


def shaped_link(**shape: object) -> Topology:
    """A client and a server with one link, `client-server`."""
    return read_topology(json.dumps({"nodes": {"client": {}, "server": {}}, "links": [{"between": ["client", "server"], **shape}]}))


def at(lab: Lab, node: str) -> Start:
    """Starts processes at a node."""
    return lambda command, **options: lab.start(node, command, **options)
