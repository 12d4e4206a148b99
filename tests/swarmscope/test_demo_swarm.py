"""`swarmscope demo --swarm`: a real swarm in a lab, whose killed relay and recovery the terminal shows."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from netlab import read_topology
from overlay.overlay_file import read_overlay_file
from overlay.trees import backups, graph_of, tree
from swarmscope.commands.overlay_running import read_secret
from swarmscope.demo import swarm_topology
from swarmscope.demo.demo_swarm import latest_state, new_secret
from swarmscope.demo.swarm_topology import CORE, EDGE, PLAYERS, STREAM
from tests.netlab.labs import needs, needs_namespaces


def test_the_tree_of_the_demo_reaches_every_player_and_each_has_a_backup():
    overlay = read_overlay_file(json.dumps(swarm_topology.overlay()))
    stream = overlay.streams[STREAM]
    bound = partial(overlay.most_children, stream_kbps=stream.rate_kbps)
    graph = graph_of(overlay, stream.metric)
    grown = tree(graph, stream.source, overlay.players(stream), stream.tree, bound)
    assert overlay.players(stream) == PLAYERS
    assert grown.unreached == ()
    assert {*PLAYERS} <= backups(graph, grown, bound).parents.keys()
    assert (len(PLAYERS), len(CORE) + len(EDGE)) == (20, 12)


def test_the_lab_has_a_link_for_each_pair_of_neighbours():
    described = swarm_topology.lab()
    lab = read_topology(json.dumps(described))
    overlay = read_overlay_file(json.dumps(swarm_topology.overlay()))
    assert {tuple(sorted(link["between"])) for link in described["links"]} == {*overlay.links}
    assert len(lab.links) == len(overlay.links)


def test_the_secret_of_a_demo_is_read_as_it_was_written(tmp_path: Path):
    secret = new_secret()
    (tmp_path / "secret").write_bytes(secret)
    assert read_secret(tmp_path / "secret") == secret
    assert secret.isalnum()


def test_the_bytes_of_a_binary_secret_are_all_kept_and_the_line_feed_of_a_text_is_not(tmp_path: Path):
    file = tmp_path / "secret"
    for binary in (b" " + bytes(range(200, 230)) + b"\n", b"\t" + b"\x00" * 31):
        file.write_bytes(binary)
        assert read_secret(file) == binary
    file.write_bytes(b"x" * 40 + b"\r\n")
    assert read_secret(file) == b"x" * 40


def test_a_line_that_playback_stalls_does_not_hide_the_state_of_a_player():
    state, stalled = {"stream": "news", "played_ms": 900}, {"stream": "news", "playing": False, "at_ms": 1.0}
    lines = ["player-01 has joined", json.dumps({**state, "played_ms": 1}), json.dumps(state), json.dumps(stalled)]
    assert latest_state(lines) == state
    assert latest_state(lines[:1]) is None


@pytest.mark.soak
@needs_namespaces
@needs("tbf")
@needs("drop_filter")
def test_the_demo_kills_a_relay_and_shows_that_its_viewers_recover(tmp_path: Path):
    command = [sys.executable, "-m", "swarmscope", "demo", "--swarm", "--period", "2", "--fail-after", "20", "--duration", "90"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=400, env=os.environ | {"TMPDIR": str(tmp_path)}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "swarm: all 20 players play; startup" in done.stdout
    (killed,) = [line for line in done.stdout.splitlines() if " is killed; it fed " in line]
    fed = killed.partition(" it fed ")[2].split(", ")
    recovered = [line.split()[1] for line in done.stdout.splitlines() if " is fed by " in line]
    assert recovered == fed
    assert f"{killed.split()[1]} is started again" in done.stdout
    assert list(tmp_path.iterdir()) == []
