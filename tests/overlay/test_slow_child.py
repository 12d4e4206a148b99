"""One child behind a link that is slower than the stream: the other children of the relay lose nothing by it.

A node sends to all neighbours from one UDP socket. What waits in the queue of the slow link is memory of this socket.
"""

import json
from pathlib import Path

import pytest

from netlab import Lab, read_topology
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces
from tests.overlay.swarm import Swarm

RATE_KBPS, SLOW_KBPS = 1000.0, 300.0
PLAYERS = ("slow", "a", "b")
PACKETS = 2000


@pytest.mark.soak
@needs_namespaces
@needs("tbf")
@pytest.mark.parametrize("queue_ms", [100, 2000])
def test_a_child_behind_a_slow_link_does_not_disturb_its_siblings(queue_ms: int, tmp_path: Path):
    links = [{"between": ["s", "r"]}, *({"between": ["r", name]} for name in PLAYERS)]
    links[1] |= {"rate_kbps": SLOW_KBPS, "queue_ms": queue_ms}
    nodes = {name: {"forwards": True} for name in ("s", "r", *PLAYERS)}
    overlay = {"s": {"neighbors": ["r"], "role": "source"}, "r": {"neighbors": [*PLAYERS]}}
    overlay |= {name: {"neighbors": [], "role": "player"} for name in PLAYERS}
    streams = {"news": {"source": "s", "rate_kbps": RATE_KBPS}}
    with Lab(read_topology(json.dumps({"nodes": nodes, "links": links}))) as lab:
        swarm = Swarm(lab, {**overlay, "streams": streams}, tmp_path, bootstrapper_at="s")
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        swarm.start("node", "r")
        for name in PLAYERS:
            swarm.start("play", name, "--stream", "news")
        swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(RATE_KBPS))
        eventually(lambda: all(received(swarm, name) > PACKETS for name in ("a", "b")), within_s=300)
        eventually(lambda: all(lost(swarm, name) == 0 for name in ("a", "b")))
        shares = {name: lost(swarm, name) / (lost(swarm, name) + received(swarm, name)) for name in PLAYERS}
        relay = swarm.parts["r"].stop()
    print(f"queue of {queue_ms} ms: lost {shares}; dropped by the relay {relay['dropped']}")
    assert shares["slow"] > 0.3, "the slow link was not slow"
    assert not {"a", "b"} & relay["dropped"].keys()


def received(swarm: Swarm, name: str) -> int:
    lines = swarm.parts[name].printed("received")
    return int(lines[-1]["received"]) if lines else 0


def lost(swarm: Swarm, name: str) -> int:
    return int(swarm.parts[name].printed("received")[-1]["lost"])
