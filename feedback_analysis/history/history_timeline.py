"""Measures over time, in steps of a minute, an hour or longer, equal to those of `messages.message_timeline` for the same steps.

Sums per minute are kept in total and for each value of one dimension. Under several filters, and for startups, an hour is the
shortest step. Counts of peers are known by the minute under any filter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import duckdb

from feedback_analysis.history.history_selection import (
    HourSelection,
    Minutes,
    kept_measure,
    mean_sums,
    summed,
    weighed,
    whole_hours,
)
from feedback_analysis.history.peers import Weights, distinct, heard, newcomers, present
from feedback_analysis.history.periods import JOINED, Periods, Unit, periods
from feedback_analysis.history.schema import DIMENSIONS, HOUR_MINUTES
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.measures.partials import STARTUP, STARTUP_SUMS
from feedback_analysis.measures.registry import COUNTS, START_FAILURES, Kind, Measure
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline, count_series, mean_series
from feedback_analysis.messages.expressions import SUMS
from feedback_analysis.time_units import MINUTE_MS

MOST_MINUTES = 50_000
"""Five weeks; a query for more points is a mistake."""

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
        values = {
            name: _minute_series(cursor, measure, HourSelection(span, where), range(first, last))
            for name, measure in chosen.items()
        }
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
        hours = HourSelection(steps.span, where or {}, period_s=store.basis.period_s)
        values = {name: _series(cursor, measure, replace(hours, parameters={}), steps) for name, measure in chosen.items()}
    return Timeline(steps.begins_ms[1:], values)


def _sums_by_step(cursor: duckdb.DuckDBPyConnection, measure: Measure, hours: HourSelection, steps: Periods) -> _Sums:
    """Numerator and denominator of a mean or ratio in each step that has any."""
    if measure.name == START_FAILURES:
        starts = hours.starts("step", joined=JOINED)
        sql, parameters = f"SELECT step, {', '.join(SUMS)} FROM ({starts.sql})", starts.parameters
    elif measure.kind is not Kind.SESSION:
        sql, parameters = summed(hours, "step", *mean_sums(measure.name), joined=JOINED)
    else:
        sessions = f"{hours.sql('session_hour', 'step', 'max(weight) AS weight', STARTUP, joined=JOINED)} GROUP BY step, session"
        sql, parameters = f"SELECT step, {', '.join(STARTUP_SUMS)} FROM ({sessions})", hours.parameters
    rows = cursor.execute(f"{sql} GROUP BY step", {**parameters, **steps.parameters}).fetchall()
    return {step: (above, below) for step, above, below in rows}


def _minute_series(
    cursor: duckdb.DuckDBPyConnection, measure: Measure, hours: HourSelection, of: range
) -> tuple[float | None, ...]:
    if measure.kind in _AUDIENCE:
        counts = _AUDIENCE[measure.kind](cursor, hours)
        return count_series(measure, {minute - of.start: count for minute, count in counts.items()}, len(of))
    kept = Minutes.of(hours)
    if measure.kind is Kind.SESSION:
        raise ValueError(f"{measure.name} is kept by session and hour, not by minute; choose steps of an hour")
    if kept is None:
        raise ValueError(
            f"{measure.name} by the minute is kept for all messages and for one value of {', '.join(DIMENSIONS)}; "
            "leave the other filters out, or choose steps of an hour"
        )
    sums = (weighed("messages"), "1") if measure.kind is Kind.MESSAGES else mean_sums(measure.name)
    found = cursor.execute(f"{kept.sql('minute', *sums)} GROUP BY minute", kept.parameters).fetchall()
    if measure.kind is Kind.MESSAGES:
        return count_series(measure, {minute - of.start: messages for minute, messages, _ in found}, len(of))
    return mean_series({minute - of.start: (above, below) for minute, above, below in found}, len(of))


def _new(cursor: duckdb.DuckDBPyConnection, hours: HourSelection) -> Weights:
    """Peers that are new to the whole history, not only to the time range."""
    return newcomers(cursor, HourSelection(None, hours.where))


_AUDIENCE: dict[Kind, Callable[[duckdb.DuckDBPyConnection, HourSelection], Weights]] = {
    Kind.CONCURRENT: present,
    Kind.DISTINCT: heard,
    Kind.NEW: _new,
    Kind.CUMULATIVE: newcomers,
}


def _series(cursor: duckdb.DuckDBPyConnection, measure: Measure, hours: HourSelection, steps: Periods) -> tuple[float | None, ...]:
    if measure.kind in COUNTS:
        return count_series(measure, _counts(cursor, measure, hours, steps), len(steps.names))
    return mean_series(_sums_by_step(cursor, measure, hours, steps), len(steps.names))


def _counts(cursor: duckdb.DuckDBPyConnection, measure: Measure, hours: HourSelection, steps: Periods) -> Weights:
    if measure.kind is Kind.DISTINCT:
        return distinct(cursor, hours, steps)
    if measure.kind is Kind.MESSAGES:
        sql, parameters = summed(hours, "step", weighed("messages"), joined=JOINED)
        return dict(cursor.execute(f"{sql} GROUP BY step", {**parameters, **steps.parameters}).fetchall())
    if measure.kind is Kind.CONCURRENT:
        ends = {end // MINUTE_MS - 1: at for at, end in enumerate(steps.begins_ms[1:])}
        return {ends[minute]: count for minute, count in present(cursor, hours, at_hours=True).items() if minute in ends}
    by_minute = newcomers(cursor, HourSelection(None, hours.where) if measure.kind is Kind.NEW else hours)
    return in_steps(by_minute, steps)


def in_steps(by_minute: Weights, steps: Periods) -> Weights:
    """The sums of minutes by step; minutes outside all steps are left out."""
    found: Weights = {}
    by_hour = steps.by_hour
    for minute, weight in by_minute.items():
        at = by_hour.get(minute // HOUR_MINUTES)
        if at is not None:
            found[at] = found.get(at, 0) + weight
    return found
