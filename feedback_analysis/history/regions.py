"""One measure per region, or per value of any other dimension, as `measures.regions` has it, over whole hours."""

from collections.abc import Mapping

import duckdb

from feedback_analysis.history.cut import Cut, kept_measure, mean_sums, weighed, with_largest
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.history.summary import STARTUP, STARTUP_SUMS
from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.largest import DEFAULT
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import Kind, Measure
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import Rows


def by_region(
    store: HistoryStore,
    *,
    region: str,
    measure: str,
    span: Span | None,
    where: Mapping[str, str] | None = None,
    top: int = DEFAULT,
) -> list[RegionValue]:
    """The measure at each value of the dimension `region` at which peers were heard, most peers first.

    Of more than `top` values those with the most messages are told apart; the others are one, `(other)`. ValueError for a measure
    that maps cannot show, and for concurrent peers, who are told by moments and not by hours.
    """
    chosen = kept_measure(measure, "region")
    if chosen.kind is Kind.CONCURRENT:
        raise ValueError("concurrent_peers of a region has a moment, not a span of hours; choose total_peers or a timeline")
    with store.reading() as cursor:
        cut, _ = with_largest(cursor, Cut(span, where or {}, (region,)), top)
        rows = cut.rows("session_hour", "peer", "weight").each("peer", "max(weight) AS weight")
        peers = {group: number(weight) for group, weight in _single(cursor, rows, exact_sum("weight")).items()}
        values = peers if chosen.kind is Kind.DISTINCT else _values(cursor, chosen, cut)
    found = [RegionValue(name, values.get(name), count) for name, count in peers.items()]
    return sorted(found, key=lambda each: (-each.peers, each.region))


def _values(cursor: duckdb.DuckDBPyConnection, measure: Measure, cut: Cut) -> Mapping[str, float | None]:
    if measure.kind is Kind.MESSAGES:
        rows = cut.rows("session_hour", "weight", "messages")
        return {name: number(weight) for name, weight in _single(cursor, rows, weighed("messages")).items()}
    if measure.kind is Kind.SESSION:
        rows = cut.rows("session_hour", "session", "weight", "startup_ms", "startup_seq").each(
            "session", "max(weight) AS weight", STARTUP
        )
        sums = STARTUP_SUMS
    else:
        rows, sums = cut.rows("session_hour", "*"), mean_sums(measure.name)
    return {group[0]: quotient(*found) for group, found in rows.aggregate(cursor, *sums).items() if group[0] is not None}


def _single(cursor: duckdb.DuckDBPyConnection, rows: Rows, column: str) -> dict[str, int]:
    return {group[0]: value for group, (value,) in rows.aggregate(cursor, column).items() if group[0] is not None}
