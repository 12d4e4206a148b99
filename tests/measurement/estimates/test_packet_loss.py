"""Loss with its Wilson interval, duplicates and reordering."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.packet_loss import arrival_order, loss_ratio


@pytest.mark.parametrize(
    ("lost", "sent", "low", "high"),
    [
        (0, 10, 0.0, 0.27753279),
        (1, 10, 0.01787621, 0.40415003),
        (5, 100, 0.02154368, 0.11175047),
        (50, 1000, 0.03813026, 0.06531382),
        (10, 10, 0.72246721, 1.0),
    ],
)
def test_the_interval_is_that_of_wilson(lost, sent, low, high):
    loss = loss_ratio(lost, sent)
    assert loss.ratio == lost / sent
    assert (loss.low, loss.high) == (pytest.approx(low, abs=1e-7), pytest.approx(high, abs=1e-7))


def test_the_loss_of_no_packets_is_not_known():
    assert loss_ratio(0, 0).ratio is None


def test_more_losses_than_packets_are_refused():
    with pytest.raises(ValueError, match="3 of 2 packets cannot be lost"):
        loss_ratio(3, 2)


@given(st.integers(1, 10**6).flatmap(lambda sent: st.tuples(st.integers(0, sent), st.just(sent))))
def test_the_interval_contains_the_ratio_and_stays_between_0_and_1(case):
    loss = loss_ratio(*case)
    assert 0 <= loss.low <= loss.ratio <= loss.high <= 1


def test_duplicates_and_reordered_packets_are_counted_apart():
    order = arrival_order([0, 1, 3, 2, 2, 4])
    assert (order.received, order.duplicates, order.reordered) == (5, 1, 1)


@given(st.lists(st.integers(0, 20)))
def test_every_arrival_is_a_packet_or_a_duplicate(numbers):
    order = arrival_order(numbers)
    assert order.received + order.duplicates == len(numbers)
    assert 0 <= order.reordered < max(order.received, 1)
