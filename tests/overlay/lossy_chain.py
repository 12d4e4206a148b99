"""A chain of three links that lose packets: source, two relays, player."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from netlab import Lab, read_topology
from tests.harness.waiting import eventually
from tests.overlay.swarm import Swarm

NAMES = ("s", "n1", "n2", "p")
LOSS = 0.05


@contextmanager
def lossy_chain(
    folder: Path, *, rate_kbps: float, loss: float = LOSS, redundancy: str = "retransmission", **shape: float
) -> Iterator[tuple[Lab, Swarm]]:
    """The lab loses packets from the moment at which every node has joined. `shape` is that of each link."""
    links = [{"between": pair, **shape} for pair in pairwise(NAMES)]
    topology = read_topology(json.dumps({"nodes": {name: {"forwards": True} for name in NAMES}, "links": links}))
    overlay = {name: {"neighbors": [other]} for name, other in pairwise(NAMES)}
    streams = {"news": {"source": "s", "rate_kbps": rate_kbps, "redundancy": redundancy}}
    with Lab(topology) as lab:
        swarm = Swarm(lab, {**overlay, "p": {"neighbors": [], "role": "player"}, "streams": streams}, folder, bootstrapper_at="s")
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        for name in ("n1", "n2"):
            swarm.start("node", name)
        swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(rate_kbps))
        for name in ("n1", "n2", "s"):
            eventually(lambda name=name: swarm.parts[name].lines)
        for link in topology.links:
            lab.reshape(link.name, loss=loss)
        swarm.start("play", "p", "--stream", "news")
        yield lab, swarm


def last_line(swarm: Swarm) -> dict[str, float]:
    """What the player has printed last."""
    return swarm.parts["p"].printed("received")[-1]


def received_at_least(swarm: Swarm, packets: int) -> None:
    eventually(lambda: swarm.parts["p"].printed("received") and last_line(swarm)["received"] >= packets, every_s=0.2)
