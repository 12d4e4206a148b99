"""The display delay: from the creation of a message, by its end host's clock, to the moment when the dashboard can show it.

A delay below zero or above an hour means that a clock is wrong: such records are ignored and counted. Records from before the start
of the platform are ignored, too.
"""

from collections import deque
from threading import Lock

import numpy as np
import numpy.typing as npt

# 100,000 delays are 400 kB and take about a millisecond to sort; at 1,000 messages a second they are the last 100 s.
LAST_RECORDS = 100_000
LAST_MS = 5 * 60_000

# Clocks with NTP differ by less than 2 s. If a clock is ahead by up to 2 s, the delay counts as 0.
MOST_AHEAD_MS = 2_000
MOST_DELAY_MS = 3_600_000

Milliseconds = npt.NDArray[np.int64]


class DelayWindow:
    """The display delays of the last minutes. The worker thread writes them, and pages read them."""

    def __init__(self) -> None:
        self._shown: deque[tuple[int, npt.NDArray[np.float32]]] = deque()
        self._records = 0
        self._lock = Lock()

    def shown(self, sent_ms: Milliseconds, *, now_ms: int) -> int:
        """Note records that became visible at `now_ms`. Returns how many have an impossible delay."""
        whole = now_ms - sent_ms.astype(np.float64)  # no time that an end host sends can overflow
        likely = whole[(whole >= -MOST_AHEAD_MS) & (whole <= MOST_DELAY_MS)]
        delays = np.maximum(likely[-LAST_RECORDS:], 0).astype(np.float32)
        with self._lock:
            if len(delays):
                self._shown.append((now_ms, delays))
                self._records += len(delays)
            self._drop_old(now_ms)
        return len(whole) - len(likely)

    def percentiles(self, now_ms: int) -> tuple[float, float, int] | None:
        """Median and 95th percentile in milliseconds, and the number of records; None without recent records."""
        with self._lock:
            self._drop_old(now_ms)
            recent = [delays for _, delays in self._shown]
        if not recent:
            return None
        delays = np.concatenate(recent)
        p50, p95 = np.percentile(delays, [50, 95])
        return float(p50), float(p95), len(delays)

    def _drop_old(self, now_ms: int) -> None:
        while self._shown and (self._is_old(self._shown[0][0], now_ms) or self._records > LAST_RECORDS):
            self._records -= len(self._shown.popleft()[1])

    @staticmethod
    def _is_old(shown_ms: int, now_ms: int) -> bool:
        """Whether records are from before the last minutes. Those of a later time are from before the clock was set back."""
        return not now_ms - LAST_MS <= shown_ms <= now_ms + LAST_MS
