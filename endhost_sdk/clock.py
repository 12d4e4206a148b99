"""Two clocks, never one: intervals are measured on the monotonic clock, messages are dated by the wall clock.

The first one runs on while the process is stopped, so a clock also says for how long it was.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where a session reads the time: `Pulse` in an app, `endhost_sdk.testing.HandClock` in its tests."""

    def monotonic_s(self) -> float:
        """Seconds since any fixed moment; never runs backwards."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""

    def stopped_s(self, since_s: float) -> float:
        """Of the time since `since_s` on the monotonic clock, the seconds for which the process did not run."""


class SystemClock:
    """The machine's own clocks. Nothing here looks at them regularly, so no stop is noticed."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def stopped_s(self, since_s: float) -> float:
        return 0.0
