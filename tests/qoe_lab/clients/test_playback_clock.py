"""The playback of the headless player: its events have the exact times at which a buffer runs empty or is full enough."""

from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.clients.playback_clock import PlaybackClock
from qoe_lab.clients.presentation import Representation
from qoe_lab.player_events import PlayerEvent

LOW = Representation(name="low", url="low", bps=100_000, height=144)
HIGH = Representation(name="high", url="high", bps=400_000, height=240)


def reported(events: list[PlayerEvent]) -> list[tuple[str, float]]:
    return [(event.event, event.t_ms) for event in events]


def test_playback_starts_with_the_segment_that_fills_the_buffer():
    clock = PlaybackClock(enough_ms=3000)
    assert reported(clock.add(2000, LOW, 500)) == []
    assert reported(clock.add(2000, LOW, 900)) == [("first_frame", 900), ("switch", 900)]


def test_a_stall_begins_when_the_buffer_is_empty_even_if_nobody_looked_then():
    clock = PlaybackClock(enough_ms=1000)
    clock.add(2000, LOW, 500)
    assert reported(clock.add(2000, LOW, 3300)) == [("stall_begin", 2500), ("stall_end", 3300)]
    assert reported(clock.advance(6000)) == [("stall_begin", 5300)]


def test_a_switch_is_reported_when_it_is_shown_and_not_when_it_arrives():
    clock = PlaybackClock(enough_ms=1000)
    clock.add(2000, LOW, 100)
    assert reported(clock.add(2000, HIGH, 600)) == []
    (switch,) = clock.advance(2500)
    assert (switch.event, switch.t_ms, switch.height, switch.kbps) == ("switch", 2100, 240, 400)


def test_the_end_of_the_content_is_no_stall():
    clock = PlaybackClock(enough_ms=1000)
    clock.add(2000, LOW, 100)
    clock.complete(1000)
    assert reported(clock.advance(9000)) == []
    assert clock.has_ended
    assert not clock.is_stalled


def test_a_content_that_is_shorter_than_the_wanted_buffer_is_played():
    clock = PlaybackClock(enough_ms=5000)
    clock.add(2000, LOW, 100)
    assert reported(clock.complete(150)) == [("first_frame", 150), ("switch", 150)]


@given(st.lists(st.tuples(st.floats(1, 4000), st.floats(1, 6000)), min_size=1, max_size=30))
def test_played_and_stalled_time_are_all_the_time_since_the_first_frame(arrivals: list[tuple[float, float]]):
    clock, now_ms, events = PlaybackClock(enough_ms=1000), 0.0, []
    for wait_ms, media_ms in arrivals:
        now_ms += wait_ms
        events += clock.add(media_ms, LOW, now_ms)
    times = [event.t_ms for event in events]
    assert times == sorted(times)
    begin_ms = next((event.t_ms for event in events if event.event == "first_frame"), now_ms)
    stalled_ms = sum(event.t_ms * {"stall_begin": -1, "stall_end": 1}.get(event.event, 0) for event in events)
    stalled_ms += now_ms if clock.is_stalled else 0
    assert abs(now_ms - begin_ms - stalled_ms - clock.position_ms) < 1e-3
