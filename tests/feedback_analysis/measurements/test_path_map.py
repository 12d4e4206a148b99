"""The merged path map: which nodes and links it has, and that the bounds of its links follow from the paths."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.measurements.path_map import FoundRoute, MeasuredPath, NodeRole, path_map
from feedback_analysis.measurements.traced_route import TracedRoute, route_of_hops, stretches_of_routes

GLOBALPING = Path(__file__).parents[4] / "shared" / "data" / "globalping"


def route(*routers, reached=True):
    return TracedRoute(routers=routers, reached=reached)


def path(agent, address, *routes, lost=0, sent=0, **more):
    found = tuple(FoundRoute(route=each, traces=1, last_ms=at) for at, each in enumerate(routes))
    named = {"agent": agent, "destination": address, "address": address, "routes": found}
    return MeasuredPath(**named, packets_lost=lost, packets_sent=sent, **more)


def links(found):
    return {(link.begin, link.end): link for link in found.links}


def test_routers_that_two_agents_share_are_one_node():
    found = path_map([path("a1", "d", route("r1", "core")), path("a2", "d", route("r2", "core"))], most_nodes=50)
    assert {node.id for node in found.nodes} == {"agent a1", "agent a2", "r1", "r2", "core", "destination d"}
    assert set(links(found)) == {
        *(("agent a1", "r1"), ("agent a2", "r2"), ("r1", "core"), ("r2", "core"), ("core", "destination d"))
    }
    assert set(links(found)["core", "destination d"].paths) == {"a1|d", "a2|d"}


def test_the_cleanest_path_bounds_the_loss_of_a_link_and_the_widest_its_capacity():
    lossy = path("a1", "d", route("r1", "core"), lost=30, sent=100, capacity_kbps=900.0)
    clean = path("a2", "d", route("r2", "core"), lost=1, sent=100, capacity_kbps=5000.0)
    found = links(path_map([lossy, clean], most_nodes=50))
    assert (found["r1", "core"].loss, found["r1", "core"].capacity_kbps) == (0.3, 900.0)
    assert (found["core", "destination d"].loss, found["core", "destination d"].capacity_kbps) == (0.01, 5000.0)
    assert found["core", "destination d"].packets == 100


def test_the_link_into_the_bottleneck_is_marked_and_has_its_bound():
    choked = path("a1", "d", route("r1", "r2", "r3"), bottlenecks={"r2": 4}, bottleneck_kbps=2000.0, capacity_kbps=2400.0)
    found = links(path_map([choked], most_nodes=50))
    assert [key for key, link in found.items() if link.is_bottleneck] == [("r1", "r2")]
    assert (found["r1", "r2"].bottlenecks, found["r1", "r2"].capacity_kbps) == (4, 2000.0)


def test_the_delay_of_a_link_is_the_difference_of_the_round_trips_to_its_ends_and_never_negative():
    measured = path("a1", "d", route("r1", "r2", None), hop_delays_ms={"r1": 5.0, "r2": 4.0}, delay_ms=30.0)
    found = links(path_map([measured], most_nodes=50))
    assert [link.delay_ms for link in found.values()] == [5.0, 0.0, None, None]
    direct = links(path_map([path("a1", "d", route("r1"), hop_delays_ms={"r1": 5.0}, delay_ms=30.0)], most_nodes=50))
    assert direct["r1", "destination d"].delay_ms == 25.0


def test_silent_routers_between_the_same_neighbours_are_one_node_and_a_trace_that_ends_early_has_an_unknown_rest():
    some = [path("a1", "d", route("r1", None, "r3")), path("a2", "e", route("r0", "r1", None, "r3"))]
    found = path_map([*some, path("a3", "d", route("r1", reached=False))], most_nodes=50)
    roles = [node.role for node in found.nodes]
    assert (roles.count(NodeRole.SILENT), roles.count(NodeRole.UNKNOWN)) == (1, 1)
    assert ("r1", "unknown r1 d") in links(found)


def test_a_path_without_a_trace_is_counted_and_the_worst_paths_are_drawn_first():
    bad = path("a1", "d", route("r1", "r2"), lost=9, sent=10)
    good = path("a2", "e", route("r8", "r9"), lost=0, sent=10)
    found = path_map([good, bad, path("a3", "d")], most_nodes=5)
    assert (found.shown, found.untraced, found.left_out) == (("a1|d",), 1, 1)


ROUTERS = st.lists(st.sampled_from(["r1", "r2", "r3", "r4", None]), max_size=6).map(tuple)
PATHS = st.lists(
    st.builds(
        lambda agent, address, routers, reached, lost: path(agent, address, route(*routers, reached=reached), lost=lost, sent=20),
        st.sampled_from(["a1", "a2", "a3"]),
        st.sampled_from(["d1", "d2"]),
        ROUTERS,
        st.booleans(),
        st.integers(0, 20),
    ),
    max_size=12,
    unique_by=lambda each: each.id,
)


@given(PATHS)
def test_no_path_is_cleaner_than_a_link_on_it_and_every_link_joins_nodes_of_the_map(paths):
    found = path_map(paths, most_nodes=1000)
    keys, by_key = {node.id for node in found.nodes}, {each.id: each for each in paths}
    assert len(found.shown) == len(paths)
    for link in found.links:
        assert {link.begin, link.end} <= keys
        assert link.loss == min(by_key[key].loss for key in link.paths)


@given(st.lists(st.tuples(st.integers(-1, 300), st.sampled_from(["r1", "r2", None])), max_size=12), st.booleans())
def test_any_hops_give_a_route_or_none(hops, reached):
    found = route_of_hops(hops, "d", reached=reached)
    usable = [ttl for ttl, _ in hops if 1 <= ttl <= 255]
    assert (found is None) == (not usable)
    if found is not None:
        assert len(found.routers) <= max(usable)


def test_two_routers_at_one_distance_are_not_taken_for_a_link():
    found = route_of_hops([(1, "r1"), (2, "left"), (2, "right"), (3, "d")], "d", reached=False)
    assert found == route("r1", None)


def test_a_change_of_route_begins_a_stretch_and_a_trace_that_found_less_does_not():
    first, less, other = route("r1", "r2"), route("r1", None, reached=False), route("r9", "r2")
    found = stretches_of_routes([(1, first), (2, less), (3, first), (4, other), (5, other)])
    assert [(each.route, each.from_ms, each.to_ms, each.traces) for each in found] == [(first, 1, 3, 3), (other, 4, 5, 2)]


@pytest.mark.skipif(not GLOBALPING.exists(), reason="the real traces are not on this machine")
@pytest.mark.parametrize("name", ["trace-success-linux", "ipv6-trace-success"])
def test_real_traces_become_one_chain(name):
    """The probe's authors expect these hops; each next hop is one link, silent ones included."""
    result = json.loads((GLOBALPING / f"{name}.json").read_text("utf-8"))["result"]
    hops = [(ttl, hop["resolvedAddress"]) for ttl, hop in enumerate(result["hops"], 1)]
    found = route_of_hops(hops, result["resolvedAddress"], reached=False)
    assert found is not None
    chain = path_map([path("probe", result["resolvedAddress"], found)], most_nodes=100)
    assert list(links(chain)) == list(pairwise(node.id for node in chain.nodes))
    known = [address for _, address in hops if address and address != result["resolvedAddress"]]
    assert [node.label for node in chain.nodes if node.role is NodeRole.ROUTER] == known
