"""One measure per region of the map, or per value of another dimension. Peers that cannot be located are a region of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import duckdb

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.partials import MERGED_WEIGHT, Partials, Source
from feedback_analysis.measures.registry import COUNTS, Kind, Measure
from feedback_analysis.measures.selection import REPORTING_PERIOD_S, Span
from feedback_analysis.measures.statistics import Group

RegionKind = Literal["area", "district"]


@dataclass(frozen=True, slots=True)
class RegionValue:
    """The measure's value over the `peers` in `region`; None if none of their messages carries it.

    `error`: the standard error of the value; None if it was not asked for, or cannot be known.
    """

    region: str
    value: float | None
    peers: float
    error: float | None = None


def by_region(
    source: Source,
    *,
    region: str,
    measure: str,
    span: Span | None,
    where: Mapping[str, str] | None = None,
    period_s: float = REPORTING_PERIOD_S,
    top: int | None = None,
    with_error: bool = False,
) -> list[RegionValue]:
    """The measure in each region (or value of the dimension `region`) with peers, the region with the most peers first.

    Concurrent peers are those at the end of `span`. If there are more than `top` values (None: no limit), those with the most
    messages stay separate; the others become one, `(other)`.

    `with_error`: with standard errors, which take peers as independent: the error of the mean of the peers' own means. A count has
    the error of a Poisson distribution, and a largest value has none.

    ValueError for a measure that maps cannot show, or that `source` does not keep.
    """
    chosen = source.measure(measure, "region")
    with source.reading() as cursor:
        selection = source.select(span, where or {}, (region,))
        if top is not None:
            selection, _ = selection.largest(cursor, top)
        peers = _peers(cursor, selection)
        values = peers if chosen.kind is Kind.DISTINCT else _values(cursor, chosen, selection, period_s)
        errors = _errors(cursor, chosen, selection, values) if with_error else {}
    absent = 0 if chosen.kind is Kind.CONCURRENT else None
    found = [RegionValue(name, values.get(name, absent), count, errors.get(name)) for name, count in peers.items()]
    return sorted(found, key=lambda each: (-each.peers, each.region))


def _values(
    cursor: duckdb.DuckDBPyConnection, measure: Measure, selection: Partials, period_s: float
) -> Mapping[str, float | None]:
    if measure.kind is Kind.CONCURRENT:
        return _peers(cursor, selection.present(period_s))
    if measure.kind is Kind.MESSAGES:
        return _weights(selection.message_count().by_group(cursor))
    found = selection.sums(measure).by_group(cursor)
    return {group[0]: quotient(*sums) for group, sums in found.items() if group[0] is not None}


def _errors(
    cursor: duckdb.DuckDBPyConnection, measure: Measure, selection: Partials, values: Mapping[str, float | None]
) -> dict[str, float]:
    """The standard error of each value, of which the data allow one. A single peer allows none."""
    if measure.kind in COUNTS:
        return {name: sqrt(value) for name, value in values.items() if value}
    if measure.kind is Kind.LONGEST:
        return dict.fromkeys(values, 0.0)
    spread = "stddev_samp(value) / sqrt(count(value))"
    found = selection.peer_values(measure).aggregate(cursor, spread, total=False)
    return {group[0]: error for group, (error,) in found.items() if group[0] is not None and error is not None}


def _peers(cursor: duckdb.DuckDBPyConnection, selection: Partials) -> dict[str, float]:
    return _weights(selection.peers().each("peer", MERGED_WEIGHT).aggregate(cursor, exact_sum("weight")))


def _weights(found: Mapping[Group, tuple[int, ...]]) -> dict[str, float]:
    return {group[0]: number(weight) for group, (weight,) in found.items() if group[0] is not None}
