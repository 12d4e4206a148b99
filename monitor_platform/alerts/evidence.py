"""The evidence of an alert: the most affected slices within it, and its worst sessions."""

from collections.abc import Mapping
from dataclasses import dataclass

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.expressions import number_of
from feedback_analysis.messages.slices import SLICED_BY, Slice, slices
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.measurement_observations import LOOK_BACK_MS, ChangedPath, changed_paths
from monitor_platform.alerts.rules import PATH_CHANGES

MOST_SLICES = 3
MOST_SESSIONS = 10
MOST_PATHS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstSession:
    """A session of the slice, and its value in the alert's minutes."""

    session_id: str
    peer_id: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Slices and sessions, the worst first; empty if the rule counts peers. `paths`: texts about paths that have changed."""

    slices: tuple[Slice, ...] = ()
    sessions: tuple[WorstSession, ...] = ()
    paths: tuple[str, ...] = ()


def evidence(table: FeedbackTable, *, alert: Alert, until_ms: int) -> Evidence:
    """The evidence in the minutes of `alert` up to `until_ms`."""
    rule = alert.rule
    if rule.counts_peers:
        return Evidence()
    span = Span(alert.began_ms - MINUTE_MS, max(until_ms, alert.began_ms))
    where = {**rule.where, **alert.slice}
    others = [name for name in SLICED_BY if name not in where and name != "area"]  # a district is the same area with a name
    found = slices(table, measure=rule.measure, span=span, where=where, dimensions=others)
    guilty = [each for each in found if each.impact > 0 and not each.thin][:MOST_SLICES]
    return Evidence(slices=tuple(guilty), sessions=_worst(table, alert, span, where))


def evidence_of_paths(measurements: RecordTable, *, alert: Alert, until_ms: int) -> Evidence:
    """The paths that have changed, of an alert about them; no evidence of other alerts about measurements."""
    if alert.rule.measure != PATH_CHANGES:
        return Evidence()
    begin_ms = alert.began_ms - alert.rule.window_minutes * MINUTE_MS
    found = changed_paths(measurements, rule=alert.rule, span=Span(begin_ms - LOOK_BACK_MS, until_ms))
    changed = sorted({_path_text(each) for each in found if each.names == alert.names and each.change.confirmed_ms >= begin_ms})
    return Evidence(paths=tuple(changed[:MOST_PATHS]))


def _path_text(changed: ChangedPath) -> str:
    before, after = (" ".join(router or "?" for router in route.routers) for route in (changed.change.before, changed.change.after))
    return f"{changed.agent} to {changed.target}: before {before or 'direct'}; now {after or 'direct'}"


def _worst(table: FeedbackTable, alert: Alert, span: Span, where: Mapping[str, str]) -> tuple[WorstSession, ...]:
    """The sessions that exceed the alert's limit."""
    measure = alert.rule.watched()
    rows = table.select(span, where, ("session_id", "peer_id")).measured(measure)
    beyond, order = (">", "DESC") if alert.rule.worse_is_higher else ("<", "ASC")
    sql = f"""
        SELECT by_0, by_1, {number_of(measure)} AS value FROM ({rows.sql})
        GROUP BY by_0, by_1 HAVING value {beyond} $limit ORDER BY value {order}, by_0 LIMIT {MOST_SESSIONS}
    """
    with table.reading() as cursor:
        found = cursor.execute(sql, rows.parameters | {"limit": alert.limit}).fetchall()
    return tuple(WorstSession(session_id=session, peer_id=peer, value=value) for session, peer, value in found)
