"""Nodes find their neighbours: enough of them, the near ones, and never more than a node may have."""

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import Iterable

import networkx
import pytest

from overlay.discovery import CANDIDATES, KEPT, MOST_NEIGHBORS, Discovery
from overlay.node_settings import StreamChoice
from overlay.overlay_file import Overlay, OverlayFileError, read_overlay_file
from tests.overlay.one_process import swarm_of, until

TOPOLOGY = {
    "s": {"neighbors": [], "role": "source"},
    "*": {"neighbors": "discover"},
    "streams": {"news": {"source": "s"}},
}


class Simulated:
    """Discovery with nodes at places in a square; the cost of a link is its length in milliseconds."""

    def __init__(self, topology: dict[str, object], seed: int) -> None:
        self.chance = random.Random(seed)
        self.discovery = Discovery(read_overlay_file(json.dumps(topology)), self.chance)
        self.places: dict[str, tuple[float, float]] = {}
        self.now_s = 0.0

    def join(self, *names: str) -> None:
        for name in names:
            self.places[name] = (self.chance.uniform(0, 100), self.chance.uniform(0, 100))
            self.discovery.joined(name, self.places, self.now_s)

    def leave(self, name: str) -> None:
        del self.places[name]
        self.discovery.left(name)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.discovery.improve_links(self.places, self.costs(), self.now_s)

    def costs(self) -> dict[tuple[str, str], float]:
        return {link: math.dist(*(self.places[end] for end in link)) for link in self.discovery.overlay.links}

    def degrees(self) -> Counter[str]:
        return Counter(end for link in self.discovery.overlay.links for end in link)

    def reached(self) -> set[str]:
        graph = networkx.Graph([("s", "s"), *self.discovery.overlay.links])
        return networkx.node_connected_component(graph, "s")


def names(count: int, kind: str = "n") -> list[str]:
    return [f"{kind}{number:02}" for number in range(count)]


@pytest.mark.parametrize("seeds", [2, pytest.param(100, marks=pytest.mark.soak)])
def test_all_nodes_stay_reached_within_their_limits_and_find_near_neighbours(seeds: int):
    first_ms, later_ms = [], []
    for seed in range(seeds):
        simulated = Simulated(TOPOLOGY, seed)
        simulated.join("s", *names(25))
        assert simulated.reached() == {*simulated.places}
        assert max(simulated.degrees().values()) <= MOST_NEIGHBORS
        first_ms += simulated.costs().values()
        simulated.run(30)
        for name in simulated.chance.sample(names(25), 8):
            simulated.leave(name)
        simulated.run(10)
        simulated.join(*names(5, "m"))
        simulated.run(600)
        assert simulated.reached() == {*simulated.places}
        assert max(simulated.degrees().values()) <= MOST_NEIGHBORS
        later_ms += simulated.costs().values()
        sought = Counter(found.seeker for found in simulated.discovery._found.values())
        assert {*sought} | {"s"} == {*simulated.places}
        assert all(KEPT <= count <= KEPT + 2 for count in sought.values())  # one more while it is tried, or while it is needed
    first, later = (sum(each) / len(each) for each in (first_ms, later_ms))
    print(f"a link costs {first:.0f} ms when nodes join, and {later:.0f} ms ten minutes later")
    assert later < 0.7 * first


def test_players_that_forward_nothing_share_the_places_of_few_relays():
    topology = {**TOPOLOGY, "*": {"neighbors": "discover", "role": "player"}, "r": {"neighbors": ["s"], "max_neighbors": 8}}
    simulated = Simulated({**topology, "s": {"neighbors": [], "role": "source", "max_neighbors": 8}}, 1)
    simulated.join("s", "r", *names(14, "p"))  # as many as there are places
    simulated.run(60)
    assert simulated.degrees()["s"] <= 8
    assert simulated.degrees()["r"] <= 8
    assert simulated.reached() == {*simulated.places}


def test_players_do_not_become_neighbours_of_each_other():
    topology = {**TOPOLOGY, "*": {"neighbors": "discover", "role": "player"}}
    simulated = Simulated(topology, 1)
    simulated.join(*names(3, "p"))
    assert not simulated.discovery.overlay.links
    simulated.join("s")
    simulated.run(10)
    assert {*simulated.discovery.overlay.links} == {(name, "s") for name in names(3, "p")}


def described(others: object) -> Overlay:
    return read_overlay_file(json.dumps({**TOPOLOGY, "*": others}))


def test_only_a_description_that_discovers_describes_all_other_nodes():
    assert Discovery(described({"neighbors": "discover"})).admits("anyone")
    listed = described({"neighbors": ["s"]})  # a node that happens to have this name
    assert not Discovery(listed).admits("anyone")
    assert ("*", "s") in listed.links
    with pytest.raises(OverlayFileError, match=r"a list of node names, such as .*, or discover"):
        described({"neighbors": "find"})


def test_nodes_that_the_file_does_not_name_join_find_neighbours_and_get_the_stream():
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            swarm.start("s", originates={"news": ()})
            await until(lambda: "s" in swarm.bootstrapper.members)
            for name in ("a", "b", "c"):
                swarm.start(name)
                await until(lambda name=name: name in swarm.bootstrapper.members)
            swarm.start("p", StreamChoice(stream="news"))
            await until(lambda: ("p", "news") in swarm.received)
            await until(lambda: len(connected(swarm.nodes["p"].neighbors.values())) >= KEPT)
            assert len(connected(swarm.nodes["p"].neighbors.values())) <= CANDIDATES
            await swarm.stop("a")
            await until(lambda: "a" not in swarm.bootstrapper.overlay.nodes)
            assert all("a" not in link for link in swarm.bootstrapper.overlay.links)

    asyncio.run(scenario())


def connected(neighbors: Iterable[object]) -> list[object]:
    return [each for each in neighbors if each.connection is not None]
