"""How sure a share of bad samples is: its Wilson score interval of 95 % (Wilson 1927).

Agents write its bounds into measurement messages, and a diagnosis judges shares by the same bounds.
"""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""The standard normal distribution has 95 % of its mass within this distance of 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareInterval:
    """The bounds of a share, 0 to 1."""

    low: float
    high: float


def interval_of(bad: int, total: int) -> ShareInterval:
    """The interval of `bad` of `total` samples; it is meaningful for few samples too. Without samples, everything is possible."""
    if total == 0:
        return ShareInterval(low=0.0, high=1.0)
    share, scale = bad / total, 1 + Z_95 * Z_95 / total
    middle = share + Z_95 * Z_95 / (2 * total)
    spread = Z_95 * math.sqrt(share * (1 - share) / total + Z_95 * Z_95 / (4 * total * total))
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return ShareInterval(low=0.0 if bad == 0 else max(low, 0.0), high=1.0 if bad == total else min(high, 1.0))
