"""The input of a rule: the measure in each of its slices and minutes, and the number of sessions behind it."""

from collections import defaultdict
from dataclasses import dataclass

import duckdb

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.registry import START_FAILURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import Group, Rows
from feedback_analysis.messages.expressions import sums_of
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.stalls_and_starts import PATIENCE_PERIODS
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.rules import Rule

MOST_SLICES = 1_000
"""Slices of a rule in one hour; all others are one slice, `(other)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A slice in one minute; `names`: its values of the fields in the rule's `by`."""

    names: tuple[str, ...]
    value: float | None
    sessions: int
    """Of a rule about measurements: operations."""


def observations(table: FeedbackTable, *, rule: Rule, span: Span) -> dict[int, list[Observation]]:
    """The observations of each minute of `span`, by the minute's end in Unix ms. `span` begins at a full minute.

    A failed start is known two reporting periods after the join. So a minute's failed starts are those of the sessions that joined
    so long before it.
    """
    late_ms = round(PATIENCE_PERIODS * table.period_s * 1000) if rule.measure == START_FAILURES else 0
    step = f"(received_ms + {late_ms} - {span.from_ms}) // {MINUTE_MS} AS step"
    with table.reading() as cursor:
        reached = Span(max(0, span.from_ms - late_ms), span.to_ms)
        chosen, _ = table.select(reached, rule.where, rule.by).largest(cursor, MOST_SLICES)
        sessions = _sessions(cursor, rule, chosen, step)
        if rule.counts_peers:
            heard = chosen.rows("peer_id", "weight", step)
            peers = Rows(sql=heard.sql, parameters=heard.parameters, aliases=(*heard.aliases, "step"), total=False)
            weighed = peers.each("peer_id", "max(weight) AS weight").aggregate(cursor, exact_sum("weight"))
            values: dict[tuple[object, ...], float | None] = {group: number(weight) for group, (weight,) in weighed.items()}
        else:
            rows = chosen.measured(rule.watched(), step, aliases=("step",))
            values = {group: quotient(*sums) for group, sums in rows.aggregate(cursor, *sums_of(rule.watched())).items()}
    seen: defaultdict[int, list[Observation]] = defaultdict(list)
    for group, (count,) in sessions.items():
        *names, at = group
        if at is not None:
            seen[span.from_ms + (int(at) + 1) * MINUTE_MS].append(
                Observation(names=tuple(map(str, names)), value=values.get(group), sessions=count)
            )
    return {end_ms: seen[end_ms] for end_ms in range(span.from_ms + MINUTE_MS, span.to_ms + 1, MINUTE_MS)}


def _sessions(cursor: duckdb.DuckDBPyConnection, rule: Rule, chosen: MessageSelection, step: str) -> dict[Group, tuple[int, ...]]:
    """How many sessions each slice has in each minute; of failed starts, how many tried to start."""
    if rule.measure == START_FAILURES:
        rows = chosen.values(rule.watched(), "session_id", step, aliases=("step",))
    else:
        heard = chosen.rows("session_id", step)
        rows = Rows(sql=heard.sql, parameters=heard.parameters, aliases=(*heard.aliases, "step"), total=False)
    return rows.aggregate(cursor, "count(DISTINCT session_id)")
