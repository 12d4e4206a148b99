"""A relay that is asked to end feeds its children until they have another parent, so its viewers notice nothing."""

import asyncio
import time

import pytest

from overlay.messages import Graft, Prune
from overlay.node_settings import StreamChoice
from tests.overlay.one_process import Swarm, swarm_of, until
from tests.overlay.test_distribution import Written
from tests.overlay.test_forwarding import packet
from tests.overlay.test_two_parents import node, place

TOPOLOGY = {
    "s": {"neighbors": ["a", "b"], "role": "source"},
    "a": {"neighbors": ["p"]},
    "b": {"neighbors": ["p"]},
    "p": {"neighbors": [], "role": "player"},
    "streams": {"news": {"source": "s"}},
}


async def playing(swarm: Swarm, *relays: str) -> None:
    """The player receives, and its backup is connected."""
    swarm.start("s", originates={"news": ()})
    for name in relays:
        swarm.start(name)
    swarm.start("p", StreamChoice(stream="news"))
    await until(lambda: received(swarm) > 20)
    await until(lambda: all(each.connection is not None for each in swarm.nodes["p"].neighbors.values()))
    await until(lambda: len(relays) == 1 or swarm.nodes["p"].streams["news"].tree.backup is not None)


def test_a_bootstrapper_that_fails_again_before_all_have_joined_it_leaves_each_node_its_backup():
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            await playing(swarm, "a", "b")
            player, news = swarm.nodes["p"], swarm.nodes["p"].streams["news"]
            parent, backup, epoch = str(news.parent), str(news.tree.backup), news.tree.tree_epoch
            without = {name: entry for name, entry in TOPOLOGY.items() if name != backup}
            await swarm.restart_bootstrapper({**without, "s": {"neighbors": [parent], "role": "source"}})
            await until(lambda: news.tree.tree_epoch > epoch and news.parent == parent)
            await until(lambda: not player.neighbors[backup].listed)
            await swarm.end_bootstrapper()
            await until(lambda: player.membership.connection is None)
            player.neighbors[backup].unlisted_s -= 1000
            await player.next_beat()
            await player.next_beat()
            assert news.tree.backup == backup
            await swarm.stop(parent)
            before = received(swarm)
            await until(lambda: received(swarm) > before + 20)
            assert news.parent == backup
            await until(news.has_all)

    asyncio.run(scenario())


def received(swarm: Swarm) -> int:
    news = swarm.nodes["p"].streams.get("news")
    return news.counts["data_received"] if news is not None else 0


@pytest.mark.parametrize("bootstrapper_lives", [True, False])
def test_the_children_of_a_relay_that_ends_have_another_parent_before_it_is_gone(bootstrapper_lives: bool):
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            await playing(swarm, "a", "b")
            if not bootstrapper_lives:
                await swarm.stop("")
            player, left = swarm.nodes["p"], swarm.nodes["p"].streams["news"].parent
            assert left is not None
            await swarm.nodes[left].drain(within_s=30)
            assert (swarm.nodes[left].counts["children_left"], swarm.nodes[left].counts["children_abandoned"]) == (1, 0)
            await swarm.stop(left)
            await until(lambda: player.neighbors[left].connection is None)
            before = received(swarm)
            await until(lambda: received(swarm) > before + 20)
            news = player.streams["news"]
            assert news.parent == ({"a", "b"} - {left}).pop()
            await until(news.has_all)
            assert (player.counts["failovers"], news.failover_gaps_ms) == (0, [])
            assert not bootstrapper_lives or left not in swarm.bootstrapper.members

    asyncio.run(scenario())


def test_a_relay_waits_for_its_children_only_for_its_time_and_counts_the_others():
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            await playing(swarm, "a")
            await swarm.nodes["a"].drain(within_s=0)
            assert swarm.nodes["a"].counts["children_abandoned"] == 1

    asyncio.run(scenario())


def test_a_second_parent_that_leaves_is_not_needed_any_more():
    links = Written("a", "b")
    made, _, _ = node(links, place("a", "b"))
    made.leaves("b")
    assert (made.streams["news"].parent, made.streams["news"].second) == ("a", None)
    assert links.sent[-1] == ("b", Prune(stream="news"))


def test_a_parent_that_leaves_gets_a_prune_only_when_the_second_one_delivers():
    links = Written("a", "b")
    made, counts, _ = node(links, place("a", "b"))
    made.arrived("a", packet(1), time.monotonic())
    made.leaves("a")
    assert links.sent[-1] == ("b", Graft(stream="news", from_sequence=2))
    made.arrived("b", packet(2), time.monotonic())
    assert links.sent[-1] == ("a", Prune(stream="news"))
    assert counts["failovers"] == 0
