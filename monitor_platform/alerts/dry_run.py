"""Evaluates one rule over past minutes of a table: what a rule would have found, before it is saved."""

from dataclasses import dataclass

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.alert_watch import first_received_ms, observations_of
from monitor_platform.alerts.detector import Alert, Detector, Reading
from monitor_platform.alerts.rules import Rule

MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """The alerts of a rule in the full minutes of `span`, the latest first, and its last reading."""

    span: Span
    alerts: tuple[Alert, ...] = ()
    reading: Reading | None = None


def dry_run(table: FeedbackTable, rule: Rule, until_ms: int, measurements: RecordTable | None = None) -> DryRun:
    """Evaluate `rule` over the last hour before `until_ms`, or the part of it that is in the table."""
    last_ms, first_ms = until_ms // MINUTE_MS * MINUTE_MS, _first_ms(table, rule, measurements)
    begin_ms = last_ms - MINUTES * MINUTE_MS
    if first_ms is not None:
        begin_ms = min(max(begin_ms, first_ms // MINUTE_MS * MINUTE_MS), last_ms)
    span = Span(begin_ms, last_ms)
    if first_ms is None or begin_ms == last_ms:
        return DryRun(span=span)
    detector, ended = Detector(rule), []
    for end_ms, seen in observations_of(table, measurements, rule=rule, span=span).items():
        ended += [alert for alert in detector.observe(end_ms, seen) if alert.ended_ms is not None]
    alerts = sorted([*ended, *detector.open], key=lambda alert: -alert.began_ms)
    return DryRun(span=span, alerts=tuple(alerts), reading=detector.reading)


def _first_ms(table: FeedbackTable, rule: Rule, measurements: RecordTable | None) -> int | None:
    """The time of the first record that the rule is about, Unix ms; None without records."""
    if rule.measures_network:
        return min(first_received_ms(measurements), default=None) if measurements is not None else None
    whole = extent(table)
    return None if whole is None else whole.from_ms
