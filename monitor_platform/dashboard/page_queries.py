"""The queries of one page. Pages that ask the same at the same moment share the answers, so a second viewer costs nothing."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from feedback_analysis.measures.histogram import Histogram, histogram
from feedback_analysis.measures.regions import RegionKind, RegionValue, by_region
from feedback_analysis.measures.selection import EXTRA, MEAN, NOT, OTHER, Span
from feedback_analysis.measures.summary import totals
from feedback_analysis.measures.timeline import Timeline
from feedback_analysis.messages.choices import choices, extra_dimensions, extra_measures
from feedback_analysis.messages.extent import RecordedTime, has_any, recorded_time
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.messages.missing import missing
from feedback_analysis.messages.slices import SLICED_BY, Slice, slices
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.dashboard.address_query import DEFAULT_MEASURE, AddressQuery
from monitor_platform.dashboard.alert_marks import within
from monitor_platform.dashboard.comparison import ComparisonSide, other_side, time_before
from monitor_platform.dashboard.page_data import (
    AUDIENCE,
    EVERYTHING,
    LEAST_RECORDED,
    BreakdownLine,
    Comparison,
    KeyFigures,
    PageData,
    RegionsThere,
    banded,
    distributed,
    series_of,
)
from monitor_platform.dashboard.percentile_band import band
from monitor_platform.dashboard.shared_answers import Answer, SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot, span_of, step_s, window_s
from monitor_platform.views.timeline_view import PercentileBand

_MAPS: tuple[tuple[str, str, RegionKind], ...] = (("map", "areas", "area"), ("district", "districts", "district"))
TILES = (
    *("mos", "continuity", "rebuffering_ratio", "stalls_per_hour", "stall_ms", "startup_ms"),
    *("upload_kbps", "download_kbps", "contribution_ratio", "p2p_ratio"),
)
"""The measures of the sparklines."""

TREND_POINTS = 30

MOST_LINES = 5
"""Lines of a breakdown. More cannot be distinguished in one panel; all other values share one line."""

Query = Coroutine[Any, Any, Answer]


@dataclass(frozen=True, slots=True)
class RecordSource:
    """The records of a time range: their queries and their snapshot."""

    answers: SharedAnswers
    snapshot: Snapshot


class PageQueries:
    """The queries that answer `query` for a page with `views`, as of the moment of `snapshot`.

    `there` has the records of the other side of a comparison, if they are not among those of `answers`.
    """

    def __init__(
        self,
        answers: SharedAnswers,
        snapshot: Snapshot,
        query: AddressQuery,
        *,
        views: frozenset[str],
        there: RecordSource | None = None,
    ) -> None:
        self._answers = answers
        self._there = there
        self._snapshot = snapshot
        self._query = query
        self._views = views
        self._span = span_of(query, snapshot)
        self._step_s = step_s(self._span)
        self._here = ComparisonSide(span=self._span, where=query.where(self._span), name="")
        self._follows = snapshot.live and query.span is None
        self._other = other_side(query, self._span, follows=self._follows)
        self._against = self._other or time_before(query, self._span)

    async def page_data(self) -> PageData:
        """Run the queries of all views at once, then those of the comparison, which needs the histogram's ranges."""
        found = await _gather(self._queries())
        recorded: RecordedTime = found.get("recorded_there", EVERYTHING)
        if found.get("before") is not None:
            found["before"] = _comparable(found["before"], recorded)
        comparison = await self._comparison(self._other, found.get("histogram"), recorded) if self._other else None
        regions_there = await self._regions_there(recorded) if self._compares_maps() else None
        if found.get("breakdown") and self._shows("histogram") and found["histogram"].edges:
            found["breakdown"] = await self._parts(found["breakdown"], found["histogram"])
        return PageData(
            query=self._query,
            span=self._span,
            window_s=window_s(self._snapshot, self._step_s),
            follows=self._follows,
            against=self._against,
            comparison=comparison,
            regions_there=regions_there,
            alerts=within(self._snapshot.alerts, self._span, self._query.where(), clock_ms=self._query.clock_ms),
            annotations=self._snapshot.annotations,
            atlas=self._snapshot.atlas,
            **found,
        )

    def _queries(self) -> dict[str, Query[Any]]:
        """One query for each field of `PageData` that this page shows."""
        queries: dict[str, Query[Any]] = {"matches": self._ask(has_any, span=self._span, where=self._here.where)}
        if self._shows("timeline", "tiles"):
            queries["audience"] = self._audience(self._here)
        if self._shows("timeline"):
            queries |= {"timeline": self._series(self._here), "band": self._band()}
        if self._shows("tiles"):
            queries |= self._tiles()
        if self._shows("tiles") or self._compares_maps():
            queries["recorded_there"] = self._recorded_there(self._against.span)
        for view, name, region in _MAPS:
            if self._shows(view):
                queries[name] = self._regions(self._here, self._query.where(self._span, without=region), region)
        if self._shows("histogram"):
            queries["histogram"] = self._histogram()
        if self._shows("slices"):
            queries["slices"] = self._slices()
        if self._shows("timeline", "breakdown", "histogram") and self._query.by:
            queries["breakdown"] = self._breakdown()
        return queries | {"channels": self._choices("channel"), "isps": self._choices("isp")} | self._unfiltered()

    def _tiles(self) -> dict[str, Query[Any]]:
        # In the last period, each present peer reports once.
        latest_s, trend_step_s = max(1.0, self._snapshot.period_s), step_s(self._span, most=TREND_POINTS)
        queries: dict[str, Query[Any]] = {"trends": self._timeline(self._here, TILES, trend_step_s, latest_s=latest_s)}
        queries["key_figures"] = self._key_figures(self._here)
        if self._in_memory(self._against.span) >= LEAST_RECORDED:
            queries["before"] = self._key_figures(self._against)
        return queries

    def _unfiltered(self) -> dict[str, Query[Any]]:
        """Queries that no filter changes, so all pages share them."""
        return {
            "extras": self._ask(extra_measures),
            "fields": self._ask(extra_dimensions),
            "damages": self._ask(_damages),
            "missing": self._ask(missing, span=self._span, proved_ms=self._snapshot.proved_ms),
        }

    async def _comparison(self, other: ComparisonSide, shown: Histogram | None, recorded: RecordedTime) -> Comparison:
        """The same views of the other side, with the same steps and ranges. Without records, the audience is unknown, not 0."""
        queries: dict[str, Query[Any]] = {}
        if self._shows("timeline"):
            queries |= {"audience": self._audience(other), "timeline": self._series(other)}
        if shown is not None and shown.edges:
            measure = distributed(self._query.measure).name
            where = _without(other.where, MEAN + measure)
            queries["histogram"] = self._ask(histogram, span=other.span, where=where, measure=measure, edges=shown.edges)
        found = await _gather(queries)
        if "audience" in found and not recorded.share:
            at_ms = found["audience"].at_ms
            found["audience"] = Timeline(at_ms, {AUDIENCE: (None,) * len(at_ms)})
        return Comparison(other=other, **found)

    async def _regions_there(self, recorded: RecordedTime) -> RegionsThere | None:
        """The maps of the side that the tiles compare with; without regions if the tiles show no change."""
        there = self._against
        maps = [(name, region) for view, name, region in _MAPS if self._shows(view)]
        if not maps:
            return None
        if recorded.share < LEAST_RECORDED:
            return RegionsThere(side=there, **dict.fromkeys((name for name, _ in maps), ()))
        queries = {name: self._regions(there, _without(there.where, region), region) for name, region in maps}
        return RegionsThere(side=there, **await _gather(queries))

    def _compares_maps(self) -> bool:
        return self._other is not None or self._query.colours_change

    async def _breakdown(self) -> tuple[BreakdownLine, ...]:
        """One line for each of the worst values, and one line for all others together."""
        by, measure = self._query.by, distributed(self._query.measure).name
        here = self._here
        found = await self._ask(slices, span=here.span, where=here.where, measure=measure, dimensions=(by,))
        # A value without a name of its own belongs to the others, however bad it is.
        shown = [each for each in worst_first(found, measure) if each.name != OTHER][:MOST_LINES]
        lines = [self._breakdown_line(each, here.where | {by: each.name}) for each in shown]
        if len(found) > len(shown):
            named = json.dumps([each.name for each in shown], ensure_ascii=False)
            lines.append(self._breakdown_line(None, here.where | {NOT + by: named}))
        return tuple(await asyncio.gather(*lines))

    async def _breakdown_line(self, whole: Slice | None, where: dict[str, str]) -> BreakdownLine:
        side = ComparisonSide(span=self._span, where=where, name="")
        name = None if whole is None else whole.name
        if not self._shows("timeline", "breakdown"):
            return BreakdownLine(name=name, whole=whole, where=where)
        audience, series = await asyncio.gather(self._audience(side), self._series(side))
        return BreakdownLine(name=name, whole=whole, where=where, audience=audience, timeline=series)

    async def _parts(self, lines: Sequence[BreakdownLine], shown: Histogram) -> tuple[BreakdownLine, ...]:
        """The lines with their distributions over the ranges of the histogram."""
        measure = distributed(self._query.measure).name
        asked = [
            self._ask(histogram, span=self._span, where=_without(line.where, MEAN + measure), measure=measure, edges=shown.edges)
            for line in lines
        ]
        found = await asyncio.gather(*asked)
        return tuple(replace(line, histogram=part) for line, part in zip(lines, found, strict=True))

    async def _key_figures(self, side: ComparisonSide) -> KeyFigures:
        summary, audience = await asyncio.gather(self._ask(totals, span=side.span, where=side.where), self._audience(side))
        return KeyFigures(summary=summary, audience=audience.values[AUDIENCE][-1] if audience.at_ms else None)

    async def _recorded_there(self, span: Span) -> RecordedTime:
        """How much of the other time has records, of any viewer."""
        if span == self._span:
            return EVERYTHING  # other viewers in the same time
        if self._in_memory(span) < LEAST_RECORDED:
            return RecordedTime(share=self._in_memory(span), at_end=False)
        return await self._ask(recorded_time, span=span, period_s=self._snapshot.period_s)

    async def _band(self) -> PercentileBand | None:
        """The band of the first measure, unless other lines are drawn in its panel."""
        measure = banded(self._query)
        if measure is None:
            return None
        window = window_s(self._snapshot, self._step_s)
        return await self._ask(band, measure=measure, span=self._span, step_s=window, where=self._here.where)

    def _choices(self, dimension: str) -> Query[list[str]]:
        return self._ask(choices, span=self._span, where=self._query.where(self._span, without=dimension), dimension=dimension)

    def _histogram(self) -> Query[Histogram]:
        measure = distributed(self._query.measure).name
        where = self._query.where(self._span, without=MEAN + measure)
        return self._ask(histogram, span=self._span, where=where, measure=measure)

    def _slices(self) -> Query[list[Slice]]:
        where = self._here.where
        # A filtered dimension has only one value left.
        dimensions = tuple(name for name in SLICED_BY if name not in where)
        measure = distributed(self._query.measure).name
        measure = DEFAULT_MEASURE if measure.startswith(EXTRA) else measure
        return self._ask(slices, span=self._span, where=where, measure=measure, dimensions=dimensions)

    def _regions(self, side: ComparisonSide, where: Mapping[str, str], region: RegionKind) -> Query[list[RegionValue]]:
        """The measure in each region. `where` replaces the side's own filters, because a map also shows the regions that are not
        selected."""
        shown = {"measure": self._query.measure, "period_s": self._snapshot.period_s}
        return self._ask(by_region, span=side.span, where=where, region=region, with_error=self._query.colours_change, **shown)

    def _audience(self, side: ComparisonSide) -> Query[Timeline]:
        return self._timeline(side, (AUDIENCE,), step_s(side.span))

    def _series(self, side: ComparisonSide) -> Query[Timeline]:
        """The measures on the timeline."""
        step = step_s(side.span)
        return self._timeline(side, series_of(self._query), step, window_s=window_s(self._snapshot, step))

    def _timeline(
        self, side: ComparisonSide, measures: Sequence[str], step_s: float, *, window_s: float = 0, latest_s: float = 0
    ) -> Query[Timeline]:
        steps = {"step_s": step_s, "period_s": self._snapshot.period_s, "window_s": window_s, "latest_s": latest_s}
        return self._ask(timeline, span=side.span, where=side.where, measures=measures, **steps)

    def _ask(self, query: Callable[..., Answer], **arguments: object) -> Query[Answer]:
        """Ask the records of the time range."""
        if self._there is not None and arguments.get("span") == self._against.span:
            return self._there.answers.ask(self._there.snapshot.moment, query, **arguments)
        return self._answers.ask(self._snapshot.moment, query, **arguments)

    def _shows(self, *views: str) -> bool:
        return not self._views.isdisjoint(views)

    def _in_memory(self, span: Span) -> float:
        """The share of the other time after the begin of the records."""
        extent = (self._there.snapshot if self._there is not None else self._snapshot).extent
        return min(1.0, max(0.0, (span.to_ms - extent.from_ms) / max(1, span.to_ms - span.from_ms)))


def _comparable(before: KeyFigures, recorded: RecordedTime) -> KeyFigures | None:
    """The key figures of the other time as far as they can be compared."""
    if recorded.share < LEAST_RECORDED or not before.summary["messages"]:
        return None
    return before if recorded.at_end else replace(before, audience=None)


def worst_first(found: Sequence[Slice], measure: str) -> list[Slice]:
    """The values with the largest impact, thin ones last; of a number in `extra`, the most frequent: it has no better direction."""
    if measure.startswith(EXTRA):
        return sorted(found, key=lambda each: (-each.peers, each.name))
    return sorted(found, key=lambda each: (each.thin, -each.impact, -each.peers, each.name))


async def _gather(queries: Mapping[str, Query[Any]]) -> dict[str, Any]:
    return dict(zip(queries, await asyncio.gather(*queries.values()), strict=True))


def _without(where: Mapping[str, str], name: str) -> dict[str, str]:
    return {each: value for each, value in where.items() if each != name}


def _damages(table: FeedbackTable) -> int:
    return len(table.damages)
