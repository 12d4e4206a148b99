"""One measure per region of the map. Buckets for what cannot be located are regions too: nobody is dropped for want of a place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import duckdb

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.quantity import SUMS, measured
from feedback_analysis.measures.registry import Kind, measure_of
from feedback_analysis.measures.selection import Selection, Span
from feedback_analysis.measures.statistics import Rows
from feedback_analysis.messages.table import FeedbackTable

Region = Literal["area", "district"]

# What end hosts do unless told otherwise, as in the paper.
REPORTING_PERIOD_S = 30.0


@dataclass(frozen=True, slots=True)
class RegionValue:
    """The measure's value among the `peers` heard in `region`; None if none of them said."""

    region: str
    value: float | None
    peers: float


def by_region(
    table: FeedbackTable,
    *,
    region: Region,
    measure: str,
    span: Span,
    where: Mapping[str, str] | None = None,
    period_s: float = REPORTING_PERIOD_S,
) -> list[RegionValue]:
    """The measure in each region in which peers were heard, most peers first; ValueError for a measure that maps cannot show.

    Concurrent peers are those at the end of the span.
    """
    chosen = measure_of(measure, "region")
    where = where or {}
    with table.reading() as cursor:
        peers = _peers(cursor, Selection(span, where, (region,)))
        if chosen.kind is Kind.DISTINCT:
            values: Mapping[str, float | None] = peers
        elif chosen.kind is Kind.CONCURRENT:
            values = _peers(cursor, Selection(heard_at(span.to_ms, period_s), where, (region,)))
        elif chosen.kind is Kind.MESSAGES:
            values = _weights(cursor, Rows.of(Selection(span, where, (region,)), "weight"))
        else:
            rows = measured(chosen, Selection(span, where, (region,)))
            values = {_name(group): quotient(*sums) for group, sums in rows.aggregate(cursor, *SUMS).items()}
    nobody = 0 if chosen.kind is Kind.CONCURRENT else None
    found = [RegionValue(name, values.get(name, nobody), count) for name, count in peers.items()]
    return sorted(found, key=lambda each: (-each.peers, each.region))


def heard_at(moment_ms: int, period_s: float) -> Span:
    """The messages that make a peer present at `moment_ms`: those of the period that ends with it."""
    return Span(moment_ms - round(period_s * 1000) + 1, moment_ms + 1)


def _peers(cursor: duckdb.DuckDBPyConnection, selection: Selection) -> dict[str, float]:
    return _weights(cursor, Rows.of(selection, "peer_id", "weight").each("peer_id", "max(weight) AS weight"))


def _weights(cursor: duckdb.DuckDBPyConnection, rows: Rows) -> dict[str, float]:
    found = rows.aggregate(cursor, exact_sum("weight"))
    return {_name(group): number(weight) for group, (weight,) in found.items() if group[0] is not None}


def _name(group: tuple[str | None, ...]) -> str:
    return group[0] or ""
