"""The Alerts page: rules, alerts, silences and webhooks. Each alert has its evidence, and links to its slice and sessions."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from bokeh.models import LayoutDOM

from feedback_analysis.measurements.measured_paths import DELAYS
from feedback_analysis.measurements.measurement_summary import DIMENSIONS as MEASUREMENT_DIMENSIONS
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import DIMENSIONS
from monitor_platform.alerts.alert_service import AlertService
from monitor_platform.alerts.alert_text import clock, minutes, shown, title
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert
from monitor_platform.alerts.detector import Alert, known_at
from monitor_platform.alerts.evidence import Evidence
from monitor_platform.alerts.rules import FAILED_RATIO, OPERATIONS, PATH_CHANGES, PEERS, SEVERITIES, RuleKind
from monitor_platform.alerts.silences import Silence
from monitor_platform.dashboard.address_query import DEFAULT_MEASURE
from monitor_platform.dashboard.alert_marks import address, minutes_of
from monitor_platform.dashboard.alert_responses import diagnosis_row, response, rule_rows, silence_rows, webhook_rows
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.views.number_format import format_count

RULE_MEASURES: Mapping[RuleKind, Sequence[str]] = {
    "feedback": (*(each.name for each in MEASURES.values() if "histogram" in each.views), PEERS),
    "measurement": (*sorted({*DELAYS.values(), "loss_ratio"}), FAILED_RATIO, OPERATIONS, PATH_CHANGES),
}
"""The measures that the form of a rule offers, by the kind of the rule."""

RULE_DIMENSIONS: Mapping[RuleKind, Sequence[str]] = {"feedback": DIMENSIONS, "measurement": MEASUREMENT_DIMENSIONS}

MOST_ALERTS = 200
"""A longer list is not readable. Rules that find more alerts need other limits."""

ORDER = "open ones first, then the latest to begin"

HOW_TO_BEGIN = "swarmscope monitor … --alerts alerts.toml"


class AlertsPart:
    """The list of alerts. Its numbers are stored with each alert, so they remain after the records have left memory."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """Needs no query: the alerts are already known."""
        alerting = context.state.alerting
        clock_ms = context.query.clock_ms
        end_ms = context.snapshot.extent.to_ms if context.snapshot is not None and not context.state.live else None
        return lambda: _list(alerting, end_ms, clock_ms)


ALERTS_PAGE = DashboardPage(
    name="alerts",
    path="/alerts",
    title="Alerts",
    template="alerts.html",
    script=True,
    part=AlertsPart,
    filters=False,
    ranged=False,
    tiles=False,
    stands_alone=True,
    reads_back=True,
)


def open_alerts(watch: AlertWatch | None, clock_ms: int | None, silences: tuple[Silence, ...] | None = None) -> dict[str, Any]:
    """For the navigation: the number of open alerts that are not silenced and their highest severity; in a replay, as known at its
    clock."""
    known = known_at((each.alert for each in watch.alerts), clock_ms) if watch is not None else ()
    heard = (alert for alert in known if not any(silence.covers(alert) for silence in silences or ()))
    grave = [alert.rule.severity for alert in heard if alert.ended_ms is None]
    return {"number": len(grave), "severity": max(grave, key=SEVERITIES.index, default="")}


def _list(alerting: AlertService | None, end_ms: int | None, clock_ms: int | None) -> dict[str, Any]:
    """`end_ms`: the end of recorded files; None if live. `clock_ms`: the clock of a replay."""
    if alerting is None:
        return {"rules": 0, "how": HOW_TO_BEGIN, "alerts": [], "states": [], "silences": [], "webhooks": None}
    watch, silences = alerting.watch, alerting.silences
    known = watch.alerts if clock_ms is None else _known(watch.alerts, clock_ms)
    diagnoses = alerting.diagnoses if clock_ms is None else None
    rows = [
        _row(each, clock_ms or end_ms) | response(each.alert, silences) | {"diagnosis": diagnosis_row(each.alert, diagnoses)}
        for each in known
    ]
    rows.sort(
        key=lambda row: (
            not row["lasts"],
            row["lasts"] and row["silence"] is not None,
            row["acknowledgement"] is not None,
            -row["from"],
        )
    )
    last, quiet = sum(row["lasts"] for row in rows), sum(row["lasts"] and row["silence"] is not None for row in rows)
    how = "checked each minute" if end_ms is None else "recorded files, checked once"
    how = how if clock_ms is None else f"{how}; as known at {clock(clock_ms)}"
    heard = f"{last} open" + (f" ({quiet} silenced)" if quiet else "")
    return {
        "rules": len(watch.states),
        "note": f"{format_count(len(watch.states), 'rule')}, {how}; {heard}, {len(rows) - last} ended; {ORDER}",
        "alerts": rows[:MOST_ALERTS],
        "states": rule_rows(watch.states, silences) if clock_ms is None else [],
        "silences": silence_rows(silences),
        "webhooks": webhook_rows(alerting.sender),
    }


def _known(alerts: Sequence[ExplainedAlert], clock_ms: int) -> Sequence[ExplainedAlert]:
    """The alerts as known at a replay's clock, without the evidence of an end that has not happened yet."""
    return [
        ExplainedAlert(alert=alert, evidence=each.evidence if alert.ended_ms == each.alert.ended_ms else Evidence())
        for each in alerts
        for alert in known_at((each.alert,), clock_ms)
    ]


def _row(explained: ExplainedAlert, end_ms: int | None) -> dict[str, Any]:
    alert, evidence = explained.alert, explained.evidence
    when = minutes_of(alert, end_ms)
    return {
        "severity": alert.rule.severity,
        "lasts": alert.ended_ms is None,
        "title": title(alert),
        "text": f"worst minute {shown(alert.rule, alert.worst)}; {format_count(alert.sessions, _counted(alert))} when it began",
        "from": alert.began_ms,
        "until": alert.ended_ms,
        "minutes": minutes(alert),
        "href": address("./", alert, when),
        "sessions_href": address("sessions", alert, when),
        "slices": _slices(alert, evidence, when),
        "sessions": _sessions(alert, evidence, when),
        "paths": list(evidence.paths),
        "network": alert.rule.measures_network,
    }


def _counted(alert: Alert) -> str:
    return "operation" if alert.rule.measures_network else "session"


def _slices(alert: Alert, evidence: Evidence, when: Mapping[str, str]) -> Sequence[dict[str, str]]:
    return [
        {
            "text": f"{dimension_name(each.dimension)} {place_name(each.name)}",
            "value": shown(alert.rule, each.mean or 0),
            "n": format_count(each.peers, "peer"),
            "href": address("./", alert, {each.dimension: each.name, **when}),
        }
        for each in evidence.slices
    ]


def _sessions(alert: Alert, evidence: Evidence, when: Mapping[str, str]) -> Sequence[dict[str, str]]:
    measure = {"measure": alert.rule.measure} if alert.rule.measure != DEFAULT_MEASURE else {}
    return [
        {
            "text": each.peer_id,
            "value": shown(alert.rule, each.value),
            "href": f"session?{urlencode({'session_id': each.session_id, **measure, **when})}",
        }
        for each in evidence.sessions
    ]
