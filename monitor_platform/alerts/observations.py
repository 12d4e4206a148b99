"""The input of a rule: the measure in each of its slices and minutes, and the number of sessions behind it."""

from collections import defaultdict
from dataclasses import dataclass

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import Rows
from feedback_analysis.messages.expressions import SUMS
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


def observations(table: FeedbackTable, *, rule: Rule, span: Span) -> dict[int, list[Observation]]:
    """The observations of each minute of `span`, by the minute's end in Unix ms. `span` begins at a full minute."""
    step = f"(received_ms - {span.from_ms}) // {MINUTE_MS} AS step"
    with table.reading() as cursor:
        chosen, _ = table.select(span, rule.where, rule.by).largest(cursor, MOST_SLICES)
        heard = chosen.rows("session_id", "peer_id", "weight", step)
        grouped = Rows(sql=heard.sql, parameters=heard.parameters, aliases=(*heard.aliases, "step"), total=False)
        sessions = grouped.aggregate(cursor, "count(DISTINCT session_id)")
        if rule.counts_peers:
            peers = Rows(sql=grouped.sql, parameters=grouped.parameters, aliases=grouped.aliases, total=False)
            weighed = peers.each("peer_id", "max(weight) AS weight").aggregate(cursor, exact_sum("weight"))
            values: dict[tuple[object, ...], float | None] = {group: number(weight) for group, (weight,) in weighed.items()}
        else:
            rows = chosen.measured(rule.watched(), step, aliases=("step",))
            values = {group: quotient(*sums) for group, sums in rows.aggregate(cursor, *SUMS).items()}
    seen: defaultdict[int, list[Observation]] = defaultdict(list)
    for group, (count,) in sessions.items():
        *names, at = group
        if at is not None:
            seen[span.from_ms + (int(at) + 1) * MINUTE_MS].append(
                Observation(names=tuple(map(str, names)), value=values.get(group), sessions=count)
            )
    return {end_ms: seen[end_ms] for end_ms in range(span.from_ms + MINUTE_MS, span.to_ms + 1, MINUTE_MS)}
