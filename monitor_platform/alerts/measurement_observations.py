"""The input of a rule about measurements: its value in each of its slices and minutes, over the operations of the last minutes.

An operation counts in the minutes after its receipt. An agent may measure every five minutes only, so one minute is too short.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from feedback_analysis.measurements.measured_paths import TARGET_SQL, value_sql
from feedback_analysis.measurements.measurement_summary import measurement_dimension
from feedback_analysis.measurements.path_changes import PathChange, path_changes
from feedback_analysis.measurements.traced_route import route_of_hops
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_groups import where_sql
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from monitor_platform.alerts.observations import Observation
from monitor_platform.alerts.rules import FAILED_RATIO, OPERATIONS, PATH_CHANGES, Rule

MOST_SLICES = 1_000
"""Slices of a rule in one query, those with the most operations. The others are not evaluated."""

LOOK_BACK_MS = 24 * HOUR_MS
"""Traces of earlier times show what a path was before it changed."""

MOST_TRACES = 100
"""Traces of one path that are compared: the latest ones."""

_HOPS = """from_json(hops, '[{"ttl":"UINTEGER","address":"VARCHAR"}]')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPath:
    """A change of the path from an agent to an address. `names`: the slice of its last trace."""

    agent: str
    target: str
    names: tuple[str, ...]
    change: PathChange


def measurement_observations(table: RecordTable, *, rule: Rule, span: Span) -> dict[int, list[Observation]]:
    """The observations of each minute of `span`, by the minute's end in Unix ms. `span` begins at a full minute."""
    ends = range(span.from_ms + MINUTE_MS, span.to_ms + 1, MINUTE_MS)
    seen: defaultdict[int, list[Observation]] = defaultdict(list)
    with table.reading() as db:
        for end_ms, names, value, operations in _values(db, rule, span):
            seen[end_ms].append(Observation(names=names, value=value, sessions=operations))
    if rule.measure == PATH_CHANGES:
        changes = [*changed_paths(table, rule=rule, span=Span(span.from_ms - LOOK_BACK_MS, span.to_ms))]
        seen = defaultdict(list, {end_ms: [_with_changes(each, changes, end_ms, rule) for each in seen[end_ms]] for end_ms in ends})
    found = {end_ms: seen[end_ms] for end_ms in ends}
    for each in found.values():
        heard = {one.names for one in each}
        each += (Observation(names=(name,), value=0.0, sessions=0) for name in rule.expected if (name,) not in heard)
    return found


def _values(db: duckdb.DuckDBPyConnection, rule: Rule, span: Span) -> Iterator[tuple[int, tuple[str, ...], float | None, int]]:
    """End of the minute, slice, value and number of operations."""
    matches, parameters = where_sql(rule.where, measurement_dimension)
    window_ms = rule.window_minutes * MINUTE_MS
    slices = [f"coalesce({measurement_dimension(name)}, '') AS d{number}" for number, name in enumerate(rule.by)]
    names = [f"d{number}" for number in range(len(rule.by))]
    keys = "".join(f", {name}" for name in names)
    chosen = f"""
        SELECT received_ms, {_value_sql(rule)} AS value{"".join(f", {each}" for each in slices)}
        FROM measurement WHERE {matches} AND received_ms >= {span.from_ms - window_ms} AND received_ms < {span.to_ms}
        {"AND technique = 'TRACEROUTE'" if rule.measure == PATH_CHANGES else ""}
    """
    if rule.by:
        largest = (
            f"SELECT {', '.join(names)} FROM ({chosen}) GROUP BY ALL ORDER BY count(*) DESC, {', '.join(names)} LIMIT {MOST_SLICES}"
        )
        chosen = f"SELECT chosen.* FROM ({chosen}) AS chosen SEMI JOIN ({largest}) USING ({', '.join(names)})"
    rows = db.execute(
        f"""
        SELECT end_ms{keys}, avg(value), count(*)
        FROM ({chosen}) JOIN (SELECT unnest(range({span.from_ms + MINUTE_MS}, {span.to_ms + 1}, {MINUTE_MS})) AS end_ms)
        ON received_ms < end_ms AND received_ms >= end_ms - {window_ms}
        GROUP BY ALL ORDER BY ALL
        """,
        parameters,
    ).fetchall()
    for end_ms, *slice_of, value, operations in rows:
        yield end_ms, tuple(slice_of), float(operations) if rule.measure == OPERATIONS else value, operations


def _value_sql(rule: Rule) -> str:
    if rule.measure == FAILED_RATIO:
        return "CASE WHEN status IN ('ok', 'partial') THEN 0.0 ELSE 1.0 END"
    return "0.0" if rule.measure in (OPERATIONS, PATH_CHANGES) else value_sql(rule.measure)


def _with_changes(seen: Observation, changes: list[ChangedPath], end_ms: int, rule: Rule) -> Observation:
    begin_ms = end_ms - rule.window_minutes * MINUTE_MS
    count = sum(each.names == seen.names and begin_ms <= each.change.confirmed_ms < end_ms for each in changes)
    return Observation(names=seen.names, value=float(count), sessions=seen.sessions)


def changed_paths(table: RecordTable, *, rule: Rule, span: Span) -> Iterator[ChangedPath]:
    """The changes of the paths in `span`, by the time of receipt."""
    matches, parameters = where_sql(rule.where, measurement_dimension)
    slices = "".join(f", coalesce({measurement_dimension(name)}, '')" for name in rule.by)
    with table.reading() as db:
        rows: list[tuple[Any, ...]] = db.execute(
            f"""
            SELECT agent, target, received_ms, [(hop.ttl, hop.address) FOR hop IN {_HOPS}], reached{slices}
            FROM (
                SELECT *, {TARGET_SQL} AS target, coalesce({value_sql("reached")} = 1, false) AS reached FROM measurement
                WHERE technique = 'TRACEROUTE' AND {matches} AND received_ms >= {span.from_ms} AND received_ms < {span.to_ms}
                QUALIFY {MOST_TRACES} >=
                    row_number() OVER (PARTITION BY agent, {TARGET_SQL} ORDER BY received_ms DESC, operation_id)
            ) ORDER BY received_ms, operation_id
            """,
            parameters,
        ).fetchall()
    paths: defaultdict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        paths[row[0], row[1]].append(row)
    for (agent, target), traces in paths.items():
        routes = [(at_ms, route_of_hops(hops or (), target, reached=reached)) for _, _, at_ms, hops, reached, *_ in traces]
        for change in path_changes((at_ms, route) for at_ms, route in routes if route is not None):
            yield ChangedPath(agent=agent, target=target, names=tuple(traces[-1][5:]), change=change)
