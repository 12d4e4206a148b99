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
from monitor_platform.dashboard.answers import Answer, Answers
from monitor_platform.dashboard.band import band
from monitor_platform.dashboard.comparison import Other, other_side, time_before
from monitor_platform.dashboard.marks import within
from monitor_platform.dashboard.picture import AUDIENCE, Beside, Broken, Picture, Vitals, banded, distributed, series_of
from monitor_platform.dashboard.question import DEFAULT_MEASURE, Question
from monitor_platform.dashboard.scene import Scene, span_of, step_s, window_s
from monitor_platform.views.timeline import Band

_MAPS: tuple[tuple[str, str, Region], ...] = (("map", "areas", "area"), ("district", "districts", "district"))
TILES = ("mos", "continuity", "startup_ms", "upload_kbps", "download_kbps", "contribution_ratio", "p2p_ratio")

TREND_POINTS = 30

MOST_BROKEN_DOWN = 5
"""More lines than this in one frame nobody can tell apart; the rest are one line together."""


async def picture(answers: Answers, scene: Scene, question: Question, *, views: frozenset[str]) -> Picture:
    """The picture of `question` as of the scene's moment, for a page that shows `views`."""
    span = span_of(question, scene)
    step = step_s(span)
    here = Other(span=span, where=question.where(span), name="")
    other = other_side(question, span)
    against = other or time_before(question, span)
    parts: dict[str, Coroutine[Any, Any, Any]] = {
        "matches": answers.ask(scene.moment, has_any, span=span, where=here.where),
        "audience": _when(bool(views & {"timeline", "tiles"}), lambda: _timeline(answers, scene, here, (AUDIENCE,), step)),
        "timeline": _when("timeline" in views, lambda: _lines(answers, scene, here, question)),
        "trends": _when("tiles" in views, lambda: _timeline(answers, scene, here, TILES, step_s(span, most=TREND_POINTS))),
        "channels": _choices(answers, scene, span, question, "channel"),
        "isps": _choices(answers, scene, span, question, "isp"),
        # Whatever is chosen, the same for everybody: one query.
        "extras": answers.ask(scene.moment, extra_measures),
        "fields": answers.ask(scene.moment, extra_columns),
        "damages": answers.ask(scene.moment, _damages),
        "missing": answers.ask(scene.moment, missing, span=span),
        "areas": _when("map" in views, lambda: _regions(answers, scene, span, question, "area")),
        "districts": _when("district" in views, lambda: _regions(answers, scene, span, question, "district")),
        "histogram": _when("histogram" in views, lambda: _histogram(answers, scene, span, question)),
        "slices": _when("slices" in views, lambda: _slices(answers, scene, here, question)),
        "vitals": _when("tiles" in views, lambda: _vitals(answers, scene, here)),
        "before": _when("tiles" in views and _recorded(against, scene), lambda: _vitals(answers, scene, against)),
        "breakdown": _breakdown(answers, scene, here, question, views),
        "band": _when("timeline" in views, lambda: _band(answers, scene, here, question, step)),
    }
    known: dict[str, Any] = dict(zip(parts, await asyncio.gather(*parts.values()), strict=True))
    beside = await _beside(answers, scene, question, other, views, known) if other is not None else None
    return Picture(
        question=question,
        span=span,
        window_s=window_s(scene, step),
        against=against,
        beside=beside,
        alerts=within(scene.alerts, span, question.where(), clock_ms=question.clock_ms),
        atlas=scene.atlas,
        **known,
    )


def _recorded(side: Other, scene: Scene) -> bool:
    """Whether at least half of that time is; of less a change would say nothing."""
    return (side.span.from_ms + side.span.to_ms) / 2 >= scene.extent.from_ms


async def _when(wanted: bool, asked: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer | None:
    return await asked() if wanted else None


async def _band(answers: Answers, scene: Scene, here: Other, question: Question, step: float) -> Band | None:
    """The band of the first measure, unless other lines are drawn into its panel."""
    measure = banded(question)
    if measure is None:
        return None
    return await answers.ask(scene.moment, band, measure=measure, span=here.span, step_s=window_s(scene, step), where=here.where)


async def _vitals(answers: Answers, scene: Scene, side: Other) -> Vitals:
    span, where = side.span, side.where
    seconds = max(1.0, (span.to_ms - span.from_ms) / 1000)
    summary, started, whole = await asyncio.gather(
        answers.ask(scene.moment, totals, span=span, where=where),
        answers.ask(scene.moment, starts, span=span, where=where, period_s=scene.period_s),
        _timeline(answers, scene, side, ("p2p_ratio", AUDIENCE), seconds),
    )
    p2p, audience = (whole.values[name][-1] if whole.at_ms else None for name in ("p2p_ratio", AUDIENCE))
    return Vitals(summary=summary, starts=started, p2p_ratio=p2p, audience=audience)


async def _beside(
    answers: Answers, scene: Scene, question: Question, other: Other, views: frozenset[str], known: dict[str, Any]
) -> Beside:
    """The same views of the other side, with the same steps and ranges."""
    parts: dict[str, Coroutine[Any, Any, Any]] = {
        "audience": _when("timeline" in views, lambda: _timeline(answers, scene, other, (AUDIENCE,), step_s(other.span))),
        "timeline": _when("timeline" in views, lambda: _lines(answers, scene, other, question)),
    }
    for view, name, region in _MAPS:
        where = {each: value for each, value in other.where.items() if each != region}
        parts[name] = _when(view in views, partial(_by_region, answers, scene, other.span, where, region, question.measure))
    edges = known["histogram"].edges if known["histogram"] is not None else ()
    measure = distributed(question.measure).name
    where = {each: value for each, value in other.where.items() if each != MEAN + measure}
    parts["histogram"] = _when(
        bool(edges),
        lambda: answers.ask(scene.moment, histogram, span=other.span, where=where, measure=measure, edges=edges),
    )
    found: dict[str, Any] = dict(zip(parts, await asyncio.gather(*parts.values()), strict=True))
    return Beside(other=other, **found)


async def _breakdown(answers: Answers, scene: Scene, here: Other, question: Question, views: frozenset[str]) -> tuple[Broken, ...]:
    """A line for each of the most frequent values, and one for the others together."""
    if not question.by or not views & {"timeline", "breakdown"}:
        return ()
    measure = distributed(question.measure).name
    found = await answers.ask(scene.moment, slices, span=here.span, where=here.where, measure=measure, dimensions=(question.by,))
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
            _timeline(answers, scene, side, (AUDIENCE,), step),
            _lines(answers, scene, side, question),
        )
        for side in (Other(span=here.span, where=where, name="") for _, _, where in lines)
    ]
    both = await asyncio.gather(*series)
    return tuple(
        Broken(name=name, whole=whole, audience=audience, timeline=line)
        for (name, whole, _), (audience, line) in zip(lines, both, strict=True)
    )


def _damages(table: FeedbackTable) -> int:
    return len(table.damages)


def _choices(answers: Answers, scene: Scene, span: Span, question: Question, column: str) -> Coroutine[Any, Any, list[str]]:
    return answers.ask(scene.moment, choices, span=span, where=question.where(span, without=column), column=column)


def _histogram(answers: Answers, scene: Scene, span: Span, question: Question) -> Coroutine[Any, Any, Histogram]:
    measure = distributed(question.measure).name
    where = question.where(span, without=MEAN + measure)
    return answers.ask(scene.moment, histogram, span=span, where=where, measure=measure)


def _slices(answers: Answers, scene: Scene, here: Other, question: Question) -> Coroutine[Any, Any, list[Slice]]:
    # A dimension that is filtered by has one value left, which is no news.
    dimensions = tuple(name for name in SLICED_BY if name not in here.where)
    measure = distributed(question.measure).name
    measure = DEFAULT_MEASURE if measure.startswith(EXTRA) else measure
    return answers.ask(scene.moment, slices, span=here.span, where=here.where, measure=measure, dimensions=dimensions)


def _regions(
    answers: Answers, scene: Scene, span: Span, question: Question, region: Region
) -> Coroutine[Any, Any, list[RegionValue]]:
    return _by_region(answers, scene, span, question.where(span, without=region), region, question.measure)


def _by_region(
    answers: Answers, scene: Scene, span: Span, where: Mapping[str, str], region: Region, measure: str
) -> Coroutine[Any, Any, list[RegionValue]]:
    return answers.ask(scene.moment, by_region, span=span, where=where, region=region, measure=measure, period_s=scene.period_s)


def _lines(answers: Answers, scene: Scene, side: Other, question: Question) -> Coroutine[Any, Any, Timeline]:
    """The measures on the timeline."""
    step = step_s(side.span)
    return _timeline(answers, scene, side, series_of(question), step, window_s=window_s(scene, step))


def _timeline(
    answers: Answers, scene: Scene, side: Other, measures: Sequence[str], step_s: float, *, window_s: float = 0
) -> Coroutine[Any, Any, Timeline]:
    return answers.ask(
        scene.moment,
        timeline,
        span=side.span,
        where=side.where,
        measures=measures,
        step_s=step_s,
        period_s=scene.period_s,
        window_s=window_s,
    )
