"""The share of the peers in each range of a measure. A peer counts once, at its own mean over the time range."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from feedback_analysis.measures.exact import exact_sum, number
from feedback_analysis.measures.partials import Source
from feedback_analysis.measures.registry import Measure
from feedback_analysis.measures.selection import Span

MOST_RANGES = 20


@dataclass(frozen=True, slots=True)
class Histogram:
    """`shares[i]` of the `peers` that have a value lie from `edges[i]` up to, and without, `edges[i + 1]`.

    The last range includes its end. A peer beyond the edges counts in the outermost range.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    peers: float


def histogram(
    source: Source,
    *,
    measure: str,
    span: Span | None,
    where: Mapping[str, str] | None = None,
    edges: Sequence[float] | None = None,
) -> Histogram:
    """The distribution of peers over the ranges between `edges` (None: about twenty round ones); no edges if there is no peer.

    ValueError for a measure that has no value per peer, and for edges that do not ascend.
    """
    chosen = source.measure(measure, "histogram")
    if edges is not None and (len(edges) < 2 or any(low >= high for low, high in pairwise(edges))):
        raise ValueError(f"histogram edges have to ascend, such as 0, 500, 1000; these are {', '.join(map(str, edges))}")
    peers = source.select(span, where or {}).peer_values(chosen)
    sql = f"SELECT value, {exact_sum('weight')} FROM ({peers.sql}) WHERE value IS NOT NULL GROUP BY value ORDER BY value"
    with source.reading() as cursor:
        return _shares(chosen, cursor.execute(sql, peers.parameters).fetchall(), edges)


def _shares(measure: Measure, peers: Sequence[tuple[float, int]], edges: Sequence[float] | None) -> Histogram:
    """The histogram of values in ascending order, each with the exact weight of the peers that have it."""
    if not peers:
        return Histogram(tuple(edges or ()), (0.0,) * (len(edges) - 1 if edges else 0), 0)
    edges = tuple(edges or _default_edges(measure, peers))
    held = [0] * (len(edges) - 1)
    for value, weight in peers:
        held[min(max(bisect_right(edges, value) - 1, 0), len(held) - 1)] += weight
    overall = sum(held)
    return Histogram(edges, tuple(weight / overall for weight in held), number(overall))


def _default_edges(measure: Measure, peers: Sequence[tuple[float, int]]) -> list[float]:
    """At most about twenty equal ranges between round numbers, over the measure's fixed range or where 98 % of peers lie."""
    low, high = measure.range if measure.name == "mos" and measure.range else _bulk(peers)
    step = _round_step((high - low) / MOST_RANGES or 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, max(last, first + 1) + 1)]


def _bulk(peers: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The range without the lowest and the highest hundredth of the peers, because one extreme value must not flatten the
    histogram."""
    overall, below = sum(weight for _, weight in peers), 0
    low, high = peers[0][0], peers[-1][0]
    for value, weight in peers:
        if below * 100 <= overall:
            low = value
        if below * 100 < overall * 99:
            high = value
        below += weight
    return low, high


def _round_step(about: float) -> float:
    """1, 2 or 5 times a power of ten, at least `about`."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= about * (1 - 1e-9))
