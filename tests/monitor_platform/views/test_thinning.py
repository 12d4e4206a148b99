"""A long session sends as many points as can be drawn, and thinning keeps everything that matters."""

import random
from itertools import pairwise

from feedback_analysis.messages.sessions import Stalls, Stretch
from monitor_platform.views import thinning


def test_few_points_are_all_drawn():
    assert thinning.points(range(1_000), [1.0] * 1_000) == list(range(1_000))


def test_many_points_are_thinned_to_the_extremes_the_ends_the_gaps_and_the_breaks():
    chosen = random.Random(28)
    values: list[float | None] = [chosen.random() for _ in range(200_000)]
    values[77_777], values[123_456], values[150_000] = 9.0, -9.0, None
    kept = thinning.points(range(200_000), values, {99_999})
    assert len(kept) <= thinning.MOST_POINTS + 4
    assert kept == sorted(set(kept))
    assert {0, 77_777, 99_999, 123_456, 150_000, 199_999} <= set(kept)


def test_a_ribbon_of_many_states_keeps_its_length_its_stalls_and_its_end():
    ribbon = [Stretch(at * 1_000, at * 1_000 + 1_000, "playing" if at % 2 else "paused") for at in range(50_000)]
    ribbon[33_333] = Stretch(33_333_000, 33_334_000, "stalled")
    ribbon.append(Stretch(50_000_000, 50_000_000, "gone"))
    drawn = thinning.stretches(ribbon)
    assert len(drawn) <= thinning.MOST_STRETCHES + 2
    assert (drawn[0].from_ms, drawn[-2].to_ms, drawn[-1].state) == (0, 50_000_000, "gone")
    [stalled] = [each for each in drawn if each.state == "stalled"]
    assert stalled.from_ms <= 33_333_000 < stalled.to_ms
    assert all(before.to_ms == after.from_ms for before, after in pairwise(drawn))


def test_the_longest_of_many_stalls_are_marked_in_order():
    marks = [Stalls(at, 1, at % 1_000) for at in range(2_000)]
    drawn = thinning.stalls(marks)
    assert len(drawn) == thinning.MOST_STALLS
    assert min(each.for_ms for each in drawn) == 750
    assert drawn == sorted(drawn, key=lambda each: each.at_ms)
