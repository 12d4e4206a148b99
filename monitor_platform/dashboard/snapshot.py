"""The state of the records at one moment, the same for all pages; and the time range and steps of a query in it."""

from dataclasses import dataclass

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.measures.selection import Span
from monitor_platform.alerts.alert_watch import ExplainedAlert
from monitor_platform.alerts.silences import Silence
from monitor_platform.dashboard.address_query import DEFAULT_MINUTES, MINUTES, AddressQuery
from monitor_platform.dashboard.annotations import Annotation
from monitor_platform.dashboard.shared_answers import Moment

# Steps divide a minute, an hour or a day. A panel is about 600 px wide, so more than 360 points cannot be seen.
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
MOST_POINTS = 360

LEAST_MS = 60_000
"""The shortest time range of a live page, also just after the first message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`extent`: the time of the records. `until_ms`: the time up to which all records are assumed to have arrived.

    `period_s`: the end hosts' reporting period. `proved_ms`: a gap in the numbers of a session that ends before this time is a
    loss; a later one may still be filled (None: no gap can be filled). `silences`: those that last (None: alerts
    cannot be silenced). `polled`: whether the last poll of a feedback server succeeded (True for recorded files).
    """

    moment: Moment
    extent: Span
    until_ms: int
    period_s: float
    live: bool
    atlas: Atlas
    alerts: tuple[ExplainedAlert, ...] = ()
    silences: tuple[Silence, ...] | None = None
    annotations: tuple[Annotation, ...] = ()
    proved_ms: int | None = None
    polled: bool = True


def span_of(query: AddressQuery, snapshot: Snapshot) -> Span:
    """The query's time range within the extent. Without a fixed one: the last minutes, or a whole recording."""
    minutes = query.minutes or (DEFAULT_MINUTES if snapshot.live else 0)
    if query.span is None and minutes:
        from_ms = max(snapshot.until_ms - minutes * 60_000, snapshot.extent.from_ms)
        return Span(min(from_ms, snapshot.until_ms - LEAST_MS), snapshot.until_ms)
    if query.span is None:
        return snapshot.extent
    from_ms = min(max(query.span.from_ms, snapshot.extent.from_ms), snapshot.extent.to_ms)
    return Span(from_ms, max(from_ms, min(query.span.to_ms, snapshot.extent.to_ms)))


def lengths(snapshot: Snapshot, keep_minutes: int) -> list[int]:
    """The lengths of a time range in minutes that the records allow, the default first; 0 is the whole recording."""
    if snapshot.live:
        return sorted((each for each in MINUTES if each <= keep_minutes), key=lambda each: (each != DEFAULT_MINUTES, each))
    recorded_ms = snapshot.extent.to_ms - snapshot.extent.from_ms
    return [0, *(each for each in MINUTES if each * 60_000 < recorded_ms)]


def window_s(snapshot: Snapshot, step_s: float) -> float:
    """The time that one point of a timeline averages."""
    return max(snapshot.period_s, step_s)


def step_s(span: Span, *, most: int = MOST_POINTS) -> int:
    """The shortest step that shows `span` in at most `most` points."""
    seconds = (span.to_ms - span.from_ms) / 1000
    return next((step for step in STEPS_S if seconds / step <= most), STEPS_S[-1])
