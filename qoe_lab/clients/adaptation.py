"""Which representation a player asks for next. Pure: it knows rates and the buffer, and no clock.

The rule is that of common players: the highest rate that is below a share of the measured throughput. While little is in the
buffer, the share is smaller.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from qoe_lab.clients.habits import Habits


@dataclass(slots=True)
class Throughput:
    """The harmonic mean of the last segments: one slow segment weighs more than a fast one."""

    segments: int
    _measured: deque[float] = field(default_factory=deque)

    def add(self, data_bytes: int, took_s: float) -> None:
        """Add a segment that has arrived."""
        self._measured.append(data_bytes * 8 / max(took_s, 1e-3))
        if len(self._measured) > self.segments:
            self._measured.popleft()

    @property
    def bps(self) -> float | None:
        """The throughput in bit/s; None before the first segment."""
        return len(self._measured) / sum(1 / max(each, 1.0) for each in self._measured) if self._measured else None


def choose(habits: Habits, rates_bps: Sequence[int], throughput_bps: float | None, buffer_s: float) -> int:
    """The index of the next representation; `rates_bps` are sorted. Without a measured throughput it is the lowest."""
    if habits.chosen is not None:
        return min(habits.chosen, len(rates_bps) - 1)
    if throughput_bps is None:
        return 0
    share = habits.share_of_low_buffer if buffer_s < habits.low_buffer_s else habits.share
    return max(sum(rate <= share * throughput_bps for rate in rates_bps) - 1, 0)
