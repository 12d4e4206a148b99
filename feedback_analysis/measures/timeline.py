"""The result of a timeline, and how it is computed from the partials of its steps.

Sums are merged before they are divided. Therefore each step of a moving average counts with its weight; a moving average is not a
mean of means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from feedback_analysis.measures.exact import number, quotient
from feedback_analysis.measures.registry import Kind, Measure


@dataclass(frozen=True, slots=True)
class Timeline:
    """`values[measure][i]` belongs to the step that ends at `at_ms[i]` (Unix ms); None where no message carries the measure.

    `latest[measure]` covers the end of the time range, if a query asks for it.
    """

    at_ms: tuple[int, ...]
    values: dict[str, tuple[float | None, ...]]
    latest: Mapping[str, float | None] = field(default_factory=dict)


def windows(values: Sequence[int], before: int) -> list[int]:
    """For each step but the first `before`: the sum of its value and the `before` values in front of it."""
    sums = [0, *accumulate(values)]
    return [sums[at + 1] - sums[at - before] for at in range(before, len(values))]


def mean_series(sums: Mapping[int, tuple[int, ...]], count: int, *, before: int = 0) -> tuple[float | None, ...]:
    """The means of `count` steps from exact numerators and denominators by step, over windows as `windows` has them."""
    pairs = [sums.get(at, (0, 0)) for at in range(count)]
    above, below = ([pair[side] for pair in pairs] for side in (0, 1))
    return tuple(map(quotient, windows(above, before), windows(below, before)))


def longest_series(sums: Mapping[int, tuple[int, ...]], count: int, *, before: int = 0) -> tuple[float | None, ...]:
    """The largest value of each of `count` steps, from its exact value and 1 by step, over windows as `windows` has them."""
    each = [quotient(*sums.get(at, (0, 0))) for at in range(count)]
    known = ([value for value in each[at - before : at + 1] if value is not None] for at in range(before, count))
    return tuple(max(values, default=None) for values in known)


def count_series(measure: Measure, weights: Mapping[int, int], count: int) -> tuple[float, ...]:
    """What `measure` counts in each of `count` steps, from exact weights by step; a running total if it is cumulative."""
    counts = [weights.get(at, 0) for at in range(count)]
    return tuple(map(number, accumulate(counts) if measure.kind is Kind.CUMULATIVE else counts))
