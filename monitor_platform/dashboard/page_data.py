"""The data of one page: the numbers that answer a query, without HTML and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.measures.histogram import Histogram
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import MEASURES, Measure, measure_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline
from feedback_analysis.messages.extent import RecordedTime
from feedback_analysis.messages.missing import Missing
from feedback_analysis.messages.slices import Slice
from monitor_platform.alerts.detector import Alert
from monitor_platform.dashboard.address_query import DEFAULT_MEASURE, AddressQuery
from monitor_platform.dashboard.annotations import Annotation
from monitor_platform.dashboard.comparison import ComparisonSide
from monitor_platform.dashboard.percentile_band import has_band
from monitor_platform.views.timeline_view import PercentileBand

AUDIENCE = "concurrent_peers"

EVERYTHING = RecordedTime(share=1.0, at_end=True)
LEAST_RECORDED = 0.5
"""A comparison needs records of this share of the other time. Numbers of a gap in the records look like those of few viewers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigures:
    """The numbers of the tiles for one time range and one cohort."""

    summary: dict[str, Any]
    audience: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The data of a comparison's other side. A view that the page does not have is None."""

    other: ComparisonSide
    audience: Timeline | None = None
    timeline: Timeline | None = None
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsThere:
    """The maps' values of the other side of a comparison, or of the time before. A map that the page does not have is None."""

    side: ComparisonSide
    areas: Sequence[RegionValue] | None = None
    districts: Sequence[RegionValue] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownLine:
    """One line of a breakdown; `name` None: all values without a line of their own. `whole`: numbers of the whole time range.

    `where`: the filters of the line. Data of a view that the page lacks is None.
    """

    name: str | None
    whole: Slice | None
    where: dict[str, str]
    audience: Timeline | None = None
    timeline: Timeline | None = None
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """The content of a page. A view that the page does not have is None and is not queried.

    `matches`: whether any record matches the query. `band`: of the first measure on the timeline. `alerts`: those of this time
    range and slice. `follows`: the time range ends now. `against`: what the tiles are compared with, `before` its key figures
    (None if its records are too few), `recorded_there` the part of its time that has records, `trends` the sparklines and, as
    their latest values, those of the last period.

    A point of `audience` counts the peers of that moment. A point of `timeline` is a mean over `window_s`, which is at least one
    reporting period, so that each peer reports once in it.
    """

    query: AddressQuery
    span: Span
    window_s: float
    matches: bool
    missing: Missing
    channels: list[str]
    isps: list[str]
    extras: list[str]
    fields: list[str]
    damages: int
    follows: bool
    against: ComparisonSide
    alerts: tuple[Alert, ...]
    annotations: tuple[Annotation, ...]
    atlas: Atlas
    audience: Timeline | None = None
    timeline: Timeline | None = None
    trends: Timeline | None = None
    areas: Sequence[RegionValue] | None = None
    districts: Sequence[RegionValue] | None = None
    histogram: Histogram | None = None
    slices: list[Slice] | None = None
    key_figures: KeyFigures | None = None
    before: KeyFigures | None = None
    recorded_there: RecordedTime = EVERYTHING
    comparison: Comparison | None = None
    regions_there: RegionsThere | None = None
    breakdown: tuple[BreakdownLine, ...] = ()
    band: PercentileBand | None = None


def series_of(query: AddressQuery) -> tuple[str, ...]:
    """The measures on the timeline below the audience: the chosen series, or the measure that colours the maps."""
    wanted = query.series or (query.measure,)
    return tuple(name for name in wanted if name != AUDIENCE) or (DEFAULT_MEASURE,)


def banded(query: AddressQuery) -> str | None:
    """The measure with a band on the timeline: the first, unless its panel has other lines."""
    first = series_of(query)[0]
    crowded = query.by or query.compare or query.versus
    return first if has_band(first) and not crowded else None


def distributed(measure: str) -> Measure:
    """The measure for the histogram. A count of peers has no distribution over peers, so MOS replaces it."""
    chosen = measure_of(measure, "region")
    return chosen if "histogram" in chosen.views else MEASURES[DEFAULT_MEASURE]
