"""Pathneck: smoothing, step fitting, confidence, and the verdict over several trains."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.choke_points import HopGap, TrainVerdict, candidates, judge_path, judge_train, smooth, usable_hops
from measurement.estimates.step_fitting import fit_steps

LOAD_BYTES = 60 * 500

# The example of Pathneck's documentation, and a second train.
GAPS_US = (250, 2989, 380, 2748, 2742, 2757, 2379, 3125, 3237, 3118, 3252, 2995, 3249, 3123, 8994, 9489, 5102, 14098, 72633)
SMOOTHED_US = [2989] * 3 + [2748] * 4 + [3125] * 7 + [8994] * 3 + [14098, 72633]
SECOND_US = (623, 3125, 1502, 3746, 3242, 3380, 3500, 3114, 3121, 3123, 3119, 2995, 3247, 3002, 3998, 7994, 874, 372, 65958)
SECOND_SMOOTHED_US = [3125] * 3 + [3242] * 2 + [3380] * 2 + [3121] * 3 + [3119] * 4 + [3998] * 2 + [874] * 2 + [65958]


def hops(*gaps_us: float | None) -> list[HopGap]:
    return [HopGap(ttl, f"10.0.0.{ttl}", gap) for ttl, gap in enumerate(gaps_us, 1)]


def trains(*gaps_us: float, count: int = 10) -> list[TrainVerdict]:
    return [judge_train(hops(*gaps_us)) for _ in range(count)]


@pytest.mark.parametrize(("raw", "smoothed"), [(GAPS_US, SMOOTHED_US), (SECOND_US, SECOND_SMOOTHED_US)])
def test_the_gaps_of_the_example_are_smoothed_as_in_the_example(raw, smoothed):
    assert smooth(raw) == smoothed


def test_the_choke_points_of_the_example_have_its_order_and_confidence():
    found = candidates(SMOOTHED_US)
    assert [each.index for each in found] == [18, 14, 17]
    assert [round(each.confidence, 3) for each in found] == [0.806, 0.653, 0.362]


def test_the_first_hop_of_the_example_has_its_bandwidth():
    verdict = judge_path(trains(*GAPS_US), load_bytes=LOAD_BYTES)
    assert verdict.hops[0].bandwidth_kbps == pytest.approx(80_290, abs=5)
    assert verdict.bottleneck == 18


def test_a_step_of_100_us_is_no_step():
    assert fit_steps([1000.0] * 4 + [1100.0] * 4) == []
    assert [step.place for step in fit_steps([1000.0] * 4 + [1101.0] * 4)] == [4]


def test_noise_around_two_levels_gives_one_step():
    steps = fit_steps([2600.0, 2650, 2590, 2620, 12_300, 12_350, 12_280])
    assert [step.place for step in steps] == [4]
    assert steps[0].before == pytest.approx(2615)
    assert steps[0].after == pytest.approx(12_310)


def test_without_a_step_the_first_hop_is_the_only_choke_point():
    verdict = judge_path(trains(2600, 2610, 2590, 2600, 2605), load_bytes=LOAD_BYTES)
    assert verdict.bottleneck == 0
    assert [hop.detection_rate for hop in verdict.hops] == [1, 0, 0, 0, 0]
    assert [hop.bound for hop in verdict.hops] == ["upper", "lower", "lower", "lower", "lower"]


def test_the_bottleneck_is_the_choke_point_with_the_largest_gap():
    verdict = judge_path(trains(2600, 2600, 6000, 6000, 12_300, 12_300), load_bytes=LOAD_BYTES)
    assert verdict.bottleneck == 4
    assert verdict.hops[4].bandwidth_kbps == pytest.approx(19_512, abs=1)
    assert [hop.bound for hop in verdict.hops] == ["upper", "lower", "upper", "lower", "upper", "lower"]


def test_after_a_gap_that_decreases_the_bound_is_unknown():
    verdict = judge_path(trains(2600, 2600, 9000, 9000, 4000, 4000), load_bytes=LOAD_BYTES)
    assert verdict.bottleneck == 2
    assert verdict.hops[4].bound == "unknown"


def test_a_choke_point_that_fewer_than_half_of_the_trains_see_is_not_detected():
    quiet, loaded = trains(2600, 2600, 2600, 2600, count=6), trains(2600, 2600, 9000, 9000, count=4)
    verdict = judge_path(quiet + loaded, load_bytes=LOAD_BYTES)
    assert verdict.bottleneck == 0
    assert verdict.hops[2].detection_rate == 0.4


def test_fewer_than_five_trains_of_one_route_give_no_verdict():
    other = [judge_train([HopGap(hop.ttl, f"{hop.address}0", hop.gap_us) for hop in hops(1, 2, 3, 4)]) for _ in range(4)]
    assert judge_path([*trains(2600, 2600, 2600, 2600, count=4), *other], load_bytes=LOAD_BYTES) is None
    assert judge_path([], load_bytes=LOAD_BYTES) is None


def test_fewer_than_four_hops_with_a_gap_give_no_verdict():
    assert judge_train(hops(2600, None, 2600, 2600)) is None
    assert judge_train(hops(None, None, None, None, None)) is None
    assert judge_train([]) is None


def test_a_hop_without_a_gap_or_of_a_loop_is_left_out():
    path = [*hops(2600, None, 0.5, 2700), HopGap(5, "10.0.0.1", 2600)]
    assert [hop.ttl for hop in usable_hops(path)] == [1, 4]


gaps = st.lists(st.floats(1, 1e7), min_size=1, max_size=12)


@given(gaps)
def test_any_gaps_are_smoothed_to_gaps_of_the_same_train(values):
    smoothed = smooth(values)
    assert len(smoothed) == len(values)
    assert set(smoothed) <= set(values)


@given(gaps, st.floats(0, 1e4))
def test_any_steps_are_larger_than_the_smallest_step(values, smallest):
    steps = fit_steps(values, smallest_step=smallest)
    assert all(abs(step.after - step.before) > smallest for step in steps)
    assert sorted({step.place for step in steps}) == [step.place for step in steps]
    assert all(0 < step.place < len(values) for step in steps)


@given(gaps.map(lambda values: values[:7]))
def test_the_fit_is_the_best_of_all_functions_with_large_steps(values):
    def cost(places: tuple[int, ...]) -> float:
        bounds = [0, *places, len(values)]
        parts = [values[first:end] for first, end in itertools.pairwise(bounds)]
        means = [sum(part) / len(part) for part in parts]
        if any(abs(one - other) <= 100 for one, other in itertools.pairwise(means)):
            return float("inf")
        return sum(abs(value - mean) for part, mean in zip(parts, means, strict=True) for value in part)

    choices = [tuple(place for place in range(1, len(values)) if bits >> place & 1) for bits in range(0, 2 ** len(values), 2)]
    best = min(map(cost, choices))
    assert cost(tuple(step.place for step in fit_steps(values))) <= best * (1 + 1e-9) + 1e-6


one_train = st.lists(st.builds(HopGap, st.integers(1, 30), st.sampled_from("abcdefgh"), st.none() | st.floats(0, 1e7)), max_size=10)


@given(st.lists(one_train, max_size=8))
def test_any_trains_give_a_verdict_or_none(paths):
    judged = [judged_train for path in paths if (judged_train := judge_train(path)) is not None]
    verdict = judge_path(judged, load_bytes=LOAD_BYTES)
    if verdict is not None:
        assert len(verdict.hops) >= 4
        assert verdict.trains >= 5
        assert verdict.bottleneck is None or verdict.hops[verdict.bottleneck].detection_rate >= 0.5
        assert all(hop.bandwidth_kbps > 0 and 0 <= hop.detection_rate <= 1 for hop in verdict.hops)
