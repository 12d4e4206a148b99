"""Reports of nodes become costs of links, and a tree changes for a clear and lasting gain."""

import json

from overlay.measured_links import MeasuredLinks, TreeWatch
from overlay.messages import LinkState
from overlay.overlay_file import read_overlay_file
from overlay.route_cost import composite_ms
from overlay.trees import Tree, graph_of, tree

OVERLAY = read_overlay_file(
    json.dumps({"s": {"neighbors": ["a", "b"]}, "a": {"neighbors": ["p"]}, "b": {"neighbors": ["p"]}, "p": {"neighbors": []}})
)


def state(neighbor: str, *, round_trip_ms: float = 20.0, loss: float = 0.0) -> LinkState:
    return LinkState(neighbor=neighbor, round_trip_ms=round_trip_ms, loss=loss, rate_kbps=0.0)


def test_the_worse_direction_of_a_link_counts():
    links = MeasuredLinks()
    links.report("a", state("p", round_trip_ms=20, loss=0.0))
    links.report("p", state("a", round_trip_ms=30, loss=0.1))
    assert links.costs("latency") == {("a", "p"): 15}
    assert links.costs("composite") == {("a", "p"): composite_ms(one_way_ms=15, loss=0.1, utilisation=0)}
    assert links.costs("hops") == {}
    links.forget("p")
    assert links.costs("latency") == {}


def changes(links: MeasuredLinks, present: Tree, seconds: int) -> int | None:
    """The second at which the tree is worth a change."""
    watch = TreeWatch()
    graph = graph_of(OVERLAY, "composite", links.costs("composite"))
    for second in range(seconds):
        if watch.is_worth_a_change(graph, present, tree(graph, "s", ["p"], "shortest"), ["p"], float(second)):
            return second
    return None


def test_a_tree_over_a_lossy_link_is_worth_a_change_after_five_seconds():
    links = MeasuredLinks()
    for one, other in OVERLAY.links:
        links.report(one, state(other))
    present = tree(graph_of(OVERLAY, "composite", links.costs("composite")), "s", ["p"], "shortest")
    assert present.path("p") == ["s", "a", "p"]
    assert changes(links, present, 60) is None
    links.report("p", state("a", loss=0.05))
    assert changes(links, present, 60) == 5


def test_a_gain_of_less_than_five_milliseconds_is_noise():
    links = MeasuredLinks()
    for one, other in OVERLAY.links:
        links.report(one, state(other, round_trip_ms=0.2))
    present = tree(graph_of(OVERLAY, "composite", links.costs("composite")), "s", ["p"], "shortest")
    links.report("p", state("a", round_trip_ms=8.0))
    assert changes(links, present, 60) is None
