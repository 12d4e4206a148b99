"""The display delay is the delay of what was shown lately."""

import numpy as np
import pytest

from monitor_platform.retrieval.display_delay import LAST_MS, LAST_RECORDS, DelayWindow


def columns(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_without_shown_messages_there_is_no_delay():
    assert DelayWindow().percentiles(now_ms=1) is None


def test_the_delay_is_the_time_from_the_end_hosts_clock_to_the_display():
    window = DelayWindow()
    window.shown(columns(900, 1000, 1100), now_ms=2000)
    p50, p95, records = window.percentiles(now_ms=2000)
    assert (p50, records) == (1000, 3)
    assert 1000 < p95 <= 1100


NOW = 1_790_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize("sent_ms", [0, 1, NOW - HOUR - 1, NOW + HOUR, NOW + 2_001, 2**53 - 1])
def test_a_message_with_an_impossible_clock_is_left_out_of_the_delay_and_counted(sent_ms):
    window = DelayWindow()
    assert window.shown(columns(sent_ms, NOW - 1000), now_ms=NOW) == 1
    assert window.percentiles(now_ms=NOW) == (1000, 1000, 1)


def test_a_clock_that_is_a_little_ahead_never_makes_the_delay_negative():
    window = DelayWindow()
    assert window.shown(columns(NOW + 2_000), now_ms=NOW) == 0
    assert window.percentiles(now_ms=NOW) == (0, 0, 1)


def test_a_delay_of_an_hour_is_valid():
    window = DelayWindow()
    assert window.shown(columns(NOW - HOUR), now_ms=NOW) == 0
    assert window.percentiles(now_ms=NOW)[0] == HOUR


def test_delays_are_dropped_after_minutes():
    window = DelayWindow()
    window.shown(columns(900), now_ms=2000)
    assert window.percentiles(now_ms=2000 + LAST_MS) is not None
    assert window.percentiles(now_ms=2001 + LAST_MS) is None


def test_delays_from_before_a_step_of_the_clock_are_dropped():
    """Those of a clock that was ahead stayed until it had caught up."""
    window = DelayWindow()
    window.shown(columns(NOW + HOUR - 900_000), now_ms=NOW + HOUR)
    window.shown(columns(NOW - 1000), now_ms=NOW)
    assert window.percentiles(now_ms=NOW) == (1000, 1000, 1)


def test_a_large_audience_takes_bounded_memory_and_the_newest_messages_count():
    window = DelayWindow()
    for now_ms in (1000, 2000, 3000):
        window.shown(np.full(LAST_RECORDS, now_ms - now_ms // 100, dtype=np.int64), now_ms=now_ms)
    assert window.percentiles(now_ms=3000) == (30, 30, LAST_RECORDS)
