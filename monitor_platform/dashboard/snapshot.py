"""What is looked at, whoever looks: the moment, what has been recorded; and from it the span and the steps of a question."""

from dataclasses import dataclass

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.measures.selection import Span
from monitor_platform.alerts.alert_watch import ExplainedAlert
from monitor_platform.dashboard.question import Question
from monitor_platform.dashboard.shared_answers import Moment

# Steps that divide a minute or an hour; a panel is about 600 px wide, so 360 points are as many as can be seen.
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
MOST_POINTS = 360

LEAST_MS = 60_000
"""A minute is shown even when the first message has come only just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What does not depend on the viewer: the moment, what has been recorded, and the end hosts' reporting period.

    `until_ms`: the time up to which the records are taken to be all here.
    """

    moment: Moment
    extent: Span
    until_ms: int
    period_s: float
    live: bool
    atlas: Atlas
    alerts: tuple[ExplainedAlert, ...] = ()


def span_of(question: Question, snapshot: Snapshot) -> Span:
    """The fixed range, as far as it lies in what is recorded; without one all that is recorded, live of the last minutes only."""
    if question.span is None and snapshot.live:
        from_ms = max(snapshot.until_ms - question.minutes * 60_000, snapshot.extent.from_ms)
        return Span(min(from_ms, snapshot.until_ms - LEAST_MS), snapshot.until_ms)
    if question.span is None:
        return snapshot.extent
    from_ms = min(max(question.span.from_ms, snapshot.extent.from_ms), snapshot.extent.to_ms)
    return Span(from_ms, max(from_ms, min(question.span.to_ms, snapshot.extent.to_ms)))


def window_s(snapshot: Snapshot, step_s: float) -> float:
    """How long a stretch one point of a timeline stands for."""
    return max(snapshot.period_s, step_s)


def step_s(span: Span, *, most: int = MOST_POINTS) -> int:
    """The shortest step that shows `span` in at most `most` points."""
    seconds = (span.to_ms - span.from_ms) / 1000
    return next((step for step in STEPS_S if seconds / step <= most), STEPS_S[-1])
