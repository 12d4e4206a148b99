"""Two clocks, never one: intervals are measured on a clock that nobody sets, messages are dated by the one that people read."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where a session reads the time; `endhost_sdk.testing.HandClock` stands still until it is told to move."""

    def monotonic_s(self) -> float:
        """Seconds since any fixed moment; never runs backwards."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000
