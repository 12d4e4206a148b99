"""The start and end of alerts, minute by minute, without a clock."""

from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.detector import Detector
from monitor_platform.alerts.observations import Observation
from monitor_platform.alerts.rules import Rule


def rule(**settings):
    return Rule(**{"name": "low", "measure": "mos", "by": ("isp",), "where": {}, "for_minutes": 2} | settings)


def play(detector, values, *, sessions=100, name="HKBN", from_minute=1):
    """Feed one slice's values, a minute each (None: no messages); return (minute, begins or ends) of each change."""
    changed = []
    for minute, value in enumerate(values, from_minute):
        seen = [] if value is None else [Observation(names=(name,), value=value, sessions=sessions)]
        for alert in detector.observe(minute * MINUTE_MS, seen):
            changed.append((minute, "begins" if alert.ended_ms is None else "ends"))
    return changed


def test_an_alert_begins_after_bad_minutes_in_a_row_and_ends_after_as_many_good_ones():
    assert play(Detector(rule(below=3.0)), [4, 2, 4, 2, 2, 2, 4, 2, 4, 4, 4]) == [(5, "begins"), (10, "ends")]


def test_an_alert_states_its_start_and_its_worst_value():
    detector = Detector(rule(below=3.0))
    play(detector, [4, 2.5, 2.0, 1.5])
    [alert] = detector.open
    assert (alert.began_ms, alert.value, alert.worst, alert.limit) == (2 * MINUTE_MS, 2.0, 1.5, 3.0)
    assert alert.slice == {"isp": "HKBN"}


def test_a_thin_slice_raises_no_alert():
    assert play(Detector(rule(below=3.0)), [1] * 10, sessions=24) == []
    assert play(Detector(rule(below=3.0)), [1] * 10, sessions=25) == [(2, "begins")]


def test_minutes_without_messages_end_an_alert_except_for_a_vanished_audience():
    assert play(Detector(rule(below=3.0)), [2, 2, None, None]) == [(2, "begins"), (4, "ends")]
    assert play(Detector(rule(measure="peers", below=50)), [100, 100, None, None, None]) == [(4, "begins")]


def test_slices_are_evaluated_independently():
    detector = Detector(rule(below=3.0))
    for minute in (1, 2):
        seen = [Observation(names=(name,), value=value, sessions=50) for name, value in (("HGC", 2.0), ("PCCW", 4.0))]
        detector.observe(minute * MINUTE_MS, seen)
    assert [alert.names for alert in detector.open] == [("HGC",)]


def test_a_deviation_is_relative_to_the_slices_own_past():
    usual = [4.0, 4.1, 3.9, 4.0, 4.1, 3.9] * 4
    assert play(Detector(rule(deviates=4)), [*usual, 3.0, 3.0]) == [(len(usual) + 2, "begins")]
    assert play(Detector(rule(deviates=4)), [value - 1 for value in usual] + [3.0, 3.0]) == []


def test_a_value_that_is_better_than_the_baseline_is_no_deviation():
    assert play(Detector(rule(deviates=4)), [3.0] * 20 + [5.0] * 5) == []
    assert play(Detector(rule(measure="startup_ms", deviates=4)), [900.0] * 20 + [3000.0] * 2) == [(22, "begins")]


def test_a_lasting_deviation_does_not_become_the_baseline():
    changed = play(Detector(rule(deviates=4, baseline_minutes=20)), [4.0] * 20 + [2.0] * 100 + [4.0] * 3)
    assert changed == [(22, "begins"), (122, "ends")]


def test_no_deviation_is_detected_before_there_is_a_baseline():
    assert play(Detector(rule(deviates=4)), [4.0] * 9 + [1.0]) == []


def test_slices_that_disappeared_are_removed():
    detector = Detector(rule(below=3.0, baseline_minutes=5))
    for minute in range(1, 200):
        detector.observe(minute * MINUTE_MS, [Observation(names=(f"channel {minute}",), value=4.0, sessions=50)])
    assert len(detector._slices) <= 10


@given(st.lists(st.none() | st.floats(1, 5), max_size=60), st.integers(1, 5))
def test_start_and_end_alternate_and_each_has_its_reason(values, for_minutes):
    changed = play(Detector(rule(below=3.0, for_minutes=for_minutes)), values)
    assert [what for _, what in changed] == ["begins", "ends"] * (len(changed) // 2) + ["begins"] * (len(changed) % 2)
    for minute, what in changed:
        stretch = values[minute - for_minutes : minute]
        bad = [value is not None and value < 3.0 for value in stretch]
        assert len(stretch) == for_minutes
        assert all(bad) if what == "begins" else not any(bad)


def test_the_reading_is_of_the_slice_that_is_furthest_beyond_its_limit():
    detector = Detector(rule(below=3.0))
    assert detector.reading is None
    values = (("HKBN", 3.2, 40), ("PCCW", 2.9, 30), ("thin", 1.0, 5))
    detector.observe(MINUTE_MS, [Observation(names=(isp,), value=value, sessions=sessions) for isp, value, sessions in values])
    reading = detector.reading
    assert (reading.names, reading.value, reading.limit, reading.sessions, reading.slices) == (("PCCW",), 2.9, 3.0, 30, 2)
    detector.observe(2 * MINUTE_MS, [])
    assert detector.reading is reading


def test_the_reading_of_a_rule_for_peers_is_zero_when_the_audience_is_gone():
    detector = Detector(rule(measure="peers", below=20, by=()))
    detector.observe(MINUTE_MS, [Observation(names=(), value=50.0, sessions=50)])
    detector.observe(2 * MINUTE_MS, [])
    assert (detector.reading.at_ms, detector.reading.value, detector.reading.limit) == (2 * MINUTE_MS, 0.0, 20)
