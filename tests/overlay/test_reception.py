"""The counts of a player: packets that stay missing, and the gaps and the jitter of the arrivals."""

from collections import deque
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.data_header import HEADER_BYTES, DataHeader
from overlay.forwarding import Forwarding
from overlay.messages import InstallTree
from overlay.null_stream import RTP_BYTES, interval_s, packets
from overlay.player import TICK_S, Player
from overlay.reception import Arrival, Reception


def rtp(sequence: int, timestamp: int = 0) -> bytes:
    return b"\x80\x21" + (sequence % 65536).to_bytes(2, "big") + timestamp.to_bytes(4, "big") + bytes(4)


def test_late_packets_are_no_loss_and_missing_ones_are_over_the_wrap_of_the_number():
    reception = Reception()
    for number in (65533, 65534, 65537, 65535, 65539):  # 65536 and 65538 are missing
        reception.arrived(rtp(number), 0.0)
    assert (reception.received, reception.lost) == (5, 2)


def test_packets_from_before_the_first_one_are_neither_received_nor_lost():
    reception = Reception()
    for number in (5, 3, 7, 4):
        reception.arrived(rtp(number), 0.0)
    assert (reception.received, reception.lost, reception.earlier) == (2, 1, 2)


def test_a_repair_above_a_player_that_has_just_joined_is_no_loss_of_the_player():
    """The relay lost packet 1 and gets it again 20 packets later. The player joined meanwhile, with packet 15."""
    relay = Forwarding(InstallTree(stream="news", stream_number=1, tree_epoch=1, parent="up", children=[]))
    player = Player("news", buffer_s=0.1)

    def fed(number: int, now_s: float) -> None:
        header = DataHeader(stream=1, tree_epoch=1, link_sequence=number, origin_us=0)
        for _, copy in relay.arrived(header.packed() + rtp(number, number * 900), now_s, "up"):
            player.arrived(Arrival("news", copy[HEADER_BYTES:], now_s, 1.0, 2))

    for number in (0, *range(2, 15)):
        fed(number, number / 100)
    assert list(relay.graft("player", None)) == []
    for number in (*range(15, 22), 1, *range(22, 50)):
        fed(number, number / 100)
    for tick in range(50):
        player.playout.advance(0.2 + tick / 100)
    assert relay.counts["packets_repaired"] == 1
    assert (player.reception.received, player.reception.lost, player.reception.earlier) == (35, 0, 1)
    assert (player.playout.totals.missed, player.playout.totals.late) == (0, 0)


@given(st.lists(st.floats(0, 0.2), min_size=20, max_size=60), st.integers(2, 20))
def test_a_player_without_a_sink_plays_the_same_with_rare_steps(delays_s: list[float], ticks: int):
    arrivals = sorted((number / 100 + delay_s, number) for number, delay_s in enumerate(delays_s))
    players = {every: Player("news", buffer_s=0.05) for every in (1, ticks)}
    for every, player in players.items():
        waiting = deque(arrivals)
        for look in range(0, 120, every):
            now_s = look * TICK_S
            while waiting and waiting[0][0] <= now_s:
                at_s, number = waiting.popleft()
                player.arrived(Arrival("news", rtp(number, number * 900), at_s, 1.0, 2))
            player.advance(now_s)
        player.advance(120 * TICK_S)
    in_time, rarely = (players[every].playout for every in (1, ticks))
    assert in_time.totals.packets > 0
    assert (in_time.totals, in_time.stalls_ms) == (rarely.totals, rarely.stalls_ms)


def test_a_player_that_has_waited_for_processor_time_has_played_nothing_meanwhile():
    player = Player("news", buffer_s=0.1)
    for number in range(50):
        player.arrived(Arrival("news", rtp(number, number * 900), number / 100, 1.0, 2))
    played = player.playout.totals.packets
    player.arrived(Arrival("news", rtp(50, 50 * 900), 0.5, 1.0, 2))
    player.advance(3.0)
    assert player.playout.totals.stalls == 1
    assert player.playout.totals.packets == 51 > played
    player.arrived(Arrival("news", rtp(51, 51 * 900), 3.01, 1.0, 2))
    assert player.playout.totals_until(3.2).stalled_s == pytest.approx(0.2, abs=0.02)


def test_nothing_is_lost_before_anything_has_arrived():
    assert Reception().lost == 0


def test_the_largest_gap_is_the_longest_time_without_a_packet():
    reception = Reception()
    for number, moment_s in enumerate((0.0, 0.1, 0.45, 0.5)):
        reception.arrived(rtp(number), moment_s)
    assert reception.largest_gap_ms == pytest.approx(350)


def test_a_regular_stream_has_no_jitter_and_an_irregular_one_the_mean_deviation():
    regular, irregular = Reception(), Reception()
    for number in range(1000):
        moment_s = number / 100
        regular.arrived(rtp(number, number * 900), moment_s)
        irregular.arrived(rtp(number, number * 900), moment_s + (0.004 if number % 2 else 0.0))
    assert regular.jitter_ms == pytest.approx(0, abs=1e-6)
    assert irregular.jitter_ms == pytest.approx(4, rel=0.01)


def test_the_null_stream_has_its_rate_and_its_timestamps_follow_the_clock():
    made = list(islice(packets(1000.0, 7), 101))
    assert {len(packet) for _, packet in made} == {RTP_BYTES}
    duration_s = made[-1][0] - made[0][0]
    assert 100 * RTP_BYTES * 8 / duration_s == pytest.approx(1_000_000)
    assert interval_s(1000.0) == pytest.approx(duration_s / 100)
    reception = Reception()
    for due_s, packet in made:
        reception.arrived(packet, due_s)
    assert (reception.lost, reception.jitter_ms) == (0, pytest.approx(0, abs=0.02))
    assert made[3][1][12:16] == bytes((0x47, 0x1F, 0xFF, 0x10))
