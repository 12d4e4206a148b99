"""Summaries of round-trip times. A lost packet (None) has no delay: it is never counted as 0, and a percentile that falls on a
lost packet is not known.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Delay = float | None
"""Milliseconds, or None for a packet without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTripSummary:
    """Round-trip times in milliseconds (RFC 2681). None: not known.

    The median and the 95th percentile are those of all packets, where a lost packet counts as infinitely late. The other values are
    those of the packets that were answered.
    """

    sent: int
    answered: int
    min_ms: Delay
    median_ms: Delay
    mean_ms: Delay
    p95_ms: Delay
    max_ms: Delay
    stddev_ms: Delay
    """The standard deviation of the population, so one answer has a deviation of 0."""
    ipdv_mean_ms: Delay
    """Mean of |D(i+1) - D(i)| over consecutive answered packets (RFC 3393). Many tools call this the jitter."""
    pdv_p95_ms: Delay
    """95th percentile of D(i) - min D (RFC 5481), of the answered packets."""


def summarize_round_trips(delays_ms: Sequence[Delay]) -> RoundTripSummary:
    """The summary of delays in milliseconds, in the order in which the packets were sent."""
    answered = [delay for delay in delays_ms if delay is not None]
    least = min(answered, default=0.0)
    steps = [abs(later - earlier) for earlier, later in pairwise(answered)]
    return RoundTripSummary(
        sent=len(delays_ms),
        answered=len(answered),
        min_ms=min(answered, default=None),
        median_ms=median_with_lost(delays_ms),
        mean_ms=statistics.fmean(answered) if answered else None,
        p95_ms=percentile_with_lost(delays_ms, 0.95),
        max_ms=max(answered, default=None),
        stddev_ms=statistics.pstdev(answered) if answered else None,
        ipdv_mean_ms=statistics.fmean(steps) if steps else None,
        pdv_p95_ms=percentile_with_lost([delay - least for delay in answered], 0.95),
    )


def percentile_with_lost(delays_ms: Sequence[Delay], fraction: float) -> Delay:
    """The smallest delay that at least `fraction` of the packets did not exceed (RFC 2330, 11.3); None if that packet was lost.

    `fraction` is above 0 and at most 1.
    """
    if not delays_ms:
        return None
    in_order = sorted(math.inf if delay is None else delay for delay in delays_ms)
    # 0.95 * 20 is 19.000000000000004 in floating point; the 19th delay is meant.
    place = max(math.ceil(fraction * len(in_order) - 1e-9), 1)
    return _finite(in_order[place - 1])


def median_with_lost(delays_ms: Sequence[Delay]) -> Delay:
    """The median of all packets (RFC 2681, 4.2); None if more than half of them were lost, or nothing was sent."""
    if not delays_ms:
        return None
    return _finite(statistics.median(math.inf if delay is None else delay for delay in delays_ms))


TRIMMED_SHARE = 0.95
RESENT_AFTER_MS = 1000.0
"""The time after which TCP sends a first packet again (RFC 6298)."""


def round_trips_per_minute(delays_ms: Sequence[Delay]) -> float | None:
    """60 s divided by the mean of the fastest 95 % (draft-ietf-ippm-responsiveness); None if no packet was answered.

    A lost packet counts as one that takes a second, because the draft measures with TCP, which sends it again.
    """
    if all(delay is None for delay in delays_ms):
        return None
    in_order = sorted(RESENT_AFTER_MS if delay is None else delay for delay in delays_ms)
    mean_ms = statistics.fmean(in_order[: max(round(TRIMMED_SHARE * len(in_order)), 1)])
    return 60_000 / mean_ms if mean_ms else None


def _finite(delay: float) -> Delay:
    return delay if math.isfinite(delay) else None
