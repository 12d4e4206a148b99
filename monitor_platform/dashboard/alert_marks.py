"""Alerts of the shown time range: marks on the timeline, and the same as text for screen readers.

Alerts of other slices would mislead, so they are left out. An alert of a larger slice that contains the shown slice stays.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from feedback_analysis.measures.selection import Span
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.alert_text import title
from monitor_platform.alerts.alert_watch import ExplainedAlert
from monitor_platform.alerts.detector import Alert, known_at
from monitor_platform.alerts.rules import PEERS, SEVERITIES
from monitor_platform.alerts.silences import Silence
from monitor_platform.dashboard.address_query import DEFAULT_MEASURE
from monitor_platform.views.mark_strip import Mark
from monitor_platform.views.palette import CATEGORIES

MOST_MARKS = 60
"""More marks would cover the timeline; the Alerts page lists all alerts."""

MOST_LISTED = 2
"""Alerts in the one line of text below the timeline."""

COLOURS = {"info": CATEGORIES[5], "warning": CATEGORIES[4], "critical": CATEGORIES[1]}


def within(
    alerts: Iterable[ExplainedAlert], span: Span, where: Mapping[str, str], *, clock_ms: int | None = None
) -> tuple[Alert, ...]:
    """The alerts that overlap `span` and agree with `where`, the latest first; in a replay, as known at its clock."""
    known = known_at((each.alert for each in alerts), clock_ms)
    return tuple(alert for alert in known if _meets(alert, span) and _agrees(alert, where))


def marks(alerts: Iterable[Alert]) -> list[Mark]:
    """The marks that the figure draws, the most severe last, so that nothing covers them."""
    latest = list(alerts)[:MOST_MARKS]
    return [
        Mark(
            from_ms=alert.began_ms,
            to_ms=alert.ended_ms,
            name=title(alert),
            text=f"{alert.rule.severity}: {title(alert)}",
            colour=COLOURS[alert.rule.severity],
        )
        for alert in sorted(latest, key=lambda alert: SEVERITIES.index(alert.rule.severity))
    ]


def in_words(alerts: tuple[Alert, ...], silences: tuple[Silence, ...] | None = None) -> dict[str, Any]:
    """The first few alerts, open and severe ones first, silenced ones last, and the number of the others.

    `silences`: those that last; None if alerts cannot be silenced.
    """
    until = {id(alert): _silenced_until(alert, silences or ()) for alert in alerts}
    first = sorted(
        alerts, key=lambda alert: (alert.ended_ms is not None, until[id(alert)] > 0, -SEVERITIES.index(alert.rule.severity))
    )
    shown = [
        {
            "severity": alert.rule.severity,
            "title": title(alert),
            "from": alert.began_ms,
            "until": alert.ended_ms,
            "href": address("./", alert, minutes_of(alert)),
            "rule": alert.rule.name,
            "slice": alert.slice,
            "silenced_until": until[id(alert)],
            "can_silence": silences is not None and alert.ended_ms is None,
        }
        for alert in first[:MOST_LISTED]
    ]
    return {"shown": shown, "more": max(0, len(alerts) - MOST_LISTED)}


def minutes_of(alert: Alert, end_ms: int | None = None) -> dict[str, str]:
    """The alert's minutes as part of an address; an open alert ends at `end_ms`, or follows the clock if that is None."""
    until_ms = alert.ended_ms or end_ms
    return {} if until_ms is None else {"from": str(alert.began_ms - MINUTE_MS), "to": str(until_ms)}


def address(path: str, alert: Alert, more: Mapping[str, str]) -> str:
    """The address of a page with the alert's slice and measure."""
    if alert.rule.measures_network:
        return "network"
    measure = alert.rule.measure if alert.rule.measure not in {PEERS, DEFAULT_MEASURE} else ""
    asked = {**alert.rule.where, **alert.slice, "measure": measure, **more}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{path}?{query}" if query else path


def _silenced_until(alert: Alert, silences: tuple[Silence, ...]) -> int:
    """The end of the silence of an open alert, in Unix ms; 0 without one."""
    covering = (silence.until_ms for silence in silences if silence.covers(alert))
    return max(covering, default=0) if alert.ended_ms is None else 0


def _meets(alert: Alert, span: Span) -> bool:
    return alert.began_ms < span.to_ms and (alert.ended_ms is None or alert.ended_ms > span.from_ms)


def _agrees(alert: Alert, where: Mapping[str, str]) -> bool:
    of_alert = {**alert.rule.where, **alert.slice}
    return all(where.get(name, value) == value for name, value in of_alert.items())
