"""Ratios of lost packets with their confidence, and packets that arrived twice or in a different order."""

from collections.abc import Iterable
from dataclasses import dataclass

from feedback_wire.share_interval import interval_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRatio:
    """A share of lost packets, 0 to 1, with the bounds of its Wilson interval. None: nothing was sent."""

    ratio: float | None
    low: float | None
    high: float | None


def loss_ratio(lost: int, sent: int) -> LossRatio:
    """The share of lost packets (RFC 6673) and its Wilson interval of 95 %.

    The interval is meaningful for few packets too: after 10 answers of 10, the loss can still be up to 28 %.
    ValueError if more packets were lost than sent.
    """
    if not 0 <= lost <= sent:
        raise ValueError(f"{lost} of {sent} packets cannot be lost")
    if sent == 0:
        return LossRatio(ratio=None, low=None, high=None)
    interval = interval_of(lost, sent)
    return LossRatio(ratio=lost / sent, low=interval.low, high=interval.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalOrder:
    """Counts of packets. A duplicate is not counted as reordered."""

    received: int
    """Different packets."""
    duplicates: int
    reordered: int
    """Packets that arrived after a packet that was sent later (RFC 4737, 3.3)."""


def arrival_order(sequence_numbers: Iterable[int]) -> ArrivalOrder:
    """Count duplicates and reordered packets; `sequence_numbers` are in the order of arrival."""
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
