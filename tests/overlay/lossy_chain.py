"""A chain of three links that lose packets: source, two relays, player. More players can be at the second relay."""

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
    folder: Path,
    *,
    rate_kbps: float,
    loss: float = LOSS,
    redundancy: str = "retransmission",
    more_players: tuple[str, ...] = (),
    **shape: float,
) -> Iterator[tuple[Lab, Swarm]]:
    """The lab loses packets as soon as every node has joined. `more_players` do not run yet. `shape` is that of each link."""
    pairs = [*pairwise(NAMES), *(("n2", player) for player in more_players)]
    links = [{"between": pair, **shape} for pair in pairs]
    nodes = {name: {"forwards": True} for name in (*NAMES, *more_players)}
    topology = read_topology(json.dumps({"nodes": nodes, "links": links}))
    overlay = {name: {"neighbors": [other for one, other in pairs if one == name]} for name in NAMES}
    players = {name: {"neighbors": [], "role": "player"} for name in ("p", *more_players)}
    streams = {"news": {"source": "s", "rate_kbps": rate_kbps, "redundancy": redundancy}}
    with Lab(topology) as lab:
        swarm = Swarm(lab, {**overlay, **players, "streams": streams}, folder, bootstrapper_at="s")
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
    eventually(lambda: swarm.parts["p"].printed("received") and last_line(swarm)["received"] >= packets, within_s=300, every_s=0.2)
