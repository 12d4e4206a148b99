"""Which representation the headless player asks for."""

import pytest

from qoe_lab.clients.adaptation import Throughput, choose

RATES = (100_000, 400_000, 900_000)


@pytest.mark.parametrize(
    ("throughput_bps", "buffer_s", "chosen"),
    [
        (None, 0, 0),  # nothing is known yet
        (50_000, 20, 0),  # there is nothing lower
        (480_000, 6, 1),
        (480_000, 2, 0),  # little in the buffer: careful
        (850_000, 6, 1),
        (850_000, 12, 2),  # a full buffer allows one step more
        (5_000_000, 0, 2),
    ],
)
def test_the_highest_rate_below_a_share_of_the_throughput_is_chosen(throughput_bps: float | None, buffer_s: float, chosen: int):
    assert choose(RATES, throughput_bps, buffer_s) == chosen


def test_one_slow_segment_weighs_more_than_a_fast_one():
    throughput = Throughput()
    assert throughput.bps is None
    throughput.add(125_000, 1.0)
    throughput.add(125_000, 10.0)
    assert throughput.bps == pytest.approx(2 / (1 / 1_000_000 + 1 / 100_000))


def test_only_the_last_segments_count():
    throughput = Throughput()
    for _ in range(10):
        throughput.add(1000, 1.0)
    for _ in range(4):
        throughput.add(125_000, 1.0)
    assert throughput.bps == pytest.approx(1_000_000)
