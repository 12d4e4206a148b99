"""An alert as text and as JSON: the same for the page, the command and all webhooks."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from feedback_analysis.measures.registry import named, shown_in
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.alert_diagnoses import AlertDiagnosis
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.evidence import Evidence
from monitor_platform.alerts.rules import FAILED_RATIO, OPERATIONS, PATH_CHANGES, PEERS, Rule

_NAMES = {"isp": "ISP"}
"""Dimensions whose names are not written as they are."""


def title(alert: Alert) -> str:
    """One line: the measure, the slice and the limit."""
    everything = "all agents" if alert.rule.measures_network else "all end hosts"
    where = (
        ", ".join(f"{_NAMES.get(name, name)} {value}" for name, value in {**_fixed(alert.rule), **alert.slice}.items())
        or everything
    )
    side = "above" if alert.rule.worse_is_higher else "below"
    return f"{alert.rule.name}: {measure_title(alert.rule)} of {where} is {side} {shown(alert.rule, alert.limit)}"


def sentence(alert: Alert, evidence: Evidence) -> str:
    """One line: the worst minute, when the alert began or ended, and the most affected slice."""
    counted = "operations" if alert.rule.measures_network else "sessions"
    parts = [f"worst minute {shown(alert.rule, alert.worst)}, {alert.sessions:,} {counted}, since {clock(alert.began_ms)}"]
    if alert.ended_ms is not None:
        return f"ended {clock(alert.ended_ms)} after {minutes(alert)} min; worst minute {shown(alert.rule, alert.worst)}"
    if evidence.slices:
        worst = evidence.slices[0]
        mean = shown(alert.rule, worst.mean or 0)
        parts.append(f"most affected: {worst.dimension} {worst.name} ({worst.peers:,.0f} peers, {mean})")
    return "; ".join([*parts, *evidence.paths])


def as_json(alert: Alert, evidence: Evidence, diagnosis: AlertDiagnosis | None = None) -> dict[str, Any]:
    """The JSON of webhooks and of the command. Times are Unix milliseconds; `until` is null while the alert is open."""
    return {
        "rule": alert.rule.name,
        "kind": alert.rule.kind,
        "severity": alert.rule.severity,
        "measure": alert.rule.measure,
        "slice": {**alert.rule.where, **alert.slice},
        "from": alert.began_ms,
        "until": alert.ended_ms,
        "value": alert.value,
        "worst": alert.worst,
        "limit": alert.limit,
        "operations" if alert.rule.measures_network else "sessions": alert.sessions,
        "explained_by": [
            {"by": {each.dimension: each.name}, "peers": each.peers, "mean": each.mean, "rest": each.rest, "impact": each.impact}
            for each in evidence.slices
        ],
        "worst_sessions": [
            {"session_id": each.session_id, "peer_id": each.peer_id, "value": each.value} for each in evidence.sessions
        ],
        "changed_paths": list(evidence.paths),
        "diagnosis": diagnosis.to_json() if diagnosis is not None else None,
        "title": title(alert),
        "text": sentence(alert, evidence),
    }


def link(alert: Alert, dashboard_url: str) -> str:
    """Address of the overview with the alert's slice and measure."""
    if alert.rule.measures_network:
        return f"{dashboard_url}/network"
    asked = {**alert.rule.where, **alert.slice}
    if alert.rule.measure != PEERS:
        asked["measure"] = alert.rule.measure
    return f"{dashboard_url}/?{urlencode(asked)}" if asked else f"{dashboard_url}/"


def minutes(alert: Alert) -> int:
    """Length of the alert; 0 while it is open."""
    return ((alert.ended_ms or alert.began_ms) - alert.began_ms) // MINUTE_MS


def measure_title(rule: Rule) -> str:
    if rule.measures_network:
        return _MEASUREMENT_TITLES.get(rule.measure, rule.measure)
    measure = named(rule.measure)
    return measure.title if measure else "number of peers"


_MEASUREMENT_TITLES = {
    OPERATIONS: "number of operations",
    FAILED_RATIO: "share of failed operations",
    PATH_CHANGES: "number of changed paths",
}


def _fixed(rule: Rule) -> dict[str, str]:
    """The filters of a rule about measurements: without the technique, the name of a value says little."""
    return dict(rule.where) if rule.measures_network else {}


def shown(rule: Rule, value: float) -> str:
    """A value with the digits and unit of the rule's measure."""
    if rule.measures_network:
        return f"{value:.1%}" if rule.measure.endswith("_ratio") else f"{value:,.6g}"
    measure = named(rule.measure)
    if measure is None:
        return f"{value:,.0f}"
    factor, unit, digits = shown_in(measure, value)
    return f"{value * factor:,.{digits}f} {unit}".strip()


def clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
