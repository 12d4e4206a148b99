"""Repair of one link: gaps are asked for a bounded number of times, and a child cannot multiply traffic with requests."""

from collections import Counter

from overlay.link_repair import (
    FIRST_BUDGET,
    KEPT,
    LARGEST_BUDGET,
    MOST_IN_ONE_REQUEST,
    MOST_MISSING,
    MOST_REQUESTS,
    NUMBERS,
    ReceivedOnLink,
    SentOnLink,
    ranges_of,
)


def received(*numbers: int) -> ReceivedOnLink:
    link = ReceivedOnLink(Counter())
    for number in numbers:
        link.arrived(number, 0.0)
    return link


def test_runs_of_numbers_become_ranges():
    assert ranges_of([]) == []
    assert ranges_of([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


def test_missing_packets_are_requested_at_once_and_again_after_one_and_a_half_round_trips():
    link = received(1, 4)
    assert link.due(0.0, 0.1) == [2, 3]
    assert link.due(0.149, 0.1) == []
    link.arrived(2, 0.15)
    assert link.due(0.151, 0.1) == [3]
    assert (link.counts["packets_missing"], link.counts["packets_repaired"], link.missing) == (2, 1, 1)
    assert (link.expected, link.lost) == (4, 2)


def test_a_packet_that_never_comes_is_given_up():
    link = received(1, 3)
    requests = sum(len(link.due(second, 0.01)) for second in range(20))
    assert requests == MOST_REQUESTS
    assert (link.counts["packets_given_up"], link.missing) == (1, 0)


def test_one_request_names_a_bounded_number_of_packets():
    link = received(1, 2 + 2 * MOST_IN_ONE_REQUEST)
    assert len(link.due(0.0, 0.1)) == MOST_IN_ONE_REQUEST
    assert len(link.due(0.0, 0.1)) == MOST_IN_ONE_REQUEST
    assert link.due(0.0, 0.1) == []


def test_link_sequence_numbers_continue_with_zero_after_the_largest():
    link = received(NUMBERS - 2, 1)
    assert link.due(0.0, 0.1) == [NUMBERS - 1, 0]


def test_a_late_packet_is_a_repair_and_a_repeated_one_changes_nothing():
    link = received(1, 3, 2, 2, 3)
    assert link.due(0.0, 0.1) == []
    assert link.counts["packets_repaired"] == 1


def test_a_sender_that_restarts_its_numbers_is_followed():
    for begun in (1, 10_002 + MOST_MISSING + 1):
        link = received(10_000, 10_002, begun, begun + 2)
        assert link.counts["link_sequence_jumped"] == 1
        assert link.due(0.0, 0.1) == [begun + 1]


def test_a_sender_knows_which_packet_had_a_number():
    link = SentOnLink()
    for sequence in range(100, 100 + KEPT + 5):
        link.next(sequence % 65536)
    assert link.rtp_sequence(KEPT + 5) == 100 + KEPT + 4
    assert link.rtp_sequence(6) == 105
    assert link.rtp_sequence(5) is None  # too long ago
    assert link.rtp_sequence(KEPT + 6) is None  # not sent yet


def test_half_a_packet_may_be_repeated_for_each_packet_sent():
    link = SentOnLink()
    assert sum(link.may_repeat() for _ in range(1000)) == FIRST_BUDGET
    for number in range(100):
        link.next(number)
    assert sum(link.may_repeat() for _ in range(1000)) == 50
    for number in range(10_000):
        link.next(number)
    assert sum(link.may_repeat() for _ in range(1000)) == LARGEST_BUDGET
