"""The jitter buffer: packets come out in order and on time; what is missing, late, or a stall is counted as it is defined."""

import pytest

from overlay.playout import Playout
from overlay.reception import RTP_CLOCK_HZ
from overlay.reporting import continuity

STEP_S = 0.02
"""Time between two packets."""


def rtp(number: int, *, first_timestamp: int = 0) -> bytes:
    timestamp = (first_timestamp + round(number * STEP_S * RTP_CLOCK_HZ)) % 2**32
    return b"\x80\x21" + (number % 65536).to_bytes(2, "big") + timestamp.to_bytes(4, "big") + bytes(4) + b"media"


class Viewer:
    """Plays a list of arrivals: number of the packet, and when it arrives."""

    def __init__(self, buffer_s: float = 0.2, first_timestamp: int = 0) -> None:
        self.playout, self.first_timestamp = Playout(buffer_s=buffer_s), first_timestamp
        self.played: list[tuple[int, float]] = []
        self.now_s = 0.0

    def watch(self, arrivals: list[tuple[int, float]], until_s: float) -> "Viewer":
        waiting = sorted(arrivals, key=lambda each: each[1])
        while self.now_s < until_s:
            while waiting and waiting[0][1] <= self.now_s:
                number, moment_s = waiting.pop(0)
                self.playout.arrived(number, rtp(number, first_timestamp=self.first_timestamp), moment_s)
            for packet in self.playout.advance(self.now_s):
                self.played.append((int.from_bytes(packet[2:4], "big"), self.now_s))
            self.now_s = round(self.now_s + 0.005, 3)
        return self

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.played]


def steady(first: int, last: int, *, late_s: float = 0.0) -> list[tuple[int, float]]:
    return [(number, number * STEP_S + late_s) for number in range(first, last)]


def test_playback_starts_when_the_buffer_is_full_and_keeps_the_pace_of_the_stream():
    viewer = Viewer().watch(steady(0, 100), 1.8)
    assert viewer.playout.started_s == pytest.approx(0.2, abs=0.01)
    assert viewer.numbers == list(range(len(viewer.numbers)))
    gaps_s = [later - earlier for (_, earlier), (_, later) in zip(viewer.played, viewer.played[1:], strict=False)]
    assert max(gaps_s) <= STEP_S + 0.006
    assert viewer.playout.totals.missed == viewer.playout.totals.stalls == 0


def test_the_order_and_the_wrap_of_the_timestamp_do_not_matter():
    arrivals = [(number ^ 1, moment_s) for number, moment_s in steady(0, 50)]
    viewer = Viewer(first_timestamp=2**32 - RTP_CLOCK_HZ // 2).watch(arrivals, 1.1)
    assert viewer.numbers == list(range(len(viewer.numbers)))
    assert len(viewer.numbers) > 40


def test_a_packet_that_is_missing_when_it_is_due_is_missed_and_then_late():
    arrivals = [each for each in steady(0, 60) if each[0] != 20] + [(20, 1.0)]
    viewer = Viewer().watch(arrivals, 1.2)
    assert viewer.numbers == [number for number in range(len(viewer.numbers) + 1) if number != 20]
    totals = viewer.playout.totals
    assert (totals.missed, totals.late, totals.stalls) == (1, 1, 0)


def test_a_gap_shorter_than_the_buffer_causes_no_stall():
    arrivals = [(number, max(moment_s, 0.65) if 25 <= number < 33 else moment_s) for number, moment_s in steady(0, 100)]
    viewer = Viewer().watch(arrivals, 1.8)
    assert (viewer.playout.totals.stalls, viewer.playout.totals.missed) == (0, 0)


def test_an_empty_buffer_is_a_stall_until_it_is_full_again():
    viewer = Viewer().watch(steady(0, 50) + steady(50, 150, late_s=0.5), 3.2)
    totals = viewer.playout.totals
    assert totals.stalls == 1
    assert viewer.playout.stalls_ms == [pytest.approx(500, abs=40)]
    assert totals.stalled_s == pytest.approx(0.5, abs=0.04)
    assert viewer.numbers == list(range(len(viewer.numbers)))
    assert totals.played_s + totals.stalled_s == pytest.approx(3.2 - 0.2, abs=0.02)


def test_a_packet_that_never_arrives_is_skipped_after_a_stall():
    viewer = Viewer().watch(steady(0, 50) + steady(80, 150), 2.8)
    totals = viewer.playout.totals
    assert (totals.stalls, totals.skipped, totals.missed) == (1, 30, 0)


def test_a_source_that_begins_again_is_played():
    viewer = Viewer().watch(steady(1000, 1050), 21.1)
    viewer.playout.begin_again()
    played = len(viewer.numbers)
    viewer.watch([(number, 21.2 + number * STEP_S) for number in range(50)], 22.0)
    assert viewer.numbers[played:][:3] == [0, 1, 2]


def test_a_pause_is_no_stall_and_playback_continues_with_new_packets():
    viewer = Viewer().watch(steady(0, 50), 0.9)
    viewer.playout.pause()
    viewer.watch(steady(50, 150), 2.0)
    assert viewer.numbers[-1] < 50
    viewer.playout.resume()
    viewer.watch(steady(100, 200), 3.5)
    totals = viewer.playout.totals
    assert (totals.stalls, totals.skipped, totals.missed) == (0, 0, 0)
    assert viewer.numbers[-1] > 150


def test_continuity_is_the_time_without_stalls_times_the_packets_in_time():
    viewer = Viewer()
    before = viewer.playout.totals_until(0.0)
    assert continuity(before, before) is None
    arrivals = [each for each in steady(0, 50) if each[0] % 10] + steady(50, 150, late_s=0.5)
    totals = viewer.watch(arrivals, 3.2).playout.totals_until(3.2)
    assert totals.played_s + totals.stalled_s == pytest.approx(3.0, abs=0.04)
    in_time = totals.packets / (totals.packets + totals.missed)
    assert 0.94 < in_time < 0.98
    assert continuity(totals, before) == pytest.approx(2.5 / 3.0 * in_time, abs=0.02)


def test_an_open_stall_counts():
    viewer = Viewer().watch(steady(0, 50), 3.2)
    totals = viewer.playout.totals_until(3.2)
    assert viewer.playout.totals.stalled_s == 0
    assert totals.stalled_s == pytest.approx(2.0, abs=0.05)
    assert continuity(totals, viewer.playout.totals_until(2.2)) == 0
