"""Two trees: the paths of a player share no node, except for nodes that all its paths have to pass."""

import networkx
import pytest

from overlay.disjoint_trees import TwoTrees, can_have_two_paths, two_trees
from overlay.overlay_file import read_overlay_file
from overlay.planning import planned
from overlay.trees import graph_of, tree
from tests.overlay.graphs import barely_bounded, random_graph
from tests.overlay.test_trees import assert_is_a_tree

MANY = pytest.mark.parametrize("graphs", [4, pytest.param(1000, marks=pytest.mark.soak)])


def assert_are_trees(two: TwoTrees, graph: networkx.Graph, receivers: list[str]) -> None:
    for grown in (two.first, two.second):
        assert_is_a_tree(grown, graph, receivers)


@MANY
def test_each_player_gets_two_disjoint_paths_if_the_graph_has_them_and_shares_only_what_it_must(graphs: int):
    disjoint, shared = 0, 0
    for seed in range(graphs):
        graph, source, receivers, _ = random_graph(seed)
        two = two_trees(graph, source, receivers, "shortest")
        assert_are_trees(two, graph, receivers)
        for node in receivers:
            assert two.has_two_paths(node) == can_have_two_paths(graph, source, node)
            disjoint += two.has_two_paths(node)
            for each in two.shared(node):
                shared += 1
                assert not networkx.has_path(graph.subgraph(graph.nodes - {each}), source, node)
    print(f"{disjoint} players with two paths; {shared} nodes that cannot be avoided")
    assert disjoint > graphs * 5
    assert shared > graphs / 5


@MANY
def test_nodes_that_forward_nothing_are_leaves_of_both_trees(graphs: int):
    found, missed = 0, 0
    for seed in range(graphs):
        graph, source, receivers, chance = random_graph(seed)
        bounds = dict.fromkeys(graph.nodes) | {each: 0 for each in receivers if chance.random() < 0.8}
        two = two_trees(graph, source, receivers, "shortest", bounds.__getitem__)
        assert_are_trees(two, graph, receivers)
        assert all(bounds[node] is None or not children for node, children in two.children().items())
        for node in receivers:
            possible = can_have_two_paths(graph, source, node, bounds.__getitem__)
            assert possible or not two.has_two_paths(node)
            found += two.has_two_paths(node)
            missed += possible and not two.has_two_paths(node)
    print(f"{found} players with two paths, {missed} that could have them and do not")
    assert missed <= max(found / 100, 3)


@MANY
def test_both_trees_together_respect_the_bounds(graphs: int):
    found, missed = 0, 0
    for seed in range(graphs):
        graph, source, receivers, chance = random_graph(seed)
        bounds = {node: chance.choice([0, 2, 3, 4, None, None]) for node in graph.nodes} | {source: None}
        two = two_trees(graph, source, receivers, "steiner", bounds.__getitem__)
        assert_are_trees(two, graph, receivers)
        for node, children in two.children().items():
            assert bounds[node] is None or len(children) <= bounds[node]
        for node in receivers:
            found += two.has_two_paths(node)
            missed += can_have_two_paths(graph, source, node, bounds.__getitem__) and not two.has_two_paths(node)
    print(f"{found} players with two paths, {missed} that the topology without bounds above 0 would give them")
    assert missed < found / 2


def test_a_topology_with_one_node_behind_the_source_shares_that_node_only():
    text = """{"s": {"neighbors": ["n2"]}, "n2": {"neighbors": ["n6", "n9"]}, "n6": {"neighbors": ["p"]},
        "n9": {"neighbors": ["p"]}, "p": {"neighbors": [], "role": "player"},
        "streams": {"news": {"source": "s", "redundancy": "two_trees"}}}"""
    overlay = read_overlay_file(text)
    plan = planned(overlay, overlay.streams["news"], graph_of(overlay, "hops"), ["p"])
    assert plan.two is not None
    assert plan.two.shared("p") == ["n2"]
    assert {plan.places["p"].parent, plan.places["p"].second_parent} == {"n6", "n9"}
    assert plan.places["n2"].children == ("n6", "n9") or plan.places["n2"].children == ("n9", "n6")
    assert plan.places["s"].children == ("n2",)  # each packet once, although both trees pass


def test_a_player_that_one_tree_does_not_reach_keeps_a_backup():
    text = """{"s": {"neighbors": ["a", "b"]}, "a": {"neighbors": ["p"], "max_children": 1},
        "b": {"neighbors": ["p", "q"], "max_children": 1}, "p": {"neighbors": [], "role": "player"},
        "q": {"neighbors": [], "role": "player"}, "streams": {"news": {"source": "s", "redundancy": "two_trees"}}}"""
    overlay = read_overlay_file(text)
    places = planned(overlay, overlay.streams["news"], graph_of(overlay, "hops"), ["p", "q"]).places
    assert (places["p"].parent, places["q"].parent) == ("a", "b")
    assert (places["p"].second_parent, places["q"].second_parent) == (None, None)


@pytest.mark.parametrize("graphs", [8, pytest.param(300, marks=pytest.mark.soak)])
def test_with_tight_bounds_two_trees_reach_every_player_that_one_tree_reaches(graphs: int):
    for seed in range(graphs):
        graph, source, bounds = barely_bounded(seed, slack=0.3)
        two = two_trees(graph, source, graph.nodes, "shortest", bounds.__getitem__)
        unreached = {*two.first.unreached} & {*two.second.unreached}
        assert len(unreached) <= len(tree(graph, source, graph.nodes, "shortest", bounds.__getitem__).unreached)
        assert all(len(children) <= bounds[node] for node, children in two.children().items())
