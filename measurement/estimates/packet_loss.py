"""Ratios of lost packets with their confidence, and packets that arrived twice or in a different order."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""The standard normal distribution has 95 % of its mass within this distance of 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRatio:
    """A share of lost packets, 0 to 1, with the bounds of its Wilson interval. None: nothing was sent."""

    ratio: float | None
    low: float | None
    high: float | None


def loss_ratio(lost: int, sent: int, *, z: float = Z_95) -> LossRatio:
    """The share of lost packets (RFC 6673) and its Wilson score interval (Wilson 1927); by default of 95 %.

    The interval is meaningful for few packets too: after 10 answers of 10, the loss can still be up to 28 %.
    ValueError if more packets were lost than sent.
    """
    if not 0 <= lost <= sent:
        raise ValueError(f"{lost} of {sent} packets cannot be lost")
    if sent == 0:
        return LossRatio(ratio=None, low=None, high=None)
    ratio = lost / sent
    scale = 1 + z * z / sent
    middle = ratio + z * z / (2 * sent)
    spread = z * math.sqrt(ratio * (1 - ratio) / sent + z * z / (4 * sent * sent))
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return LossRatio(ratio=ratio, low=0.0 if lost == 0 else max(low, 0.0), high=1.0 if lost == sent else min(high, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalOrder:
    """Counts of packets. A duplicate is not counted as reordered."""

    received: int
    """Different packets."""
    duplicates: int
    reordered: int
    """Packets that arrived after a packet that was sent later (RFC 4737, 3.3)."""


def arrival_order(sequence_numbers: Iterable[int]) -> ArrivalOrder:
    """Count what happened to the packets whose sequence numbers arrived in this order."""
    seen: set[int] = set()
    duplicates = reordered = 0
    expected: int | None = None
    for number in sequence_numbers:
        if number in seen:
            duplicates += 1
            continue
        seen.add(number)
        if expected is not None and number < expected:
            reordered += 1
        else:
            expected = number + 1
    return ArrivalOrder(received=len(seen), duplicates=duplicates, reordered=reordered)
