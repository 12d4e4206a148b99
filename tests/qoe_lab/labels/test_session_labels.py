"""Events become labels: what a viewer saw, and whether the session can be trusted."""

import pytest

from qoe_lab.labels.session_labels import SessionLabels, session_labels
from qoe_lab.labels.session_scores import Scorer
from qoe_lab.labels.slot_labels import slot_labels
from qoe_lab.player_events import PlayerEvent

EVENTS = (
    PlayerEvent(event="navigation", t_ms=0, wall_ms=1_000_000),
    PlayerEvent(event="first_frame", t_ms=1500),
    PlayerEvent(event="switch", t_ms=1500, height=144, kbps=200),
    PlayerEvent(event="sample", t_ms=2250, buffer_ms=1250, decoded_frames=10, dropped_frames=0),
    PlayerEvent(event="stall_begin", t_ms=3500),
    PlayerEvent(event="stall_end", t_ms=5100),
    PlayerEvent(event="switch", t_ms=7500, height=240, kbps=600),
    PlayerEvent(event="sample", t_ms=9000, buffer_ms=4000, decoded_frames=120, dropped_frames=3),
    PlayerEvent(event="end", t_ms=10_000),
)


def test_a_session_has_the_startup_stalls_and_switches_of_its_events():
    labels = session_labels(EVENTS)
    assert labels.invalid_reason is None
    assert (labels.startup_ms, labels.stall_count, labels.stall_ms, labels.switches) == (1500, 1, 1600, 1)
    assert labels.stall_ratio == pytest.approx(1600 / 8500)
    assert labels.mean_kbps == pytest.approx((200 * 4400 + 600 * 2500) / 6900)
    assert labels.mean_height == pytest.approx((144 * 4400 + 240 * 2500) / 6900)
    assert (labels.decoded_frames, labels.dropped_frames) == (120, 3)


def test_each_second_has_the_state_that_took_most_of_it():
    labels = session_labels(EVENTS)
    slots = slot_labels(labels, EVENTS)
    states = [slot.state for slot in slots]
    assert states == ["startup", "play", "play", "stall", "stall", "play", "play", "play", "play", "play"]
    assert [slot.height for slot in slots] == [None, *[144] * 6, *[240] * 3]
    assert [slot.stalled_ms for slot in slots][3:6] == [500, 1000, 100]
    assert (slots[2].buffer_ms, slots[3].buffer_ms) == (1250, None)


def test_a_stall_that_lasts_at_the_end_is_marked_and_counted_until_the_end():
    labels = session_labels([*EVENTS[:5], PlayerEvent(event="end", t_ms=9500)])
    (stall,) = labels.stalls
    assert (stall.begin_ms, stall.end_ms, stall.open) == (3500, 9500, True)


@pytest.mark.parametrize(("length_ms", "stalls"), [(0.4, 0), (39.9, 0), (40.0, 1)])
def test_an_interruption_that_is_shorter_than_a_frame_is_no_stall(length_ms: float, stalls: int):
    begin = PlayerEvent(event="stall_begin", t_ms=3500)
    labels = session_labels([*EVENTS[:4], begin, PlayerEvent(event="stall_end", t_ms=3500 + length_ms), *EVENTS[6:]])
    assert (labels.stall_count, labels.stall_ms) == (stalls, pytest.approx(stalls * length_ms))
    assert labels.played_ms(1500, 7500) == pytest.approx(6000 - stalls * length_ms)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((), "no_events"),
        (EVENTS[1:], "no_navigation"),
        (EVENTS[:-1], "client_died"),
        ((EVENTS[0], EVENTS[-1]), "no_first_frame"),
        ((*EVENTS[:2], PlayerEvent(event="error", t_ms=2000, detail="404")), "client_error"),
        ((EVENTS[0], EVENTS[4], *EVENTS[1:4], EVENTS[-1]), "events_out_of_order"),
    ],
)
def test_a_session_that_is_no_ground_truth_has_its_reason(events: tuple[PlayerEvent, ...], reason: str):
    assert session_labels(events).invalid_reason == reason


def test_an_unknown_value_is_none_and_not_zero():
    labels = session_labels((EVENTS[0], EVENTS[-1]))
    unknown = (labels.startup_ms, labels.stall_count, labels.stall_ms, labels.stall_ratio, labels.mean_kbps, labels.switches)
    assert unknown == (None,) * 6
    scores = Scorer().scores(labels)
    assert (scores.mos, scores.mos_stalling, scores.startup_score) == (None, None, None)
    assert {slot.state for slot in slot_labels(labels, ())} == {"startup"}


def test_scores_fall_with_stalls_and_with_the_startup():
    scorer = Scorer()
    good, bad = scorer.scores(smooth()), scorer.scores(session_labels(EVENTS))
    assert good.mos is not None
    assert bad.mos is not None
    assert 1 <= bad.mos < good.mos <= 5
    assert good.mos_stalling == 5
    assert bad.mos_stalling is not None
    assert bad.mos_stalling < 5
    assert bad.startup_score == pytest.approx(100 * 8 / (8 + 1.5))


def smooth() -> SessionLabels:
    return session_labels([event for event in EVENTS if not event.event.startswith("stall")])
