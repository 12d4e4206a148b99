"""Summaries of round-trip times: a lost packet is infinitely late, never 0."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.round_trips import (
    median_with_lost,
    percentile_with_lost,
    round_trips_per_minute,
    summarize_round_trips,
)

delays = st.lists(st.none() | st.floats(0, 1e6), max_size=40)


def test_the_values_are_those_of_their_definitions():
    summary = summarize_round_trips([10.0, 12.0, None, 11.0, 20.0])
    assert (summary.sent, summary.answered) == (5, 4)
    assert (summary.min_ms, summary.mean_ms, summary.max_ms) == (10.0, 13.25, 20.0)
    assert summary.median_ms == 12.0  # of 10, 11, 12, 20 and infinity
    assert summary.p95_ms is None  # the slowest of five packets is the lost one
    assert summary.stddev_ms == pytest.approx(math.sqrt(((3.25**2) + (1.25**2) + (2.25**2) + (6.75**2)) / 4))
    assert summary.ipdv_mean_ms == pytest.approx((2 + 1 + 9) / 3)
    assert summary.pdv_p95_ms == 10.0


def test_without_an_answer_every_time_is_null():
    summary = summarize_round_trips([None, None])
    assert (summary.sent, summary.answered) == (2, 0)
    assert {getattr(summary, name) for name in summary.__slots__ if name.endswith("_ms")} == {None}


def test_the_95th_percentile_of_twenty_packets_is_the_nineteenth():
    assert percentile_with_lost([float(value) for value in range(1, 21)], 0.95) == 19.0
    assert percentile_with_lost([*map(float, range(1, 20)), None], 0.95) == 19.0
    assert percentile_with_lost([*map(float, range(1, 19)), None, None], 0.95) is None


def test_the_median_is_not_known_when_most_packets_are_lost():
    assert median_with_lost([5.0, None, None]) is None
    assert median_with_lost([5.0, 7.0, None]) == 7.0
    assert median_with_lost([5.0, None]) is None  # the mean of 5 and infinity


@given(delays)
def test_any_delays_give_ordered_values(values):
    summary = summarize_round_trips(values)
    assert summary.sent == len(values)
    assert summary.answered == sum(value is not None for value in values)
    if summary.answered:
        assert summary.min_ms <= summary.mean_ms * (1 + 1e-9) + 1e-9
        assert summary.mean_ms <= summary.max_ms * (1 + 1e-9) + 1e-9
        assert summary.stddev_ms >= 0
        assert summary.median_ms is None or summary.min_ms <= summary.median_ms <= summary.max_ms
        assert summary.p95_ms is None or summary.median_ms <= summary.p95_ms <= summary.max_ms


@given(delays)
def test_a_further_loss_never_makes_a_percentile_smaller(values):
    before, after = percentile_with_lost(values, 0.95), percentile_with_lost([*values, None], 0.95)
    assert after is None or before is None or after >= before


def test_round_trips_per_minute_leave_out_the_slowest_five_percent_and_count_lost_packets_as_a_second():
    assert round_trips_per_minute([20.0] * 19 + [5000.0]) == 60_000 / 20
    assert round_trips_per_minute([20.0] * 19 + [None]) == 60_000 / 20
    # 95 of 100: 90 of 20 ms, and 5 of the 10 lost ones
    assert round_trips_per_minute([20.0] * 90 + [None] * 10) == pytest.approx(60_000 / ((90 * 20 + 5 * 1000) / 95))
    assert round_trips_per_minute([40.0]) == 1500
    assert round_trips_per_minute([None, None]) is None
    assert round_trips_per_minute([]) is None
