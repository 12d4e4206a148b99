"""Places on the path map: nodes of a column keep their distance, links lead to the right, and the same map looks the same."""

from collections import defaultdict
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.measurements.path_map import FoundRoute, MeasuredPath, path_map
from feedback_analysis.measurements.traced_route import TracedRoute
from monitor_platform.views.network_layout import apart, layout_of_map

ROUTERS = st.lists(st.sampled_from(["r1", "r2", "r3", "r4", "r5", None]), max_size=7).map(tuple)


def path(agent, address, *routers):
    route = TracedRoute(routers=routers, reached=True)
    found = (FoundRoute(route=route, traces=1, last_ms=0),)
    return MeasuredPath(agent=agent, destination=address, address=address, routes=found)


PATHS = st.lists(
    st.builds(
        lambda agent, address, routers: path(agent, address, *routers), st.sampled_from("abc"), st.sampled_from("xyz"), ROUTERS
    ),
    max_size=9,
    unique_by=lambda each: each.id,
)


@given(PATHS)
def test_nodes_of_a_column_keep_their_distance_also_in_maps_with_circles(paths):
    layout = layout_of_map(path_map(paths, most_nodes=100))
    rows = defaultdict(list)
    for column, row in layout.places.values():
        rows[column].append(row)
    for some in rows.values():
        assert all(abs(one - other) > 1 - 1e-9 for one, other in combinations(some, 2))
        assert min(some) >= 0
        assert max(some) <= layout.rows


@given(st.permutations(list(range(4))))
def test_the_order_of_paths_does_not_move_a_node(order):
    paths = [path(f"a{at}", f"d{at % 2}", f"r{at}", "core", f"e{at % 2}") for at in order]
    straight = [path(f"a{at}", f"d{at % 2}", f"r{at}", "core", f"e{at % 2}") for at in range(4)]
    assert layout_of_map(path_map(paths, most_nodes=100)) == layout_of_map(path_map(straight, most_nodes=100))


def test_agents_are_at_the_left_destinations_at_the_right_and_long_links_bend_around_nodes():
    layout = layout_of_map(path_map([path("a", "x", "r1", "r2", "r3"), path("b", "x"), path("c", "x", "r3")], most_nodes=100))
    assert [layout.places[key][0] for key in ("agent a", "agent b", "agent c")] == [0, 0, 0]
    assert layout.places["destination x"][0] == layout.columns - 1 == 4
    bends = layout.bends["agent b", "destination x"]
    assert [column for column, _ in bends] == [1, 2, 3]
    nodes = set(layout.places.values())
    assert all(abs(row - other) > 1 - 1e-9 for column, row in bends for at, other in nodes if at == column)


@given(st.lists(st.floats(-50, 50), max_size=20).map(sorted))
def test_places_that_are_far_enough_apart_stay(wanted):
    found = apart(wanted)
    assert all(later - earlier > 1 - 1e-9 for earlier, later in pairwise(found))
    if all(later - earlier >= 1 for earlier, later in pairwise(wanted)):
        assert all(abs(one - other) < 1e-9 for one, other in zip(found, wanted, strict=True))


def test_an_empty_map_has_no_places():
    assert layout_of_map(path_map([], most_nodes=10)).places == {}
