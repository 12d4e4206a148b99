"""A node in two trees: it gets each packet from two parents, and the failure of one costs nothing."""

import json
import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.data_header import HEADER_BYTES
from overlay.distribution import Distribution
from overlay.forwarding import OTHER_PARENT_S
from overlay.messages import Body, Graft, InstallTree, Nack, Prune
from overlay.overlay_file import Stream, read_overlay_file
from overlay.planning import planned
from overlay.reception import Arrival
from overlay.trees import graph_of
from tests.overlay.graphs import random_graph
from tests.overlay.test_distribution import Written
from tests.overlay.test_forwarding import packet


def place(parent: str | None, second: str | None, *children: str, epoch: int = 1) -> InstallTree:
    return InstallTree(
        stream="news", stream_number=7, tree_epoch=epoch, parent=parent, second_parent=second, children=list(children)
    )


def node(links: Written, tree: InstallTree) -> tuple[Distribution, Counter[str], list[Arrival]]:
    counts, heard = Counter[str](), list[Arrival]()
    made = Distribution(links, counts, heard.append)
    made.install(tree)
    return made, counts, heard


def test_both_parents_are_asked_and_a_packet_is_forwarded_once():
    links = Written("a", "b")
    made, _, heard = node(links, place("a", "b", "child"))
    assert links.sent == [("a", Graft(stream="news")), ("b", Graft(stream="news"))]
    for sender in ("a", "b"):
        made.arrived(sender, packet(1), time.monotonic())
    assert (len(heard), [to for to, _ in links.packets]) == (1, ["child"])


def test_a_packet_is_not_sent_back_to_the_node_that_it_came_from():
    links = Written("a", "b")
    made, _, _ = node(links, place("a", "b", "a", "b"))  # each is the node's child in the other tree
    made.arrived("a", packet(1), time.monotonic())
    made.arrived("b", packet(2), time.monotonic())
    assert [to for to, _ in links.packets] == ["b", "a"]


def test_when_the_parent_fails_the_second_one_is_the_parent_and_the_first_comes_back_as_second():
    links = Written("a", "b")
    made, counts, heard = node(links, place("a", "b"))
    made.arrived("a", packet(1), time.monotonic())
    links.connected.remove("a")
    made.lost("a")
    news = made.streams["news"]
    assert (news.parent, news.second, counts["failovers"]) == ("b", None, 1)
    made.arrived("b", packet(2), time.monotonic())
    assert len(heard) == 2
    links.connected.add("a")
    made.connected("a")
    assert (news.parent, news.second) == ("b", "a")
    assert links.sent[-1] == ("a", Graft(stream="news"))


def test_when_the_second_parent_fails_it_is_asked_again_after_its_return():
    links = Written("a", "b")
    made, counts, _ = node(links, place("a", "b"))
    made.lost("b")
    assert (made.streams["news"].parent, made.streams["news"].second, counts["failovers"]) == ("a", None, 0)
    made.connected("b")
    assert made.streams["news"].second == "b"


def test_a_new_plan_that_swaps_the_parents_leaves_neither():
    links = Written("a", "b")
    made, _, _ = node(links, place("a", "b"))
    made.install(place("b", "a", epoch=2))
    made.arrived("b", packet(1), time.monotonic())
    assert (made.streams["news"].parent, made.streams["news"].second) == ("b", "a")
    assert not any(isinstance(body, Prune) for _, body in links.sent)


def test_a_plan_with_one_tree_leaves_the_second_parent():
    links = Written("a", "b")
    made, _, _ = node(links, place("a", "b"))
    made.install(place("a", None, epoch=2))
    assert links.sent[-1] == ("b", Prune(stream="news"))
    made.install(place(None, None, epoch=3))
    assert links.sent[-1] == ("a", Prune(stream="news"))


def test_a_packet_lost_by_one_parent_is_requested_only_if_the_other_does_not_send_it():
    links = Written("a", "b")
    made, _, _ = node(links, place("a", "b"))
    news, now_s = made.streams["news"], time.monotonic()
    for number in (1, 2, 4):
        news.arrived(packet(number), now_s, "a")
    assert news.links_in["a"].due(now_s, 0.01) == []
    news.arrived(packet(3), now_s, "b")
    assert news.has_all()
    news.links_in["a"].arrived_elsewhere()
    assert (news.links_in["a"].missing, news.counts["packets_from_other_parent"]) == (0, 1)
    news.arrived(packet(6), now_s, "a")
    assert not news.has_all()
    assert news.links_in["a"].due(now_s + OTHER_PARENT_S, 0.01) == [5]


class Net:
    """Nodes in one process. What one sends, the other gets at once; a failed node gets nothing."""

    def __init__(self) -> None:
        self.nodes: dict[str, Distribution] = {}
        self.heard: dict[str, list[int]] = {}
        self.copies: Counter[tuple[str, str]] = Counter()
        self.failed: set[str] = set()

    def add(self, name: str, tree: InstallTree) -> None:
        heard = self.heard[name] = []
        made = Distribution(_Links(self, name), Counter(), lambda arrival: heard.append(int.from_bytes(arrival.rtp[2:4], "big")))
        self.nodes[name] = made
        made.install(tree)


class _Links:
    def __init__(self, net: Net, name: str) -> None:
        self._net, self._name = net, name

    def send_message(self, neighbor: str, body: Body) -> bool:
        if isinstance(body, Graft | Prune) and neighbor in self._net.nodes:
            self._net.nodes[neighbor].handle_request(self._name, body)
        return True

    def send(self, neighbor: str, data: bytes) -> None:
        self._net.copies[self._name, neighbor] += 1
        if neighbor not in self._net.failed:
            self._net.nodes[neighbor].arrived(self._name, data, time.monotonic())

    def request(self, neighbor: str, body: Nack) -> None:
        raise AssertionError(f"{self._name} asks {neighbor} for {body}, and nothing is lost")

    def round_trip_s(self, _neighbor: str) -> float:
        return 0.01


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_each_player_with_two_paths_gets_every_packet_when_any_one_relay_fails(seed: int):
    graph, source, receivers, chance = random_graph(seed, most_nodes=15)
    nodes = {name: {"neighbors": sorted(graph.adj[name])} for name in graph.nodes}
    overlay = read_overlay_file(json.dumps(nodes))
    plan = planned(overlay, Stream(source=source, redundancy="two_trees"), graph_of(overlay, "hops"), receivers)
    assert plan.two is not None
    net = Net()
    for name, each in plan.places.items():
        net.add(name, place(each.parent, each.second_parent, *each.children))
    net.copies.clear()
    failed = chance.choice([each for each in plan.places if each != source])
    for number in range(10):
        if number == 5:
            net.failed.add(failed)
        net.nodes[source].originate("news", packet(number)[HEADER_BYTES:])
    for player in receivers:
        if player != failed and failed not in plan.two.shared(player):
            assert net.heard[player] == list(range(10))
    assert max(net.copies.values()) <= 10  # each direction of a link carries a packet at most once
