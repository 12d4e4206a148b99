"""Measures over time, from messages, in steps of equal length that begin with the time range.

A value belongs to the step that ends at its time. With a window, it covers all steps within the window, weighted by their contents.
The messages of one period and one window before the time range are read, too, so that no curve begins too low.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import duckdb

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.registry import COUNTS, Kind, Measure, measure_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline, longest_series, mean_series, windows
from feedback_analysis.messages.expressions import is_plain, sums_of, value_and_base
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.stalls_and_starts import VALUE_AND_BASE
from feedback_analysis.messages.table import FeedbackTable

_NEVER = 2**62

# 23 days in seconds. A query for more points is a mistake, and would fill the memory.
MOST_STEPS = 2_000_000


def timeline(
    table: FeedbackTable,
    *,
    measures: Sequence[str],
    span: Span,
    step_s: float,
    period_s: float,
    window_s: float = 0,
    latest_s: float = 0,
    where: Mapping[str, str] | None = None,
) -> Timeline:
    """`measures` at each step of `span`; a peer is present for `period_s` after each message.

    `window_s`: the length of a moving average, in whole steps; 0: none. `latest_s`: the length of the end of `span` of which the
    values are computed, too; 0: none. ValueError for an unknown measure, and for a step or an end below 1 s.
    """
    chosen = {name: measure_of(name, "timeline") for name in measures}
    steps = Steps.over(span, step_s=step_s, window_s=window_s)
    with table.reading() as cursor:
        # Measures of single messages are read together, so that the filters are computed once.
        plain = {name: measure for name, measure in chosen.items() if is_plain(measure)}
        known, latest = _means(cursor, plain, steps, latest_s, where or {})
        others = {name: measure for name, measure in chosen.items() if name not in plain}
        known |= {name: _series(cursor, measure, steps, period_s, where or {}) for name, measure in others.items()}
        if latest_s:
            end = Steps.over(steps.end(latest_s), step_s=latest_s, window_s=0)
            latest |= {name: _series(cursor, measure, end, period_s, where or {})[-1] for name, measure in others.items()}
    values = {name: known[name] for name in chosen}
    return Timeline(tuple(steps.end_ms(at) for at in range(steps.before, steps.count)), values, latest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps of `step_ms` from `begin_ms` to `to_ms`; the first `before` of the `count` steps lie before the span."""

    begin_ms: int
    to_ms: int
    step_ms: int
    before: int
    count: int

    @classmethod
    def over(cls, span: Span, *, step_s: float, window_s: float) -> "Steps":
        step_ms = round(step_s * 1000)
        if step_ms < 1000:
            raise ValueError(f"a step of {step_s} s is too short; the shortest step is one second")
        before = max(0, math.ceil(round(window_s * 1000) / step_ms) - 1)
        count = before + math.ceil((span.to_ms - span.from_ms) / step_ms)
        if count > MOST_STEPS:
            raise ValueError(f"{count:,} steps are too many; choose a longer step than {step_s} s")
        return cls(begin_ms=span.from_ms - before * step_ms, to_ms=span.to_ms, step_ms=step_ms, before=before, count=count)

    @property
    def span(self) -> Span:
        return Span(self.begin_ms, self.to_ms)

    def end(self, seconds: float) -> Span:
        """The last `seconds` of the time range, or all of it."""
        first_ms = self.begin_ms + self.before * self.step_ms
        return Span(max(first_ms, self.to_ms - round(seconds * 1000)), self.to_ms)

    def end_ms(self, at: int) -> int:
        return min(self.begin_ms + (at + 1) * self.step_ms, self.to_ms)

    def sql(self, moment: str) -> str:
        """SQL: the step in which `moment` lies."""
        return f"({moment} - {self.begin_ms}) // {self.step_ms}"

    def reached_sql(self, moment: str) -> str:
        """SQL: the first step that ends at or after `moment`; `count` if none does."""
        step = f"greatest(0, ({moment} - {self.begin_ms} + {self.step_ms - 1}) // {self.step_ms} - 1)"
        return f"CASE WHEN {moment} > {self.to_ms} THEN {self.count} ELSE {step} END"


def _means(
    cursor: duckdb.DuckDBPyConnection, measures: Mapping[str, Measure], steps: Steps, latest_s: float, where: Mapping[str, str]
) -> tuple[dict[str, tuple[float | None, ...]], dict[str, float | None]]:
    """The means of each step, and those of the last `latest_s` seconds (0: none)."""
    if not measures:
        return {}, {}
    selection = MessageSelection(steps.span, where)
    pairs = [value_and_base(measure, selection) for measure in measures.values()]
    columns = [f"{value} AS value_{at}, {base} AS base_{at}" for at, (value, base) in enumerate(pairs)]
    increases = not VALUE_AND_BASE.keys().isdisjoint(measures)
    moments = (f"{steps.sql('received_ms')} AS step", f"received_ms >= {steps.end(latest_s).from_ms} AS in_end")
    sql = selection.sql(*moments, "weight", *columns, increases=increases)
    sums = [exact_sum(f"{side}_{at} * weight") for at in range(len(pairs)) for side in ("value", "base")]
    sets = "(step), (in_end)" if latest_s else "(step)"
    chosen = ("step", "in_end" if latest_s else "false", *sums)
    found = cursor.execute(
        f"SELECT {', '.join(chosen)} FROM ({sql}) GROUP BY GROUPING SETS ({sets})", selection.parameters
    ).fetchall()
    by_step = {step: row for step, _, *row in found if step is not None}
    end = next((row for step, in_end, *row in found if step is None and in_end), [0] * len(sums))
    series, latest = {}, {}
    for at, name in enumerate(measures):
        numerator, base = 2 * at, 2 * at + 1
        means = {step: (row[numerator], row[base]) for step, row in by_step.items()}
        series[name] = mean_series(means, steps.count, before=steps.before)
        latest[name] = quotient(end[numerator], end[base])
    return series, latest if latest_s else {}


def _series(
    cursor: duckdb.DuckDBPyConnection, measure: Measure, steps: Steps, period_s: float, where: Mapping[str, str]
) -> tuple[float | None, ...]:
    if measure.kind in COUNTS:
        counts = _counts(cursor, measure, steps, period_s, where)
        if measure.kind is Kind.CUMULATIVE:
            return tuple(map(number, counts[steps.before :]))
        recorded = _recorded(cursor, measure, steps)
        each = zip(windows(counts, steps.before), windows(recorded, steps.before), strict=True)
        return tuple(number(held) / max(1, of) for held, of in each)
    selection = MessageSelection(steps.span, where, period_s=period_s)
    rows = selection.measured(measure, f"{steps.sql('received_ms')} AS step", aliases=("step",))
    sums = {group[0]: sums for group, sums in rows.aggregate(cursor, *sums_of(measure)).items()}
    series = longest_series if measure.kind is Kind.LONGEST else mean_series
    return series(sums, steps.count, before=steps.before)


def _counts(
    cursor: duckdb.DuckDBPyConnection, measure: Measure, steps: Steps, period_s: float, where: Mapping[str, str]
) -> list[int]:
    """The exact weight that `measure` counts in each step."""
    if measure.kind is Kind.CONCURRENT:
        return _concurrent(cursor, steps, round(period_s * 1000), where)
    if measure.kind is Kind.MESSAGES:
        rows = MessageSelection(steps.span, where).rows("weight", f"{steps.sql('received_ms')} AS step")
        return _per_step(cursor, steps, rows.sql, rows.parameters)
    if measure.kind is Kind.DISTINCT:
        rows = MessageSelection(steps.span, where).rows("peer_id", "weight", f"{steps.sql('received_ms')} AS step")
        return _per_step(
            cursor, steps, f"SELECT step, max(weight) AS weight FROM ({rows.sql}) GROUP BY peer_id, step", rows.parameters
        )
    # New to the whole table or, for the running total, to the time range.
    since_span = Span(steps.end_ms(steps.before - 1) if steps.before else steps.begin_ms, steps.to_ms)
    selection = MessageSelection(since_span if measure.kind is Kind.CUMULATIVE else None, where)
    first = f"SELECT min(received_ms) AS first_ms, max(weight) AS weight FROM ({selection.sql('*')}) GROUP BY peer_id"
    heard = f"first_ms >= {steps.begin_ms} AND first_ms < {steps.to_ms}"
    sql = f"SELECT {steps.sql('first_ms')} AS step, weight FROM ({first}) WHERE {heard}"
    counts = _per_step(cursor, steps, sql, selection.parameters)
    return list(accumulate(counts)) if measure.kind is Kind.CUMULATIVE else counts


def _concurrent(cursor: duckdb.DuckDBPyConnection, steps: Steps, period_ms: int, where: Mapping[str, str]) -> list[int]:
    """A message makes its peer present for a period, or until the peer's next message, so that no peer counts twice."""
    heard = MessageSelection(Span(steps.end_ms(0) - period_ms + 1, steps.to_ms + 1), where)
    until = f"least(received_ms + $period, coalesce(lead(received_ms) OVER (PARTITION BY peer_id ORDER BY received_ms), {_NEVER}))"
    present = (
        f"SELECT weight, received_ms AS begins, {until}::BIGINT AS ends FROM ({heard.sql('peer_id', 'weight', 'received_ms')})"
    )
    changes = f"""
        SELECT {steps.reached_sql("begins")} AS step, weight FROM ({present})
        UNION ALL SELECT {steps.reached_sql("ends")} AS step, -weight AS weight FROM ({present})
    """
    return list(accumulate(_per_step(cursor, steps, changes, heard.parameters | {"period": period_ms})))


def _per_step(cursor: duckdb.DuckDBPyConnection, steps: Steps, sql: str, parameters: Mapping[str, object]) -> list[int]:
    """The exact sum of the column `weight` for each value of `step`."""
    found = dict(cursor.execute(f"SELECT step, {exact_sum('weight')} FROM ({sql}) GROUP BY step", dict(parameters)).fetchall())
    return [found.get(at, 0) for at in range(steps.count)]


def _recorded(cursor: duckdb.DuckDBPyConnection, measure: Measure, steps: Steps) -> list[int]:
    """1 for each step that may have messages, else 0. Before the first record, the number of peers is unknown, not 0."""
    [(first_ms,)] = cursor.execute("SELECT min(received_ms) FROM feedback").fetchall()
    # A peer is present at the time of its message, but the step that ends at this time does not contain the message.
    reach_ms = 0 if measure.kind is Kind.CONCURRENT else 1
    return [int(first_ms is not None and steps.end_ms(at) >= first_ms + reach_ms) for at in range(steps.count)]
