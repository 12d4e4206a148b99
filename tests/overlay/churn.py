"""Players that come and go at random, on the loopback interface: some leave as they should, others are killed."""

import heapq
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.overlay.loopback import Loopback
from tests.overlay.swarm import Part, Swarm

RATE_KBPS = 1000.0
RELAYS = [f"relay-{number}" for number in range(4)]
MEAN_LIFE_S = 20.0


def topology(players: list[str]) -> dict[str, Any]:
    """Each player has two relays and two other players as neighbours, and forwards to two, so its end interrupts others."""
    nodes: dict[str, Any] = {"s": {"neighbors": RELAYS, "role": "source"}}
    for place, name in enumerate(RELAYS):
        nodes[name] = {"neighbors": [RELAYS[(place + 1) % len(RELAYS)]], "max_children": 5}
    for place, name in enumerate(players):
        others = [players[(place + step) % len(players)] for step in (1, 4)]
        relays = [RELAYS[place % 4], RELAYS[(place + 1) % 4]]
        nodes[name] = {"neighbors": [*relays, *others], "role": "player", "max_children": 2}
    return {**nodes, "streams": {"news": {"source": "s", "rate_kbps": RATE_KBPS}}}


@dataclass(slots=True)
class Lives:
    """What the players of a swarm have received, each in the time in which it lived."""

    left: int = 0
    killed: int = 0
    received: int = 0
    lost: int = 0
    stalls: int = 0
    failovers: int = 0
    without_media: int = 0
    """Players that ended before anything had arrived."""
    worst: list[float] = field(default_factory=list)
    """Of each life of some length, the share of lost packets."""

    def add(self, part: Part) -> None:
        lines = part.printed("received")
        if not lines or not lines[-1]["received"]:
            self.without_media += 1
            return
        last = lines[-1]
        self.received += last["received"]
        self.lost += last["lost"]
        self.stalls += last["stalls"]
        self.failovers += last["failover_gap_ms"] is not None
        self.worst.append(last["lost"] / (last["lost"] + last["received"]))

    @property
    def loss(self) -> float:
        return self.lost / max(self.lost + self.received, 1)


@contextmanager
def swarm_on_loopback(nodes: dict[str, Any], relays: list[str], folder: Path) -> Iterator[Swarm]:
    """A bootstrapper and relays that have joined."""
    network = Loopback()
    try:
        swarm = Swarm(network, nodes, folder, bootstrapper_at="s", port=free_port())
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        for name in relays:
            swarm.start("node", name)
        for name in relays:
            eventually(lambda name=name: swarm.parts[name].lines)
        yield swarm
    finally:
        network.end()


def lives(folder: Path, *, players: int, seconds: float, mean_life_s: float = MEAN_LIFE_S, seed: int = 1) -> Lives:
    """Let players live for exponentially distributed times; each that ends is started again at once."""
    names, chance, found = [f"player-{number:02}" for number in range(players)], random.Random(seed), Lives()
    with swarm_on_loopback(topology(names), RELAYS, folder) as swarm:
        swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(RATE_KBPS))
        ends: list[tuple[float, str]] = []
        begin_s = time.monotonic()
        for name in names:
            swarm.start("play", name, "--stream", "news")
            heapq.heappush(ends, (time.monotonic() + chance.expovariate(1 / mean_life_s), name))
        while ends[0][0] < begin_s + seconds:
            at_s, name = heapq.heappop(ends)
            time.sleep(max(at_s - time.monotonic(), 0))
            _end(swarm.parts[name], found, killed=chance.random() < 0.5)
            swarm.start("play", name, "--stream", "news")
            heapq.heappush(ends, (time.monotonic() + chance.expovariate(1 / mean_life_s), name))
        for name in names:
            _end(swarm.parts[name], found, killed=False)
    return found


def _end(part: Part, found: Lives, *, killed: bool) -> None:
    found.killed += killed
    found.left += not killed
    part.process.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
    part.process.wait(30)
    part.read_to_the_end()
    found.add(part)
