"""What records can be filtered by, and the one filter that is no column: the peers whose own mean lies in a range.

That filter is text like any other, so that it fits into an address: `mean.mos=3..3.5`, open at either end (`..2` or `4.5..`), the
upper end not included. With `@FROM..TO` the means are those of that span, whatever span a query looks at, and nobody changes sides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from feedback_analysis.measures.exact import exact_sum
from feedback_analysis.measures.quantity import said
from feedback_analysis.measures.registry import Kind, measure_of, named
from feedback_analysis.measures.selection import MEAN, NOT, Selection, Span, UnknownColumn, is_column
from feedback_analysis.measures.statistics import Rows

DECIMALS = 9
"""Means are rounded so that a peer that always said 0.9 lies at the edge 0.9, not a binary fraction below it."""

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_GRAMMAR = re.compile(rf"(?P<low>{_NUMBER})?\.\.(?P<high>{_NUMBER})?(?:@(?P<begin>\d{{1,15}})\.\.(?P<end>\d{{1,15}}))?")


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` up to, and without, `high`; None is open. `span` None: that of the query."""

    low: float | None
    high: float | None
    span: Span | None

    @classmethod
    def parse(cls, text: str) -> "Range":
        """ValueError if `text` is no range."""
        found = _GRAMMAR.fullmatch(text)
        if found is None or (found["low"] is None and found["high"] is None):
            raise ValueError(f"{text[:40]!r} is no range of means; it needs two numbers, such as 3..3.5, or one, such as ..2")
        low, high = (None if found[name] is None else float(found[name]) for name in ("low", "high"))
        return cls(low, high, None if found["begin"] is None else Span(int(found["begin"]), int(found["end"])))


def is_mean_filter(name: str) -> bool:
    """Whether `name` filters by the means of a measure that peers have a value of."""
    measure = named(name.removeprefix(MEAN)) if name.startswith(MEAN) else None
    return measure is not None and "histogram" in measure.views


def is_filter(name: str) -> bool:
    """Whether `name` can be filtered by: a column, `not.` and a column, or `mean.` and a measure."""
    return is_column(name.removeprefix(NOT)) or is_mean_filter(name)


def check_filters(where: Mapping[str, str]) -> None:
    """ValueError unless `where` can be filtered by."""
    for name, value in where.items():
        if not is_filter(name):
            raise UnknownColumn(name)
        if is_mean_filter(name):
            Range.parse(value)


def at_span(text: str, span: Span) -> str:
    """The range `text` with the means of `span`, if it does not name one itself."""
    return text if "@" in text else f"{text}@{span.from_ms}..{span.to_ms}"


def peer_means(name: str, rows: Rows) -> Rows:
    """A row per peer with `weight` and its mean as `value`, of the rows that `quantity.said` gives for the measure `name`."""
    numerator, denominator = exact_sum("value * weight"), exact_sum("base * weight")
    value = f"CASE WHEN {denominator} > 0 THEN {numerator} / {denominator} END"
    if measure_of(name, "histogram").kind is Kind.SESSION:
        value = "arg_max(value, (received_ms, session_id, seq)) FILTER (WHERE value IS NOT NULL)"
    return rows.each("peer_id", "peer_id", "max(weight) AS weight", f"round({value}, {DECIMALS}) AS value")


def within(name: str, text: str, selection: Selection) -> str:
    """SQL: whether a record's peer has its mean in the range `text`, over the records that the other filters let through."""
    measure, wanted = measure_of(name.removeprefix(MEAN), "histogram"), Range.parse(text)
    others = {other: value for other, value in selection.where.items() if other != name}
    # The same parameters, so that the names in both texts do not collide.
    inner = Selection(wanted.span or selection.span, others, parameters=selection.parameters)
    peers = peer_means(measure.name, said(measure, inner, "peer_id", "session_id", "seq", "received_ms"))
    ends = [f"value >= {inner.bind(wanted.low)}"] if wanted.low is not None else []
    ends += [f"value < {inner.bind(wanted.high)}"] if wanted.high is not None else []
    return f"peer_id IN (SELECT peer_id FROM ({peers.sql}) WHERE {' AND '.join(ends)})"
