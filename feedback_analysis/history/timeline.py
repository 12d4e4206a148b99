"""Measures over time, in steps of a minute, an hour or longer, as `measures.timeline` has them for the same steps.

Minutes are kept for everybody and for each value of one dimension. Under several filters, or for startup delays, an hour is the
finest step; who was there is known by the minute under any filter.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import duckdb

from feedback_analysis.history.audience import Weights, distinct, heard, newcomers, present
from feedback_analysis.history.cut import Cut, Minutes, kept_measure, mean_sums, summed, weighed, whole_hours
from feedback_analysis.history.periods import JOINED, Periods, Unit, periods
from feedback_analysis.history.schema import DIMENSIONS, HOUR_MINUTES, MINUTE_MS
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.history.summary import STARTUP, STARTUP_SUMS
from feedback_analysis.measures.exact import number, quotient
from feedback_analysis.measures.registry import COUNTS, Kind, Measure
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline

MOST_MINUTES = 50_000
"""Five weeks; more points than that are a mistake."""

_Sums = dict[int, tuple[int, int]]


def minutes(store: HistoryStore, *, measures: Sequence[str], span: Span, where: Mapping[str, str] | None = None) -> Timeline:
    """`measures` in each minute of the whole hours of `span`; ValueError for what is kept by hours only."""
    where = where or {}
    chosen = {name: kept_measure(name, "timeline") for name in measures}
    span = whole_hours(span)
    first, last = span.from_ms // MINUTE_MS, span.to_ms // MINUTE_MS
    if last - first > MOST_MINUTES:
        raise ValueError(f"{last - first:,} minutes are too many to draw; choose a shorter range, or steps of an hour")
    with store.reading() as cursor:
        values = {name: _minute_series(cursor, measure, Cut(span, where), range(first, last)) for name, measure in chosen.items()}
    return Timeline(tuple((minute + 1) * MINUTE_MS for minute in range(first, last)), values)


def timeline(
    store: HistoryStore,
    *,
    measures: Sequence[str],
    span: Span,
    unit: Unit = "hour",
    zone: str = "UTC",
    where: Mapping[str, str] | None = None,
) -> Timeline:
    """`measures` in each `unit` of time that `span` touches; concurrent peers are those at its end."""
    chosen = {name: kept_measure(name, "timeline") for name in measures}
    steps = periods(span, unit, zone)
    with store.reading() as cursor:
        values = {name: _series(cursor, measure, Cut(steps.span, where or {}), steps) for name, measure in chosen.items()}
    return Timeline(steps.begins_ms[1:], values)


def sums_by_step(cursor: duckdb.DuckDBPyConnection, measure: Measure, cut: Cut, steps: Periods) -> _Sums:
    """Numerator and denominator of a mean or ratio in each step that has any."""
    if measure.kind is not Kind.SESSION:
        sql, parameters = summed(cut, "step", *mean_sums(measure.name), joined=JOINED)
    else:
        sessions = f"{cut.sql('session_hour', 'step', 'max(weight) AS weight', STARTUP, joined=JOINED)} GROUP BY step, session"
        sql, parameters = f"SELECT step, {', '.join(STARTUP_SUMS)} FROM ({sessions})", cut.parameters
    rows = cursor.execute(f"{sql} GROUP BY step", {**parameters, **steps.parameters}).fetchall()
    return {step: (above, below) for step, above, below in rows}


def _minute_series(cursor: duckdb.DuckDBPyConnection, measure: Measure, cut: Cut, of: range) -> tuple[float | None, ...]:
    if measure.kind in _AUDIENCE:
        counts = _AUDIENCE[measure.kind](cursor, cut)
        series = [counts.get(minute, 0) for minute in of]
        return tuple(map(number, accumulate(series) if measure.kind is Kind.CUMULATIVE else series))
    kept = Minutes.of(cut)
    if measure.kind is Kind.SESSION:
        raise ValueError(f"{measure.name} is kept by session and hour, not by minute; choose steps of an hour")
    if kept is None:
        raise ValueError(
            f"{measure.name} by the minute is kept for everybody and for one value of {', '.join(DIMENSIONS)}; "
            "leave the other filters out, or choose steps of an hour"
        )
    sums = (weighed("messages"), "1") if measure.kind is Kind.MESSAGES else mean_sums(measure.name)
    found = cursor.execute(f"{kept.sql('minute', *sums)} GROUP BY minute", kept.parameters).fetchall()
    known = {row[0]: row[1:] for row in found}
    if measure.kind is Kind.MESSAGES:
        return tuple(number(known.get(minute, (0,))[0]) for minute in of)
    return tuple(quotient(*known.get(minute, (0, 0))) for minute in of)


def _everything(cursor: duckdb.DuckDBPyConnection, cut: Cut) -> Weights:
    """New to all that is kept, not to the span."""
    return newcomers(cursor, Cut(None, cut.where))


_AUDIENCE: dict[Kind, Callable[[duckdb.DuckDBPyConnection, Cut], Weights]] = {
    Kind.CONCURRENT: present,
    Kind.DISTINCT: heard,
    Kind.NEW: _everything,
    Kind.CUMULATIVE: newcomers,
}


def _series(cursor: duckdb.DuckDBPyConnection, measure: Measure, cut: Cut, steps: Periods) -> tuple[float | None, ...]:
    if measure.kind in COUNTS:
        counts = _counts(cursor, measure, cut, steps)
        series = [counts.get(at, 0) for at in range(len(steps.names))]
        return tuple(map(number, accumulate(series) if measure.kind is Kind.CUMULATIVE else series))
    sums = sums_by_step(cursor, measure, cut, steps)
    return tuple(quotient(*sums.get(at, (0, 0))) for at in range(len(steps.names)))


def _counts(cursor: duckdb.DuckDBPyConnection, measure: Measure, cut: Cut, steps: Periods) -> Weights:
    if measure.kind is Kind.DISTINCT:
        return distinct(cursor, cut, steps)
    if measure.kind is Kind.MESSAGES:
        sql, parameters = summed(cut, "step", weighed("messages"), joined=JOINED)
        return dict(cursor.execute(f"{sql} GROUP BY step", {**parameters, **steps.parameters}).fetchall())
    if measure.kind is Kind.CONCURRENT:
        ends = {end // MINUTE_MS - 1: at for at, end in enumerate(steps.begins_ms[1:])}
        return {ends[minute]: count for minute, count in present(cursor, cut, at_hours=True).items() if minute in ends}
    by_minute = newcomers(cursor, Cut(None, cut.where) if measure.kind is Kind.NEW else cut)
    return in_steps(by_minute, steps)


def in_steps(by_minute: Weights, steps: Periods) -> Weights:
    """Minutes added up to steps; those outside are left out."""
    found: Weights = {}
    by_hour = steps.by_hour
    for minute, weight in by_minute.items():
        at = by_hour.get(minute // HOUR_MINUTES)
        if at is not None:
            found[at] = found.get(at, 0) + weight
    return found
