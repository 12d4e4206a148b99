"""Two clocks: the monotonic clock measures intervals, the wall clock dates messages.

The monotonic clock continues while the process is stopped, so a clock also returns the duration of stops.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """The clock of a session: `StopDetector` in an app, `endhost_sdk.testing.HandClock` in its tests."""

    def monotonic_s(self) -> float:
        """Seconds since any fixed moment; never runs backwards."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""

    def stopped_s(self, since_s: float) -> float:
        """The seconds since `since_s` (monotonic clock) during which the process did not run."""


class SystemClock:
    """The machine's clocks. This class detects no stops, because it does not read the clock regularly."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def stopped_s(self, since_s: float) -> float:
        return 0.0
