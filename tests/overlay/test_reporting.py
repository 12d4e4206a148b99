"""Numbers of the reports that are not sums."""

from overlay.forwarding import Forwarding
from overlay.messages import InstallTree
from overlay.playout import Playout
from overlay.reporting import SETTLED_S, ParentLink, SkipsPerMinute


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


def test_a_failover_is_reported_soon_and_once_and_not_before_its_cost_is_known():
    place = InstallTree(stream="news", stream_number=1, tree_epoch=1, parent="r", children=[])
    link, forwarding, extra = ParentLink(), Forwarding(place, parent="r"), {}
    assert not link.update(forwarding, extra, 0.0)
    forwarding.failover_gaps_ms.append(70.0)
    assert not link.update(forwarding, extra, 1.0)
    assert (extra["failovers"], extra["failover_gap_ms"]) == (1, 70.0)
    assert not link.update(forwarding, extra, 0.9 + SETTLED_S)
    assert link.update(forwarding, extra, 1.0 + SETTLED_S)
    assert not link.update(forwarding, extra, 9.0 + SETTLED_S)
