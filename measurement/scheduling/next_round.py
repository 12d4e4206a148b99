"""When the next round of a periodic request starts. Rounds that are over before they could start are missed, not piled up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NextRound:
    """`start_s` is on the caller's monotonic clock; `missed` rounds are left out before it."""

    start_s: float
    missed: int


def next_round(start_s: float, end_s: float, period_s: float) -> NextRound:
    """The round after one that was to start at `start_s` and has ended at `end_s`: at max(start + period, end).

    A start that is late takes the place of the latest round that it delays; the rounds before that one are missed. A round that is
    on time starts at a multiple of the period, so there is no drift.
    """
    if period_s <= 0:
        raise ValueError(f"the period is {period_s} s; a request that repeats needs a period above 0")
    if end_s <= start_s + period_s:
        return NextRound(start_s + period_s, 0)
    return NextRound(end_s, int((end_s - start_s) // period_s) - 1)
