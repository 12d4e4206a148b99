"""What a table of measurements says about each pair of agent and destination: numbers and routes.

Operations are selected by `started_ms`, the agent's clock, because a master may send them much later.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from feedback_analysis.measurements.measurement_summary import measurement_dimension
from feedback_analysis.measurements.path_map import FoundRoute, MeasuredPath
from feedback_analysis.measurements.traced_route import TracedRoute, route_of_hops
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable

MOST_PATHS = 20_000
"""More pairs of agent and destination can neither be drawn nor listed; those with the latest operations remain."""

MOST_ROUTES = 50
"""Of one path; the latest ones. Each trace is compared with all of them."""

DELAYS = {
    "PING": "rtt_median_ms",
    "TRACEROUTE": "rtt_min_ms",
    "DNS": "total_ms",
    "HTTP": "total_ms",
    "SIP_OPTIONS": "response_ms",
    "SIP_INVITE": "session_request_delay_ms",
    "RTP": "rtt_median_ms",
    "UDP_SEND": "first_answer_ms",
    "TCP_SEND": "tcp_ms",
    "RESPONSIVENESS": "rtt_median_loaded_ms",
}
"""The value that is the latency of a technique. IGI, PATHNECK, BROUTE and THROUGHPUT measure none."""

WORKER_DELAY = "latency_ms"
"""The only value of a simple worker, whatever its technique is."""


def value_sql(name: str) -> str:
    """SQL: a measured value of an operation; NULL if it was not measured or is no finite number."""
    number = f"""TRY_CAST("values"->>'{name}' AS DOUBLE)"""
    return f"CASE WHEN isfinite({number}) THEN {number} END"


_CASES = " ".join(f"WHEN '{technique}' THEN {value_sql(name)}" for technique, name in DELAYS.items())
DELAY_SQL = f"COALESCE(CASE technique {_CASES} END, {value_sql(WORKER_DELAY)})"
"""SQL: the latency that an operation measured, in ms."""

SENT_SQL = f"""CASE WHEN technique = 'PING' THEN
    COALESCE({value_sql("packets_sent")}, CASE WHEN {value_sql("loss_ratio")} IS NOT NULL THEN 1 END) END"""
"""SQL: the packets of a PING; 1 if only the ratio of loss is known."""
LOST_SQL = f"""CASE WHEN technique = 'PING' THEN
    COALESCE({value_sql("packets_sent")} - {value_sql("packets_answered")}, {value_sql("loss_ratio")}) END"""

TARGET_SQL = "COALESCE(NULLIF(address, ''), destination)"
"""SQL: what distinguishes destinations. Two names of an address are one destination."""

_HOPS = """from_json(hops, '[{"ttl":"UINTEGER","address":"VARCHAR","rtt_ms":"DOUBLE","name":"VARCHAR"}]')"""
TRACED_SQL = f"""
    SELECT agent, {TARGET_SQL} AS target, technique, started_ms, operation_id, {_HOPS} AS hops,
           technique = 'TRACEROUTE' AND {value_sql("reached")} = 1 AS reached, {value_sql("bottleneck_ttl")} AS bottleneck,
           {value_sql("bottleneck_kbps")} AS bottleneck_kbps
    FROM measurement WHERE technique IN ('TRACEROUTE', 'PATHNECK') AND len({_HOPS}) > 0
"""
"""SQL: the operations that found routers."""

MATCHES = "$matches"
"""The place of the condition of `matching` in a query."""

_NUMBERS = f"""
    SELECT agent, target, arg_max(destination, started_ms), arg_max(agent_address, started_ms), arg_max(tags, started_ms)::VARCHAR,
           count(*), histogram(status), max(started_ms), arg_max(status, started_ms),
           COALESCE(quantile_cont(delay, [0.1, 0.5, 0.9]) FILTER (technique = 'PING'), quantile_cont(delay, [0.1, 0.5, 0.9])),
           COALESCE(sum(lost), 0), COALESCE(sum(sent), 0),
           COALESCE(median(capacity) FILTER (technique = 'IGI'), median(capacity))
    FROM (SELECT *, {TARGET_SQL} AS target, {DELAY_SQL} AS delay, {LOST_SQL} AS lost, {SENT_SQL} AS sent,
                 COALESCE({value_sql("capacity_kbps")}, {value_sql("throughput_kbps")}) AS capacity
          FROM measurement WHERE {MATCHES})
    GROUP BY agent, target ORDER BY max(started_ms) DESC, agent, target LIMIT {MOST_PATHS}
"""
_ROUTES = f"""
    SELECT agent, target, [(hop.ttl, hop.address) FOR hop IN hops] AS route, bool_or(COALESCE(reached, false)), count(*),
           max(started_ms)
    FROM ({TRACED_SQL} AND {MATCHES}) GROUP BY agent, target, route ORDER BY agent, target, max(started_ms) DESC, route
"""
_HOP_DELAYS = f"""
    SELECT agent, target, hop.address, median(hop.rtt_ms)
    FROM (SELECT agent, target, unnest(hops) AS hop FROM ({TRACED_SQL} AND {MATCHES}) WHERE technique = 'TRACEROUTE')
    WHERE hop.address IS NOT NULL AND hop.rtt_ms IS NOT NULL GROUP BY agent, target, hop.address
"""
_HOP_NAMES = f"""
    SELECT hop.address, arg_max(hop.name, started_ms)
    FROM (SELECT started_ms, unnest(hops) AS hop FROM ({TRACED_SQL} AND {MATCHES}))
    WHERE hop.address IS NOT NULL AND hop.name IS NOT NULL AND hop.name <> hop.address GROUP BY hop.address
"""
_BOTTLENECKS = f"""
    SELECT agent, target, limiting, count(*), median(bottleneck_kbps)
    FROM (SELECT *, [hop.address FOR hop IN hops IF hop.ttl = bottleneck][1] AS limiting
          FROM ({TRACED_SQL} AND {MATCHES}) WHERE technique = 'PATHNECK')
    WHERE limiting IS NOT NULL GROUP BY agent, target, limiting
"""
_Key = tuple[str, str]


def matching(span: Span | None, where: Mapping[str, str] | None) -> tuple[str, dict[str, Any]]:
    """SQL: the condition for operations of `span` (None: all) that match `where`, and its parameters.

    ValueError if a name is no dimension.
    """
    conditions = ["true"]
    parameters: dict[str, Any] = {}
    if span is not None:
        conditions.append("started_ms >= $from_ms AND started_ms < $to_ms")
        parameters |= {"from_ms": span.from_ms, "to_ms": span.to_ms}
    for number, (name, value) in enumerate((where or {}).items()):
        conditions.append(f"{measurement_dimension(name)} = $w{number}")
        parameters[f"w{number}"] = value
    return " AND ".join(conditions), parameters


def measured_paths(table: RecordTable, *, span: Span | None = None, where: Mapping[str, str] | None = None) -> list[MeasuredPath]:
    """Each pair of agent and destination that was measured in `span`, by name; the latest MOST_PATHS of them."""
    matches, parameters = matching(span, where)
    with table.reading() as cursor:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return cursor.execute(query.replace(MATCHES, matches), parameters).fetchall()

        routes, names = _routes(rows(_ROUTES)), dict(rows(_HOP_NAMES))
        delays: dict[_Key, dict[str, float]] = defaultdict(dict)
        for agent, target, address, delay in rows(_HOP_DELAYS):
            delays[agent, target][address] = delay
        bottlenecks: dict[_Key, dict[str, tuple[int, float | None]]] = defaultdict(dict)
        for agent, target, address, count, kbps in rows(_BOTTLENECKS):
            bottlenecks[agent, target][address] = count, kbps
        found = [
            _path(row, routes.get(row[:2], ()), delays.get(row[:2], {}), bottlenecks.get(row[:2], {})) for row in rows(_NUMBERS)
        ]
        named = [replace(path, hop_names=_names_on(path, names)) for path in found]
        return sorted(named, key=lambda path: (path.agent, path.destination, path.address))


def _names_on(path: MeasuredPath, names: Mapping[str, str]) -> dict[str, str]:
    addresses = {path.address, *(router for found in path.routes for router in found.route.routers)}
    return {address: names[address] for address in addresses if address is not None and address in names}


def _path(
    row: tuple[Any, ...],
    routes: tuple[FoundRoute, ...],
    hop_delays: Mapping[str, float],
    bottlenecks: Mapping[str, tuple[int, float | None]],
) -> MeasuredPath:
    agent, target, destination, agent_address, tags, operations, statuses, last_ms, last, delays, lost, sent, capacity = row
    known = [kbps for _, kbps in bottlenecks.values() if kbps is not None]
    low, middle, high = delays or (None, None, None)
    return MeasuredPath(
        agent=agent,
        destination=host_of(destination),
        address=target,
        tags=tags_of(tags),
        agent_address=agent_address or "",
        operations=operations,
        statuses={str(status): int(count) for status, count in statuses.items()},
        last_ms=last_ms,
        last_status=last,
        delay_ms=middle,
        delay_low_ms=low,
        delay_high_ms=high,
        packets_lost=max(lost, 0.0),
        packets_sent=sent,
        capacity_kbps=capacity,
        routes=routes,
        hop_delays_ms=dict(hop_delays),
        bottlenecks={address: count for address, (count, _) in bottlenecks.items()},
        bottleneck_kbps=min(known, default=None),
    )


def host_of(destination: str) -> str:
    """The host of HOST, HOST:PORT, [IPV6]:PORT or IPV6: all ports of a host have one path."""
    if destination.startswith("["):
        return destination[1:].partition("]")[0]
    host, _, port = destination.rpartition(":")
    return host if host and ":" not in host and port.isdigit() else destination


def tags_of(text: str | None) -> dict[str, str]:
    """The tags of an agent, from their JSON; those that are no texts are left out."""
    found = json.loads(text) if text else {}
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _routes(rows: Iterable[tuple[Any, ...]]) -> dict[_Key, tuple[FoundRoute, ...]]:
    """The routes of each path, the latest first. Those that agree are one."""
    found: dict[_Key, list[FoundRoute]] = defaultdict(list)
    for agent, target, hops, reached, traces, last_ms in rows:
        route = route_of_hops(hops, target, reached=reached)
        if route is not None:
            _add(found[agent, target], FoundRoute(route=route, traces=traces, last_ms=last_ms))
    return {key: tuple(routes) for key, routes in found.items()}


def _add(routes: list[FoundRoute], one: FoundRoute) -> None:
    for at, known in enumerate(routes):
        if known.route.agrees(one.route):
            merged: TracedRoute = known.route.merged(one.route)
            traces = known.traces + one.traces
            routes[at] = FoundRoute(route=merged, traces=traces, last_ms=max(known.last_ms, one.last_ms))
            return
    if len(routes) < MOST_ROUTES:
        routes.append(one)
