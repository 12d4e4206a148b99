"""Which representation the headless player asks for."""

from collections import Counter

import pytest

from qoe_lab.clients.adaptation import Throughput, choose
from qoe_lab.clients.habits import ALL, USUAL, Habits, habits_of

RATES = (100_000, 400_000, 900_000)


@pytest.mark.parametrize(
    ("throughput_bps", "buffer_s", "chosen"),
    [
        (None, 0, 0),  # nothing is known yet
        (50_000, 20, 0),  # there is nothing lower
        (480_000, 6, 1),
        (480_000, 2, 0),  # little in the buffer: careful
        (850_000, 6, 1),
        (1_100_000, 6, 2),
        (5_000_000, 0, 2),
    ],
)
def test_the_highest_rate_below_a_share_of_the_throughput_is_chosen(throughput_bps: float | None, buffer_s: float, chosen: int):
    assert choose(USUAL, RATES, throughput_bps, buffer_s) == chosen


def test_one_slow_segment_weighs_more_than_a_fast_one():
    throughput = Throughput(4)
    assert throughput.bps is None
    throughput.add(125_000, 1.0)
    throughput.add(125_000, 10.0)
    assert throughput.bps == pytest.approx(2 / (1 / 1_000_000 + 1 / 100_000))


def test_only_the_last_segments_count():
    throughput = Throughput(4)
    for _ in range(10):
        throughput.add(1000, 1.0)
    for _ in range(4):
        throughput.add(125_000, 1.0)
    assert throughput.bps == pytest.approx(1_000_000)


@pytest.mark.parametrize(("chosen", "index"), [(0, 0), (1, 1), (4, 2)])
def test_a_quality_that_the_viewer_chose_does_not_adapt(chosen: int, index: int):
    assert choose(Habits(name="by hand", chosen=chosen), RATES, 10_000, 0) == index


def test_the_id_of_a_session_decides_its_habits_and_all_are_about_as_frequent():
    counts = Counter(habits_of(f"evening-{number:05d}-1").name for number in range(800))
    assert habits_of("evening-00001-1") == habits_of("evening-00001-1")
    assert counts.keys() == {habits.name for habits in ALL}
    assert min(counts.values()) > 60
