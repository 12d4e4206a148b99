"""Which representation a player asks for next. Pure: it knows rates and the buffer, and no clock.

The rule is that of common players: the highest rate that is below a share of the measured throughput. While little is in the
buffer, the share is smaller; a full buffer allows one step above it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

MEASURED_SEGMENTS = 4
SHARE = 0.85
SHARE_OF_LOW_BUFFER = 0.6
LOW_BUFFER_S = 4.0
RICH_BUFFER_S = 10.0


@dataclass(slots=True)
class Throughput:
    """The harmonic mean of the last segments: one slow segment weighs more than a fast one."""

    _measured: deque[float] = field(default_factory=lambda: deque(maxlen=MEASURED_SEGMENTS))

    def add(self, data_bytes: int, took_s: float) -> None:
        """A segment that has arrived."""
        self._measured.append(data_bytes * 8 / max(took_s, 1e-3))

    @property
    def bps(self) -> float | None:
        """None before the first segment."""
        return len(self._measured) / sum(1 / max(each, 1.0) for each in self._measured) if self._measured else None


def choose(rates_bps: Sequence[int], throughput_bps: float | None, buffer_s: float) -> int:
    """The index of the next representation; `rates_bps` are sorted. Without a measured throughput it is the lowest."""
    if throughput_bps is None:
        return 0
    share = SHARE_OF_LOW_BUFFER if buffer_s < LOW_BUFFER_S else SHARE
    fitting = sum(rate <= share * throughput_bps for rate in rates_bps)
    chosen = max(fitting - 1, 0)
    if buffer_s > RICH_BUFFER_S and chosen + 1 < len(rates_bps) and rates_bps[chosen + 1] <= throughput_bps * 1.1:
        return chosen + 1
    return chosen
