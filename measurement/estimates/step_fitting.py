"""The best fit of a step function to a sequence of values, by dynamic programming (Pathneck, Hu et al. 2004, section 3.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

SMALLEST_STEP = 100.0


@dataclass(frozen=True, slots=True)
class Step:
    """The fitted function jumps from the mean `before` to the mean `after` between `place - 1` and `place`."""

    place: int
    before: float
    after: float


def fit_steps(values: Sequence[float], *, smallest_step: float = SMALLEST_STEP) -> list[Step]:
    """The steps of the function with the least sum of absolute distances, in order of their place.

    Each step is larger than `smallest_step`. Among equally good functions, the one with the fewest steps is taken.
    """
    if not values:
        return []
    segments = _segments(values, smallest_step)
    return [Step(later[0], _mean(values, earlier), _mean(values, later)) for earlier, later in pairwise(segments)]


def _mean(values: Sequence[float], segment: tuple[int, int]) -> float:
    first, end = segment
    return sum(values[first:end]) / (end - first)


def _segments(values: Sequence[float], smallest_step: float) -> list[tuple[int, int]]:
    """The segments as (first, end). `best[first, end]` is the best fit of values[:end] whose last segment starts at `first`."""
    count = len(values)
    sums = [0.0, *accumulate(values)]
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    """Cost, number of steps, and the start of the segment before; -1 if there is none."""
    for end in range(1, count + 1):
        for first in range(end):
            mean = (sums[end] - sums[first]) / (end - first)
            own = sum(abs(value - mean) for value in values[first:end])
            found = (own, 0, -1) if first == 0 else (math.inf, 0, -1)
            for before in range(first):
                cost, steps, _ = best[before, first]
                if abs((sums[first] - sums[before]) / (first - before) - mean) > smallest_step:
                    found = min(found, (cost + own, steps + 1, before))
            best[first, end] = found
    first, end = min(((first, count) for first in range(count)), key=lambda segment: best[segment][:2])
    segments = [(first, end)]
    while (before := best[first, end][2]) >= 0:
        first, end = before, first
        segments.append((first, end))
    return segments[::-1]
