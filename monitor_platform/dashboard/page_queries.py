"""The picture of a question, gathered from shared answers: what one viewer has asked, the next one has for nothing."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from feedback_analysis.measures.histogram import Histogram, histogram
from feedback_analysis.measures.regions import Region, RegionValue, by_region
from feedback_analysis.measures.selection import EXTRA, MEAN, NOT, OTHER, Span
from feedback_analysis.measures.summary import missing, totals
from feedback_analysis.measures.timeline import Timeline, timeline
from feedback_analysis.messages.choices import choices, extra_columns, extra_measures
from feedback_analysis.messages.extent import has_any
from feedback_analysis.messages.slices import SLICED_BY, Slice, slices
from feedback_analysis.messages.starts import starts
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.dashboard.alert_marks import within
from monitor_platform.dashboard.comparison import ComparisonSide, other_side, time_before
from monitor_platform.dashboard.page_data import (
    AUDIENCE,
    BreakdownLine,
    Comparison,
    KeyFigures,
    PageData,
    banded,
    distributed,
    series_of,
)
from monitor_platform.dashboard.percentile_band import band
from monitor_platform.dashboard.question import DEFAULT_MEASURE, Question
from monitor_platform.dashboard.shared_answers import Answer, SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot, span_of, step_s, window_s
from monitor_platform.views.timeline_view import PercentileBand

_MAPS: tuple[tuple[str, str, Region], ...] = (("map", "areas", "area"), ("district", "districts", "district"))
TILES = ("mos", "continuity", "startup_ms", "upload_kbps", "download_kbps", "contribution_ratio", "p2p_ratio")

TREND_POINTS = 30

MOST_BROKEN_DOWN = 5
"""More lines than this in one frame nobody can tell apart; the rest are one line together."""


async def query_page(answers: SharedAnswers, snapshot: Snapshot, question: Question, *, views: frozenset[str]) -> PageData:
    """The picture of `question` as of the scene's moment, for a page that shows `views`."""
    span = span_of(question, snapshot)
    step = step_s(span)
    here = ComparisonSide(span=span, where=question.where(span), name="")
    other = other_side(question, span)
    against = other or time_before(question, span)
    parts: dict[str, Coroutine[Any, Any, Any]] = {
        "matches": answers.ask(snapshot.moment, has_any, span=span, where=here.where),
        "audience": _when(bool(views & {"timeline", "tiles"}), lambda: _timeline(answers, snapshot, here, (AUDIENCE,), step)),
        "timeline": _when("timeline" in views, lambda: _lines(answers, snapshot, here, question)),
        "trends": _when("tiles" in views, lambda: _timeline(answers, snapshot, here, TILES, step_s(span, most=TREND_POINTS))),
        "channels": _choices(answers, snapshot, span, question, "channel"),
        "isps": _choices(answers, snapshot, span, question, "isp"),
        # Whatever is chosen, the same for everybody: one query.
        "extras": answers.ask(snapshot.moment, extra_measures),
        "fields": answers.ask(snapshot.moment, extra_columns),
        "damages": answers.ask(snapshot.moment, _damages),
        "missing": answers.ask(snapshot.moment, missing, span=span),
        "areas": _when("map" in views, lambda: _regions(answers, snapshot, span, question, "area")),
        "districts": _when("district" in views, lambda: _regions(answers, snapshot, span, question, "district")),
        "histogram": _when("histogram" in views, lambda: _histogram(answers, snapshot, span, question)),
        "slices": _when("slices" in views, lambda: _slices(answers, snapshot, here, question)),
        "key_figures": _when("tiles" in views, lambda: _key_figures(answers, snapshot, here)),
        "before": _when("tiles" in views and _recorded(against, snapshot), lambda: _key_figures(answers, snapshot, against)),
        "breakdown": _breakdown(answers, snapshot, here, question, views),
        "band": _when("timeline" in views, lambda: _band(answers, snapshot, here, question, step)),
    }
    known: dict[str, Any] = dict(zip(parts, await asyncio.gather(*parts.values()), strict=True))
    comparison = await _comparison(answers, snapshot, question, other, views, known) if other is not None else None
    return PageData(
        question=question,
        span=span,
        window_s=window_s(snapshot, step),
        against=against,
        comparison=comparison,
        alerts=within(snapshot.alerts, span, question.where(), clock_ms=question.clock_ms),
        atlas=snapshot.atlas,
        **known,
    )


def _recorded(side: ComparisonSide, snapshot: Snapshot) -> bool:
    """Whether at least half of that time is; of less a change would say nothing."""
    return (side.span.from_ms + side.span.to_ms) / 2 >= snapshot.extent.from_ms


async def _when(wanted: bool, asked: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer | None:
    return await asked() if wanted else None


async def _band(
    answers: SharedAnswers, snapshot: Snapshot, here: ComparisonSide, question: Question, step: float
) -> PercentileBand | None:
    """The band of the first measure, unless other lines are drawn into its panel."""
    measure = banded(question)
    if measure is None:
        return None
    return await answers.ask(
        snapshot.moment, band, measure=measure, span=here.span, step_s=window_s(snapshot, step), where=here.where
    )


async def _key_figures(answers: SharedAnswers, snapshot: Snapshot, side: ComparisonSide) -> KeyFigures:
    span, where = side.span, side.where
    seconds = max(1.0, (span.to_ms - span.from_ms) / 1000)
    summary, started, whole = await asyncio.gather(
        answers.ask(snapshot.moment, totals, span=span, where=where),
        answers.ask(snapshot.moment, starts, span=span, where=where, period_s=snapshot.period_s),
        _timeline(answers, snapshot, side, ("p2p_ratio", AUDIENCE), seconds),
    )
    p2p, audience = (whole.values[name][-1] if whole.at_ms else None for name in ("p2p_ratio", AUDIENCE))
    return KeyFigures(summary=summary, starts=started, p2p_ratio=p2p, audience=audience)


async def _comparison(
    answers: SharedAnswers,
    snapshot: Snapshot,
    question: Question,
    other: ComparisonSide,
    views: frozenset[str],
    known: dict[str, Any],
) -> Comparison:
    """The same views of the other side, with the same steps and ranges."""
    parts: dict[str, Coroutine[Any, Any, Any]] = {
        "audience": _when("timeline" in views, lambda: _timeline(answers, snapshot, other, (AUDIENCE,), step_s(other.span))),
        "timeline": _when("timeline" in views, lambda: _lines(answers, snapshot, other, question)),
    }
    for view, name, region in _MAPS:
        where = {each: value for each, value in other.where.items() if each != region}
        parts[name] = _when(view in views, partial(_by_region, answers, snapshot, other.span, where, region, question.measure))
    edges = known["histogram"].edges if known["histogram"] is not None else ()
    measure = distributed(question.measure).name
    where = {each: value for each, value in other.where.items() if each != MEAN + measure}
    parts["histogram"] = _when(
        bool(edges),
        lambda: answers.ask(snapshot.moment, histogram, span=other.span, where=where, measure=measure, edges=edges),
    )
    found: dict[str, Any] = dict(zip(parts, await asyncio.gather(*parts.values()), strict=True))
    return Comparison(other=other, **found)


async def _breakdown(
    answers: SharedAnswers, snapshot: Snapshot, here: ComparisonSide, question: Question, views: frozenset[str]
) -> tuple[BreakdownLine, ...]:
    """A line for each of the most frequent values, and one for the others together."""
    if not question.by or not views & {"timeline", "breakdown"}:
        return ()
    measure = distributed(question.measure).name
    found = await answers.ask(snapshot.moment, slices, span=here.span, where=here.where, measure=measure, dimensions=(question.by,))
    largest = sorted(found, key=lambda each: (-each.peers, each.name))
    # What has no name of its own belongs to the others, however much it is.
    shown = [each for each in largest if each.name != OTHER][:MOST_BROKEN_DOWN]
    left = len(largest) > len(shown)
    lines: list[tuple[str | None, Slice | None, dict[str, str]]] = [
        (each.name, each, here.where | {question.by: each.name}) for each in shown
    ]
    if left:
        named = json.dumps([each.name for each in shown], ensure_ascii=False)
        lines.append((None, None, here.where | {NOT + question.by: named}))
    step = step_s(here.span)
    series = [
        asyncio.gather(
            _timeline(answers, snapshot, side, (AUDIENCE,), step),
            _lines(answers, snapshot, side, question),
        )
        for side in (ComparisonSide(span=here.span, where=where, name="") for _, _, where in lines)
    ]
    both = await asyncio.gather(*series)
    return tuple(
        BreakdownLine(name=name, whole=whole, audience=audience, timeline=line)
        for (name, whole, _), (audience, line) in zip(lines, both, strict=True)
    )


def _damages(table: FeedbackTable) -> int:
    return len(table.damages)


def _choices(
    answers: SharedAnswers, snapshot: Snapshot, span: Span, question: Question, column: str
) -> Coroutine[Any, Any, list[str]]:
    return answers.ask(snapshot.moment, choices, span=span, where=question.where(span, without=column), column=column)


def _histogram(answers: SharedAnswers, snapshot: Snapshot, span: Span, question: Question) -> Coroutine[Any, Any, Histogram]:
    measure = distributed(question.measure).name
    where = question.where(span, without=MEAN + measure)
    return answers.ask(snapshot.moment, histogram, span=span, where=where, measure=measure)


def _slices(
    answers: SharedAnswers, snapshot: Snapshot, here: ComparisonSide, question: Question
) -> Coroutine[Any, Any, list[Slice]]:
    # A dimension that is filtered by has one value left, which is no news.
    dimensions = tuple(name for name in SLICED_BY if name not in here.where)
    measure = distributed(question.measure).name
    measure = DEFAULT_MEASURE if measure.startswith(EXTRA) else measure
    return answers.ask(snapshot.moment, slices, span=here.span, where=here.where, measure=measure, dimensions=dimensions)


def _regions(
    answers: SharedAnswers, snapshot: Snapshot, span: Span, question: Question, region: Region
) -> Coroutine[Any, Any, list[RegionValue]]:
    return _by_region(answers, snapshot, span, question.where(span, without=region), region, question.measure)


def _by_region(
    answers: SharedAnswers, snapshot: Snapshot, span: Span, where: Mapping[str, str], region: Region, measure: str
) -> Coroutine[Any, Any, list[RegionValue]]:
    return answers.ask(
        snapshot.moment, by_region, span=span, where=where, region=region, measure=measure, period_s=snapshot.period_s
    )


def _lines(answers: SharedAnswers, snapshot: Snapshot, side: ComparisonSide, question: Question) -> Coroutine[Any, Any, Timeline]:
    """The measures on the timeline."""
    step = step_s(side.span)
    return _timeline(answers, snapshot, side, series_of(question), step, window_s=window_s(snapshot, step))


def _timeline(
    answers: SharedAnswers, snapshot: Snapshot, side: ComparisonSide, measures: Sequence[str], step_s: float, *, window_s: float = 0
) -> Coroutine[Any, Any, Timeline]:
    return answers.ask(
        snapshot.moment,
        timeline,
        span=side.span,
        where=side.where,
        measures=measures,
        step_s=step_s,
        period_s=snapshot.period_s,
        window_s=window_s,
    )
