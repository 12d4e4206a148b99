"""Decides whether an alert may start a diagnosis. Without I/O.

A diagnosis sends packets into a network that may have a problem already. So one alert starts one at most, and an alert about what a
diagnosis measured starts none: otherwise, diagnoses could start each other without end.
"""

from collections.abc import Iterable
from enum import StrEnum

from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from monitor_platform.alerts.alert_diagnoses import AlertDiagnosis
from monitor_platform.alerts.detector import Alert

COOL_DOWN_MS = 30 * MINUTE_MS
"""After a diagnosis of a slice of a rule, the next one of this slice."""

MOST_PER_HOUR = 6

OLDEST_MS = 10 * MINUTE_MS
"""After a restart, the minutes in memory are evaluated again. An alert of an hour ago starts no diagnosis of now."""


class NoDiagnosis(StrEnum):
    """Why an alert starts no diagnosis. The values are those of a metric."""

    OLD_ALERT = "old_alert"
    COOL_DOWN = "cool_down"
    OVER_BUDGET = "over_budget"
    OWN_MEASUREMENT = "own_measurement"
    """The operations behind the alert are those of a diagnosis."""


def why_none(alert: Alert, *, now_ms: int, earlier: Iterable[AlertDiagnosis], measured_by_diagnosis: bool) -> NoDiagnosis | None:
    """Why `alert` starts no diagnosis; None if it may. `earlier`: all known diagnoses, also those of a wrong date in the future."""
    known = list(earlier)
    if measured_by_diagnosis:
        return NoDiagnosis.OWN_MEASUREMENT
    if now_ms - alert.raised_ms > OLDEST_MS + alert.rule.window_minutes * MINUTE_MS:
        return NoDiagnosis.OLD_ALERT
    if any(_same_slice(each, alert) and abs(now_ms - each.at_ms) < COOL_DOWN_MS for each in known):
        return NoDiagnosis.COOL_DOWN
    if sum(abs(now_ms - each.at_ms) < HOUR_MS for each in known) >= MOST_PER_HOUR:
        return NoDiagnosis.OVER_BUDGET
    return None


def _same_slice(diagnosis: AlertDiagnosis, alert: Alert) -> bool:
    return (diagnosis.rule, diagnosis.slice) == (alert.rule.name, alert.slice)
