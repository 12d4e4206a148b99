"""The display delay says what a viewer's numbers went through, and forgets."""

import numpy as np

from monitor_platform.retrieval.delay import LAST_MS, LAST_RECORDS, DelayWindow


def columns(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_nothing_shown_has_no_delay():
    assert DelayWindow().percentiles(now_ms=1) is None


def test_the_delay_is_from_the_end_hosts_clock_to_the_showing():
    window = DelayWindow()
    window.shown(columns(900, 1000, 1100), now_ms=2000)
    p50, p95, records = window.percentiles(now_ms=2000)
    assert (p50, records) == (1000, 3)
    assert 1000 < p95 <= 1100


def test_an_end_host_whose_clock_runs_ahead_is_visible():
    window = DelayWindow()
    window.shown(columns(9000), now_ms=2000)
    assert window.percentiles(now_ms=2000) == (-7000, -7000, 1)


def test_minutes_later_the_delay_is_forgotten():
    window = DelayWindow()
    window.shown(columns(900), now_ms=2000)
    assert window.percentiles(now_ms=2000 + LAST_MS) is not None
    assert window.percentiles(now_ms=2001 + LAST_MS) is None


def test_a_crowd_takes_bounded_memory_and_the_newest_count():
    window = DelayWindow()
    for now_ms in (1000, 2000, 3000):
        window.shown(np.full(LAST_RECORDS, now_ms - now_ms // 100, dtype=np.int64), now_ms=now_ms)
    assert window.percentiles(now_ms=3000) == (30, 30, LAST_RECORDS)
