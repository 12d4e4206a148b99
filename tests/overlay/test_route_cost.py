"""A route changes for a clear and lasting gain, or at once when it fails."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.route_cost import BETTER_FOR_S, RouteInUse, chosen, composite_ms, smoothed


def test_loss_costs_more_than_a_long_way():
    short_and_bad = composite_ms(one_way_ms=5, loss=0.2, utilisation=0)
    assert short_and_bad > composite_ms(one_way_ms=300, loss=0, utilisation=0)


@given(st.floats(0, 500), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_link_that_is_worse_in_any_way_costs_no_less(delay_ms: float, loss: float, used: float, more: float):
    cost = composite_ms(one_way_ms=delay_ms, loss=loss, utilisation=used)
    assert composite_ms(one_way_ms=delay_ms + more, loss=loss, utilisation=used) >= cost
    assert composite_ms(one_way_ms=delay_ms, loss=min(loss + more, 1), utilisation=used) >= cost
    assert composite_ms(one_way_ms=delay_ms, loss=loss, utilisation=min(used + more, 1)) >= cost


def test_a_moving_average_begins_with_its_first_sample_and_follows():
    average = smoothed(None, 100.0)
    assert average == 100
    for _ in range(50):
        average = smoothed(average, 20.0)
    assert 20 < average < 21


def test_a_better_route_is_taken_after_five_seconds_and_not_before():
    route = RouteInUse(current="long")
    for second in range(5):
        route = chosen(route, {"long": 100, "short": 70}, float(second))
        assert route.current == "long"
    assert chosen(route, {"long": 100, "short": 70}, 5.0).current == "short"


def test_a_gain_of_less_than_a_fifth_changes_nothing():
    route = RouteInUse(current="long")
    for second in range(60):
        route = chosen(route, {"long": 100, "short": 81}, float(second))
    assert route == RouteInUse(current="long")


def test_a_better_route_that_was_worse_in_between_waits_five_seconds_again():
    route = chosen(RouteInUse(current="long"), {"long": 100, "short": 70}, 0.0)
    route = chosen(route, {"long": 100, "short": 95}, 4.0)
    route = chosen(route, {"long": 100, "short": 70}, 4.5)
    assert chosen(route, {"long": 100, "short": 70}, 6.0).current == "long"
    assert chosen(route, {"long": 100, "short": 70}, 9.5).current == "short"


def test_a_failed_route_is_left_at_once():
    assert chosen(RouteInUse(current="long"), {"short": 1000}, 0.0).current == "short"
    assert chosen(RouteInUse(current="long"), {}, 0.0).current == "long"


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(50, 150), st.floats(50, 150)), min_size=40, max_size=40))
def test_varying_costs_never_change_a_route_twice_within_five_seconds(costs: list[tuple[float, float]]):
    route, changes = RouteInUse(current="a"), []
    for tick, (a, b) in enumerate(costs):
        following = chosen(route, {"a": a, "b": b}, tick / 2)
        if following.current != route.current:
            changes.append(tick / 2)
        route = following
    assert all(later - earlier >= BETTER_FOR_S for earlier, later in pairwise(changes))
