"""The routes of one path over time, and the time of all measurements, from a table of measurements."""

from feedback_analysis.measurements.measured_paths import MATCHES, TRACED_SQL, matching
from feedback_analysis.measurements.traced_route import RouteStretch, route_of_hops, stretches_of_routes
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable

MOST_TRACES = 20_000
"""The latest ones are read: a trace each five minutes for two months."""

_TRACES = f"""
    SELECT started_ms, [(hop.ttl, hop.address) FOR hop IN hops], COALESCE(reached, false)
    FROM ({TRACED_SQL} AND technique = 'TRACEROUTE' AND {MATCHES}) WHERE agent = $agent AND target = $target
    ORDER BY started_ms DESC, operation_id DESC LIMIT {MOST_TRACES}
"""


def path_history(table: RecordTable, *, span: Span, agent: str, target: str) -> list[RouteStretch]:
    """The routes of the path of `agent` to the address `target` in `span`, the oldest first."""
    matches, parameters = matching(span, None)
    with table.reading() as cursor:
        rows = cursor.execute(_TRACES.replace(MATCHES, matches), parameters | {"agent": agent, "target": target}).fetchall()
    traces = [(at_ms, route_of_hops(hops, target, reached=reached)) for at_ms, hops, reached in reversed(rows)]
    return stretches_of_routes([(at_ms, route) for at_ms, route in traces if route is not None])


def extent_of_measurements(table: RecordTable) -> Span | None:
    """From the first to just after the last operation, by the agents' clocks; None without operations."""
    with table.reading() as cursor:
        [(first, last)] = cursor.execute("SELECT min(started_ms), max(started_ms) FROM measurement").fetchall()
    return None if first is None else Span(first, last + 1)
