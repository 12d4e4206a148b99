"""Capacity, the turning point, and the three estimates of available bandwidth, on trains of known links."""

import random
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.train_gaps import (
    GapSearch,
    Phase,
    Train,
    badly_sent,
    direct_kbps,
    estimate_bandwidth,
    igi_cross_kbps,
    rate_kbps,
    usual_gap_us,
)

BYTES = 528
CAPACITY = 20_000.0
USUAL = BYTES * 8e3 / CAPACITY  # 211.2 us


def train(source_us: list[float], destination_us: list[float]) -> Train:
    """A train with these gaps, of which all packets arrive."""
    sent = [0, *accumulate(round(gap * 1e3) for gap in source_us)]
    arrived = [0, *accumulate(round(gap * 1e3) for gap in destination_us)]
    return Train(wanted_gap_us=source_us[0], sent_ns=sent, arrivals=list(enumerate(arrived)))


def fluid(gap_us: float, cross_kbps: float, packets: int = 60) -> Train:
    """A train through one link in the fluid model: the link carries the cross traffic between two packets first."""
    grown = max(gap_us, USUAL + cross_kbps * gap_us / CAPACITY)
    return train([gap_us] * (packets - 1), [grown] * (packets - 1))


def search(cross_kbps: float) -> GapSearch:
    found = GapSearch(USUAL * 1.1)
    for _ in range(80):
        if found.next_gap_us is None:
            return found
        found.add(Phase(trains=[fluid(found.next_gap_us, cross_kbps)] * 3))
    raise AssertionError("no turning point")


@pytest.mark.parametrize("load", [0.0, 0.25, 0.5, 0.75])
def test_the_direct_estimate_of_a_fluid_link_is_exact_and_ptr_is_within_the_tolerance(load: float):
    estimate = estimate_bandwidth(search(load * CAPACITY), usual_gap=USUAL, packet_bytes=BYTES)
    truth = (1 - load) * CAPACITY
    assert estimate.capacity_kbps == pytest.approx(CAPACITY)
    assert estimate.available_kbps == pytest.approx(truth, rel=0.001)
    assert estimate.method == "direct"
    # At the turning point the gaps may still grow by the tolerance of 5 %: (20000 * 1.05) - cross is still called equal.
    assert truth * 0.99 <= estimate.ptr_kbps <= truth + 0.06 * CAPACITY
    assert not estimate.is_lower_bound


def test_a_train_that_the_path_never_slows_gives_a_lower_bound():
    found = GapSearch(400.0)
    while (gap := found.next_gap_us) is not None:
        found.add(Phase(trains=[train([gap] * 59, [gap] * 59)]))
    estimate = estimate_bandwidth(found, usual_gap=USUAL, packet_bytes=BYTES)
    assert estimate.is_lower_bound
    assert (estimate.method, estimate.direct_kbps) == ("ptr", None)


def test_the_turning_point_is_the_first_of_two_successive_equal_phases():
    found = GapSearch(800.0)
    gaps = [(400.0, 500.0), (500.0, 500.0), (600.0, 700.0), (700.0, 700.0), (800.0, 800.0)]
    for source, destination in gaps:
        assert found.next_gap_us == pytest.approx(source)
        found.add(Phase(trains=[train([source] * 9, [destination] * 9)]))
    assert found.next_gap_us is None
    assert found.turning is found.phases[3]


def test_the_search_jumps_when_the_gaps_grow_by_half():
    found = GapSearch(800.0)
    found.add(Phase(trains=[train([400.0] * 9, [1200.0] * 9)]))
    assert found.next_gap_us == pytest.approx(500.0)  # not after the first phase, as in the original tool
    found.add(Phase(trains=[train([500.0] * 9, [1500.0] * 9)]))
    assert found.next_gap_us == pytest.approx((500 + 1500) / 2 + 100)


def test_the_capacity_is_found_under_bursts_of_other_traffic():
    chance = random.Random(7)
    gaps = [USUAL + chance.uniform(-2, 2) if chance.random() < 0.5 else USUAL * chance.uniform(1.5, 6) for _ in range(200)]
    assert rate_kbps(BYTES, usual_gap_us(gaps)) == pytest.approx(CAPACITY, rel=0.01)


def test_a_neighbouring_bin_counts_and_a_far_one_does_not():
    assert usual_gap_us([210.0] * 5 + [224.0] + [400.0] * 3) == pytest.approx((210 * 5 + 224) / 6)


def test_igi_counts_only_gaps_above_the_usual_gap_and_the_source_gap():
    one = train([300.0] * 4, [211.0, 300.0, 500.0, 303.0])
    assert igi_cross_kbps(one, USUAL, CAPACITY) == pytest.approx(CAPACITY * (500 - USUAL) / (211 + 300 + 500 + 303))


def test_igi_equals_ptr_when_every_gap_grew():
    """The selection of gaps is the only difference between the two."""
    one = fluid(300.0, 0.6 * CAPACITY)
    assert CAPACITY - igi_cross_kbps(one, USUAL, CAPACITY) == pytest.approx(rate_kbps(BYTES, one.destination_gap_us()), rel=1e-4)


def test_the_direct_estimate_needs_three_overloaded_phases():
    phases = [Phase(trains=[fluid(gap, 10_000.0)]) for gap in (100.0, 150.0, 600.0)]
    assert direct_kbps(phases, CAPACITY, BYTES) is None
    phases.append(Phase(trains=[fluid(200.0, 10_000.0)]))
    assert direct_kbps(phases, CAPACITY, BYTES) == pytest.approx(10_000, rel=0.001)


def test_a_train_of_an_interrupted_sender_is_rejected():
    assert not badly_sent(train([400.0] * 59, [400.0] * 59))
    assert badly_sent(train([400.0] * 58 + [2400.0], [400.0] * 59))  # a hole: looks like a turning point
    assert badly_sent(Train(wanted_gap_us=400, sent_ns=[0, 420_000], arrivals=[]))
    assert not badly_sent(Train(wanted_gap_us=0, sent_ns=[0, 9_000_000], arrivals=[]))  # sent without gaps


def test_gaps_of_lost_and_reordered_packets_do_not_count():
    one = Train(
        wanted_gap_us=1, sent_ns=[0, 1000, 2000, 3000, 4000], arrivals=[(0, 0), (2, 50_000), (1, 60_000), (3, 70_000), (4, 75_000)]
    )
    assert one.destination_gaps_us() == [5.0]
    assert one.lost == 0
    assert Train(wanted_gap_us=1, sent_ns=[0, 1], arrivals=[]).lost == 2


times = st.integers(-(2**62), 2**62)
trains = st.builds(
    Train,
    wanted_gap_us=st.floats(0, 1e6),
    sent_ns=st.lists(times, max_size=8),
    arrivals=st.lists(st.tuples(st.integers(0, 300), times), max_size=8),
)


@given(st.lists(st.lists(trains, min_size=1, max_size=3), max_size=8), st.floats(1, 1e6))
def test_any_trains_give_estimates_between_nothing_and_the_capacity(phases, unpaced):
    found = GapSearch(unpaced)
    for each in phases:
        if found.next_gap_us is None:
            break
        badly_sent(each[0])
        found.add(Phase(trains=each))
    estimate = estimate_bandwidth(found, usual_gap=unpaced, packet_bytes=BYTES)
    if estimate is not None:
        assert 0 <= estimate.available_kbps <= estimate.capacity_kbps * 1.000001
        assert 0 < estimate.ptr_kbps <= estimate.capacity_kbps


@given(st.lists(st.floats(allow_nan=True)))
def test_any_gaps_have_a_usual_gap_or_none(gaps):
    usual = usual_gap_us(gaps)
    assert usual is None or usual > 0
