"""A changed path is found, and load balancing, silent routers and lost traces are no change."""

import random

from feedback_analysis.measurements.path_changes import CONFIRMING, FEWEST_BEFORE, path_changes
from feedback_analysis.measurements.traced_route import TracedRoute


def route(*routers, reached=True):
    return TracedRoute(routers=routers, reached=reached)


def timed(routes):
    return [(number * 1000, each) for number, each in enumerate(routes)]


OLD, NEW = route("a", "b", "d"), route("a", "c", "d")


def test_a_new_router_in_several_traces_is_a_change():
    [change] = path_changes(timed([OLD] * 8 + [NEW] * 4))
    assert (change.began_ms, change.confirmed_ms) == (8_000, 11_000)
    assert (change.before, change.after) == (OLD, NEW)


def test_fewer_traces_confirm_no_change():
    assert path_changes(timed([OLD] * 8 + [NEW] * (CONFIRMING - 1) + [OLD] * 5)) == []
    assert path_changes(timed([OLD] * (FEWEST_BEFORE - 1) + [NEW] * 2)) == []


def test_the_way_back_is_a_change_too():
    changes = path_changes(timed([OLD] * 8 + [NEW] * 8 + [OLD] * 8))
    assert [each.began_ms for each in changes] == [8_000, 16_000]


def test_a_path_that_becomes_shorter_has_changed():
    [change] = path_changes(timed([OLD] * 8 + [route("a", "d")] * 4))
    assert change.after == route("a", "d")


def test_silent_routers_and_traces_that_end_early_are_no_change():
    silent, short = route("a", None, "d"), route("a", "b", reached=False)
    assert path_changes(timed([OLD] * 8 + [silent] * 5 + [short] * 5 + [OLD] * 3)) == []


def test_balanced_branches_are_no_change():
    chance = random.Random(7)
    for branches in (2, 3, 4, 8):
        found = 0
        for _ in range(200):
            routes = [route("a", f"b{chance.randrange(branches)}", f"c{chance.randrange(branches)}", "d") for _ in range(50)]
            found += len(path_changes(timed(routes)))
        assert found <= 4, f"{branches} branches: {found} of 10,000 traces raise a false change"


def test_a_change_behind_balanced_branches_is_found():
    chance = random.Random(7)
    before = [route(f"b{chance.randrange(4)}", "x", "d") for _ in range(20)]
    after = [route(f"b{chance.randrange(4)}", "y", "d") for _ in range(5)]
    assert len(path_changes(timed(before + after))) == 1
