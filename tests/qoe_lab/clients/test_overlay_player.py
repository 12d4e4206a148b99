"""The overlay's player as a client of the lab: its starts and stalls become the events of a session."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlay.proofs import node_key
from qoe_lab.clients.__main__ import main
from qoe_lab.labels.session_labels import session_labels
from qoe_lab.player_events import read_events
from qoe_lab.sources.joined_rung import write_overlay_file
from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.overlay.loopback import Loopback
from tests.overlay.swarm import SECRET, Swarm
from tests.qoe_lab.played_sessions import client_command

TOPOLOGY = {
    "s": {"neighbors": ["p"], "role": "source"},
    "p": {"neighbors": ["s"]},
    "streams": {"ball": {"source": "s"}},
}


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    loopback = Loopback()
    yield loopback
    loopback.end()


def test_a_stream_of_the_overlay_is_a_session_with_its_stalls(loopback: Loopback, contents: Path, tmp_path: Path):
    port = free_port()
    rate_kbps = write_overlay_file(contents, "ball", "middle", tmp_path / "ball.mp4")
    swarm = Swarm(loopback, TOPOLOGY, tmp_path, bootstrapper_at="s", port=port)
    source = swarm.start("source", "s", "--stream", "ball", "--file", str(tmp_path / "ball.mp4"), "--rate-kbps", str(rate_kbps))
    key = tmp_path / "p.key"
    key.write_text(node_key(SECRET, "p").hex())
    url = f"overlay://127.0.0.1:{port}/ball?height=144&kbps=250"
    command = client_command("overlay", url, tmp_path, "--node", "p", "--node-key", str(key), seconds=12)
    client, path = subprocess.Popen(command), tmp_path / "player.jsonl"

    def has(event: str) -> bool:
        return path.exists() and f'"{event}"' in path.read_text()

    eventually(lambda: has("first_frame"))
    os.kill(source.process.pid, signal.SIGSTOP)
    eventually(lambda: has("stall_begin"))
    os.kill(source.process.pid, signal.SIGCONT)
    assert client.wait(60) == 0
    events = list(read_events(path))
    labels = session_labels(events)
    assert labels.invalid_reason is None, events
    assert labels.startup_ms is not None
    assert labels.startup_ms > 1000  # the buffer of the player
    assert labels.stall_count
    assert [(shown.height, shown.kbps) for shown in labels.shown] == [(144, 250)]
    samples = [event for event in events if event.event == "sample"]
    assert len(samples) >= 6
    assert sum(event.bytes or 0 for event in samples) > 50_000


def test_a_player_that_is_refused_ends_the_session_with_its_reason(loopback: Loopback, tmp_path: Path):
    port = free_port()
    Swarm(loopback, TOPOLOGY, tmp_path, bootstrapper_at="s", port=port)
    (tmp_path / "p.key").write_text(node_key(SECRET, "p").hex())
    url = f"overlay://127.0.0.1:{port}/none"
    command = client_command("overlay", url, tmp_path, "--node", "p", "--node-key", str(tmp_path / "p.key"), seconds=30)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert ended.returncode == 1
    assert "the player of the overlay ended" in ended.stderr
    assert session_labels(list(read_events(tmp_path / "player.jsonl"))).invalid_reason == "client_error"


@pytest.mark.parametrize(
    ("url", "arguments", "complaint"),
    [
        ("http://127.0.0.1:1/x", ("--node", "p", "--node-key", "k"), "overlay://"),
        ("overlay://127.0.0.1:1/x", (), "--node-key"),
    ],
)
def test_a_missing_or_wrong_argument_of_the_overlay_is_named(
    url: str,
    arguments: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", client_command("overlay", url, tmp_path, *arguments)[2:])
    assert main() == 2
    assert complaint in capsys.readouterr().err
