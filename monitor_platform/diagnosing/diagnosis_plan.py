"""What a diagnosis measures: the destinations, and the agents that measure them.

PING with enough packets to clear a path, and TRACEROUTE for its route. Agents that AUTO selects have different routes, so their
paths distinguish the links; the agents that the alert names are always among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedback_analysis.measurements.measured_paths import host_of
from feedback_analysis.measurements.measurement_summary import measurement_dimension
from feedback_analysis.record_groups import where_sql
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import DAY_MS, MINUTE_MS
from monitor_platform.alerts.detector import Alert

MOST_DESTINATIONS = 5

TECHNIQUES: tuple[tuple[str, Mapping[str, int]], ...] = (("PING", {"count": 100, "interval_ms": 50}), ("TRACEROUTE", {}))
"""100 packets: a path counts as clean after 73 without loss."""

_LOOKED_AT = 100
_OF_DESTINATIONS = ("destination", "address")
_OF_AGENTS = ("agent", "agent_address", "tags.isp")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisPlan:
    """Each of `agents` is a selection of the master."""

    destinations: tuple[str, ...]
    agents: tuple[str, ...]

    def requests(self) -> list[dict[str, Any]]:
        """The requests for the master."""
        return [
            {"technique": technique, "destinations": list(self.destinations), "agents": [agents], "parameters": dict(parameters)}
            for agents in self.agents
            for technique, parameters in TECHNIQUES
        ]


def plan_of(measurements: RecordTable, alert: Alert, now_ms: int) -> DiagnosisPlan:
    """The plan of the diagnosis of `alert`. Without a destination in the rule or in the slice, it is about those that were measured
    most often in the last day."""
    chosen = {**alert.rule.where, **alert.slice} if alert.rule.measures_network else dict(alert.slice)
    isp = chosen.get("tags.isp") or chosen.get("isp")
    agents = ("AUTO", *([f"isp={isp}"] if isp else []), *([chosen["agent"]] if "agent" in chosen else []))
    named = alert.rule.destinations or tuple(chosen[name] for name in _OF_DESTINATIONS if chosen.get(name))[:1]
    if named:
        return DiagnosisPlan(destinations=named[:MOST_DESTINATIONS], agents=agents)
    if not alert.rule.measures_network:
        where = {"tags.isp": isp} if isp else {}
    else:
        where = {name: value for name, value in chosen.items() if name in _OF_AGENTS}
    found = _usual_destinations(measurements, where, now_ms) or _usual_destinations(measurements, {}, now_ms)
    return DiagnosisPlan(destinations=found, agents=agents)


def _usual_destinations(measurements: RecordTable, where: Mapping[str, str], now_ms: int) -> tuple[str, ...]:
    matches, parameters = where_sql(where, measurement_dimension)
    with measurements.reading() as db:
        rows = db.execute(
            f"""
            SELECT destination FROM measurement WHERE {matches} AND received_ms >= {now_ms - DAY_MS}
            GROUP BY destination ORDER BY count(*) DESC, destination LIMIT {_LOOKED_AT}
            """,
            parameters,
        ).fetchall()
    hosts: dict[str, str] = {}
    for (destination,) in rows:
        hosts.setdefault(host_of(destination), destination)  # PING and TRACEROUTE have no port
    return tuple(hosts.values())[:MOST_DESTINATIONS]


def is_own_measurement(measurements: RecordTable, alert: Alert, requests: tuple[str, ...]) -> bool:
    """Whether operations of these requests are behind an alert about measurements. Those after its begin are not: an alert may wait
    while the diagnosis of another one measures."""
    if not alert.rule.measures_network or not requests:
        return False
    matches, parameters = where_sql({**alert.rule.where, **alert.slice}, measurement_dimension)
    begin_ms = alert.began_ms - (alert.rule.window_minutes + 1) * MINUTE_MS
    with measurements.reading() as db:
        [(count,)] = db.execute(
            f"""
            SELECT count(*) FROM measurement
            WHERE {matches} AND received_ms >= {begin_ms} AND received_ms < {alert.raised_ms}
            AND request_id IN (SELECT unnest($requests))
            """,
            parameters | {"requests": list(requests)},
        ).fetchall()
    return bool(count)
