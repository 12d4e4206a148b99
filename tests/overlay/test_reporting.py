"""Numbers of the reports that are not sums."""

from overlay.playout import Playout
from overlay.reporting import SkipsPerMinute


def test_skips_per_minute_fall_again_when_the_viewer_has_recovered():
    skips = SkipsPerMinute()
    assert [skips.at(float(at), total) for at, total in enumerate((0, 0, 7, 7, 9))] == [0, 0, 7, 7, 9]
    assert skips.at(62.5, 9) == 2
    assert skips.at(80.0, 9) == 0


def test_queued_bytes_are_the_packets_that_wait():
    playout = Playout(buffer_s=1.0)
    for number in range(3):
        playout.arrived(number, bytes([128, 33, 0, number, *(number * 9000).to_bytes(4, "big"), 0, 0, 0, 1]) + bytes(100), 0.0)
    assert playout.queued_bytes == 3 * 112
    playout.pause()
    assert playout.queued_bytes == 0
