"""RTP reception by the appendices of RFC 3550, and the estimated MOS of a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.rtp_reception import MIN_SEQUENTIAL, RtpReception
from measurement.estimates.voice_mos import mos_of_rating, voice_mos

PACKET = 160
"""20 ms at 8000 Hz."""


def received(arrivals: list[tuple[int, int]]) -> RtpReception:
    """The reception of (sequence number, arrival in RTP units); time stamps follow the sequence numbers."""
    reception = RtpReception(arrivals[0][0])
    for sequence, arrival in arrivals:
        reception.receive(sequence, sequence * PACKET, arrival)
    return reception


def test_the_jitter_is_the_integer_form_of_the_rfc():
    reception = RtpReception(0)
    for number, transit in enumerate([0, 0, 40, 0, 16, 200, 3]):
        reception.receive(number, number * PACKET, number * PACKET + transit)
    # j += |d| - ((j + 8) >> 4) with |d| = 40, 40, 16, 184, 197 gives 40, 77, 88, 266, 446; the packets on probation do not count.
    assert reception.jitter == 446 >> 4


def test_packets_without_a_change_of_transit_have_no_jitter():
    assert received([(number, number * PACKET + 77) for number in range(100)]).jitter == 0


def test_loss_is_counted_across_the_wrap_of_sequence_numbers():
    numbers = [number for number in range(65_530, 65_550) if number not in (65_535, 65_540)]
    reception = received([(number % 65_536, number) for number in numbers])
    assert reception.cycles == 65_536
    assert reception.expected == 20 - (MIN_SEQUENTIAL - 1)  # counted from the packet that ended the probation
    assert reception.lost == 2


def test_duplicates_can_make_the_loss_negative():
    reception = received([(number, number) for number in (0, 1, 2, 2, 2)])
    assert reception.lost == -2


def test_a_sender_that_begins_again_is_accepted_after_two_packets_in_sequence():
    reception = received([(number, number) for number in range(10)])
    assert not reception.receive(40_000, 0, 0)
    assert reception.receive(40_001, 0, 0)
    assert (reception.expected, reception.received) == (1, 1)


@given(st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 2**33), st.integers(-(2**40), 2**40)), min_size=1))
def test_any_packets_leave_a_sane_state(packets):
    reception = RtpReception(packets[0][0])
    valid = sum(reception.receive(*packet) for packet in packets)
    assert 0 <= reception.received <= valid
    assert reception.expected >= 0
    assert 0 <= reception.jitter <= 2**31


@pytest.mark.parametrize(
    ("delay_ms", "loss", "mos"),
    [  # by hand: R = 91.760, 50.171, 77.863, 63.071
        (0, 0.0, 4.3797),
        (0, 0.2, 2.5840),
        (200, 0.0, 3.9407),
        (50, 0.1, 3.2576),
    ],
)
def test_the_mos_is_that_of_the_simplified_e_model(delay_ms, loss, mos):
    assert voice_mos(delay_ms, loss) == pytest.approx(mos, abs=0.0001)


def test_the_best_and_the_worst_rating_have_the_mos_of_the_standard():
    assert mos_of_rating(-5) == 1.0
    assert mos_of_rating(0) == 1.0
    assert mos_of_rating(100) == 4.5


def test_an_impossible_loss_is_refused():
    with pytest.raises(ValueError, match=r"a loss of 1\.5"):
        voice_mos(10, 1.5)


@given(st.floats(0, 1e5), st.floats(0, 1), st.floats(0, 1))
def test_more_loss_never_makes_the_mos_better(delay_ms, loss, more):
    low, high = sorted((loss, more))
    assert 1 <= voice_mos(delay_ms, high) <= voice_mos(delay_ms, low) + 0.003 <= 4.503
