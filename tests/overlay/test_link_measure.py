"""A node measures the link from each neighbour, idle links too."""

import pytest

from overlay.link_measure import LinkMeasure


def pinged(measure: LinkMeasure, *numbers: int) -> None:
    for number in numbers:
        measure.pinged(number)


def test_a_link_without_media_is_measured_by_its_pings():
    measure = LinkMeasure()
    pinged(measure, *(number for number in range(100) if number % 5))
    measure.sample(0, 0, 1.0)
    assert measure.loss == pytest.approx(0.2, abs=0.02)


def test_losses_of_media_and_pings_count_together_and_a_second_without_any_lowers_the_average():
    measure = LinkMeasure()
    pinged(measure, *range(10))
    measure.sample(90, 10, 1.0)
    assert measure.loss == pytest.approx(0.1)
    pinged(measure, *range(10, 20))
    measure.sample(180, 10, 1.0)
    assert measure.loss == pytest.approx(0.1 * 7 / 8)
    measure.sample(180, 10, 1.0)  # nothing was sent, so nothing is known
    assert measure.loss == pytest.approx(0.1 * 7 / 8)


def test_a_neighbour_that_is_restarted_has_lost_nothing():
    measure = LinkMeasure()
    pinged(measure, *range(1000, 1010), *range(1, 11), 10, 9)
    measure.sample(50, 0, 1.0)
    measure.sample(3, 0, 1.0)
    assert measure.loss == 0


def test_the_report_has_the_round_trip_and_the_rate_of_the_last_second():
    measure = LinkMeasure()
    assert measure.state("n1") is None
    measure.answered(0.010)
    measure.answered(0.018)
    measure.received_bytes = 250_000
    measure.sample(0, 0, 1.0)
    state = measure.state("n1")
    assert state is not None
    assert (state.neighbor, state.loss) == ("n1", 0)
    assert state.round_trip_ms == pytest.approx(11)
    assert state.rate_kbps == pytest.approx(2000)
