"""What one page shows in answer to one question: the numbers only, without HTML or figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.measures.histogram import Histogram
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import MEASURES, Measure, measure_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import Missing
from feedback_analysis.measures.timeline import Timeline
from feedback_analysis.messages.slices import Slice
from feedback_analysis.messages.starts import Starts
from monitor_platform.alerts.detector import Alert
from monitor_platform.dashboard.comparison import ComparisonSide
from monitor_platform.dashboard.percentile_band import has_band
from monitor_platform.dashboard.question import DEFAULT_MEASURE, Question
from monitor_platform.views.timeline_view import PercentileBand

AUDIENCE = "concurrent_peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigures:
    """What the tiles say of one span and one cohort."""

    summary: dict[str, Any]
    starts: Starts
    p2p_ratio: float | None
    audience: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The other side of a comparison, as far as the page shows it."""

    other: ComparisonSide
    audience: Timeline | None
    timeline: Timeline | None
    areas: Sequence[RegionValue] | None
    districts: Sequence[RegionValue] | None
    histogram: Histogram | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownLine:
    """One line of a breakdown; `name` None: everybody who has no line of his own. `whole` are the numbers of the whole span."""

    name: str | None
    whole: Slice | None
    audience: Timeline
    timeline: Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """What a page does not show is None, and what is not asked: `beside`. `matches`: whether there is anything to show.

    `band` is that of the first measure on the timeline, `alerts` those of this time and slice. `against`: the side that the tiles
    are compared with; `before` are the tiles there, `trends` how they went.

    The audience is that of the moment; a point of the timeline is the mean over `window_s`, at least one reporting period, in which
    every peer is heard once.
    """

    question: Question
    span: Span
    window_s: float
    matches: bool
    missing: Missing
    audience: Timeline | None
    timeline: Timeline | None
    trends: Timeline | None
    channels: list[str]
    isps: list[str]
    extras: list[str]
    damages: int
    areas: Sequence[RegionValue] | None
    districts: Sequence[RegionValue] | None
    histogram: Histogram | None
    fields: list[str]
    slices: list[Slice] | None
    key_figures: KeyFigures | None
    against: ComparisonSide
    before: KeyFigures | None
    comparison: Comparison | None
    breakdown: tuple[BreakdownLine, ...]
    band: PercentileBand | None
    alerts: tuple[Alert, ...]
    atlas: Atlas


def series_of(question: Question) -> tuple[str, ...]:
    """The measures on the timeline beside the audience: those chosen, else the one that colours the maps."""
    wanted = question.series or (question.measure,)
    return tuple(name for name in wanted if name != AUDIENCE) or (DEFAULT_MEASURE,)


def banded(question: Question) -> str | None:
    """The measure that has a band on the timeline: the first, unless its panel bears other lines."""
    first = series_of(question)[0]
    crowded = question.by or question.compare or question.versus
    return first if has_band(first) and not crowded else None


def distributed(measure: str) -> Measure:
    """The measure for the histogram: a count of peers has no distribution over peers, so MOS stands in for it."""
    chosen = measure_of(measure, "region")
    return chosen if "histogram" in chosen.views else MEASURES[DEFAULT_MEASURE]
