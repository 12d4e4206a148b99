"""Two streams over one lossy link at the same time, one with parity, to a player whose buffer is shorter than a round trip."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netlab import Lab, read_topology
from tests.harness.waiting import eventually
from tests.overlay.swarm import Swarm

LOSS, DELAY_MS, BUFFER_MS, RATE_KBPS = 0.05, 75.0, 120.0, 2000.0
"""A packet that is sent again comes a round trip of 150 ms late; one that parity restores, after a group of 48 ms."""
STREAMS = {"plain": "retransmission", "parity": "fec"}


@contextmanager
def paired_streams(folder: Path) -> Iterator[Swarm]:
    """The swarm as soon as both streams play."""
    links = [{"between": [stream, "r"]} for stream in STREAMS] + [{"between": ["r", "p"], "delay_ms": DELAY_MS}]
    topology = read_topology(json.dumps({"nodes": {name: {"forwards": True} for name in (*STREAMS, "r", "p")}, "links": links}))
    overlay: dict[str, Any] = {stream: {"neighbors": ["r"], "role": "source"} for stream in STREAMS}
    overlay |= {"r": {"neighbors": ["p"]}, "p": {"neighbors": [], "role": "player"}}
    overlay["streams"] = {
        stream: {"source": stream, "rate_kbps": RATE_KBPS, "redundancy": redundancy} for stream, redundancy in STREAMS.items()
    }
    with Lab(topology) as lab:
        swarm = Swarm(lab, overlay, folder, bootstrapper_at="r")
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        swarm.start("node", "r")
        for stream in STREAMS:
            swarm.start("source", stream, "--stream", stream, "--rate-kbps", str(RATE_KBPS))
        swarm.start("play", "p", "--stream", "plain", "--stream", "parity", "--buffer-ms", str(BUFFER_MS))
        eventually(lambda: all(latest(swarm, stream).get("played_ms", 0) > 0 for stream in STREAMS))
        link = topology.links[-1]
        lab.reshape(link.name, loss=LOSS)
        yield swarm


def latest(swarm: Swarm, stream: str) -> dict[str, Any]:
    """What the player has printed last about a stream."""
    lines = [line for line in swarm.parts["p"].printed("received") if line["stream"] == stream]
    return lines[-1] if lines else {}


def missed(swarm: Swarm, packets: int) -> dict[str, int]:
    """How many packets of each stream were not there when they were due, while about `packets` of each arrived."""
    before = {stream: latest(swarm, stream) for stream in STREAMS}
    enough = {stream: line["received"] + packets for stream, line in before.items()}
    eventually(lambda: all(latest(swarm, stream)["received"] >= enough[stream] for stream in STREAMS), within_s=300, every_s=0.5)
    after = {stream: latest(swarm, stream) for stream in STREAMS}
    return {stream: sum(after[stream][name] - before[stream][name] for name in ("missed", "skipped")) for stream in STREAMS}
