"""What counts as lossy, failing or slow. One sample never decides."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from feedback_wire.share_interval import Z_95, interval_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLimit:
    """Above which share of bad samples something is bad."""

    share: float
    fewest: int
    """With fewer samples, nothing is bad or good: neighbouring packets are often lost together."""

    @property
    def fewest_for_good(self) -> int:
        """How many samples, all of them good, prove a smaller share: the Wilson interval of 0 of n ends at z² / (n + z²)."""
        return int(Z_95 * Z_95 * (1 - self.share) / self.share) + 1


LOSSY = ShareLimit(share=0.05, fewest=10)
"""For packets. A path counts as clean after 73 packets without loss."""
FAILING = ShareLimit(share=0.25, fewest=2)
"""For operations. Two failures of two are enough: the share is at least 34 %."""
FEWEST_NOW = 3
FEWEST_EARLIER = 5
LEAST_STEP_MS = 5.0
"""A smaller step is not a problem of a viewer, even where earlier delays were all the same."""
NORMAL = 1.4826
"""Standard deviation divided by median absolute deviation, for a normal distribution."""


class Judgement(StrEnum):
    """Whether a path, a service or a delay is bad."""

    BAD = "bad"
    GOOD = "good"
    UNKNOWN = "unknown"


def judge_share(bad: int, total: int, limit: ShareLimit) -> Judgement:
    """BAD if the Wilson interval (95 %) of the share is above the limit, GOOD if it is below, UNKNOWN if it contains the limit."""
    share = interval_of(bad, total)
    if total < limit.fewest or share.low <= limit.share <= share.high:
        return Judgement.UNKNOWN
    return Judgement.BAD if share.low > limit.share else Judgement.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayStep:
    """Current delays compared with earlier ones, in milliseconds. None: too few samples."""

    judgement: Judgement
    now_ms: float | None = None
    earlier_ms: float | None = None
    missing: str = ""


def judge_delay(now_ms: Sequence[float], earlier_ms: Sequence[float]) -> DelayStep:
    """BAD if the median exceeds the earlier median by three deviations and by 5 ms.

    The deviation is 1.4826 times the median absolute deviation, so single outliers among the earlier values change nothing.
    """
    if len(now_ms) < FEWEST_NOW or len(earlier_ms) < FEWEST_EARLIER:
        missing = f"{FEWEST_NOW} delays now and {FEWEST_EARLIER} earlier; there are {len(now_ms)} and {len(earlier_ms)}"
        return DelayStep(judgement=Judgement.UNKNOWN, missing=missing)
    now, earlier = statistics.median(now_ms), statistics.median(earlier_ms)
    deviation = NORMAL * statistics.median(abs(delay - earlier) for delay in earlier_ms)
    slow = now > earlier + max(3 * deviation, LEAST_STEP_MS)
    return DelayStep(judgement=Judgement.BAD if slow else Judgement.GOOD, now_ms=now, earlier_ms=earlier)
