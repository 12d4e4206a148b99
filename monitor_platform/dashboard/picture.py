"""What one page shows in answer to one question: the numbers only, gathered from shared answers, without HTML or figures."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from monitor_platform.dashboard.answers import Answer, Answers, Moment
from monitor_platform.dashboard.question import DEFAULT_MEASURE, Question
from monitor_platform.measures.choices import choices, extra_measures
from monitor_platform.measures.histogram import Histogram, histogram
from monitor_platform.measures.regions import Region, RegionValue, by_region
from monitor_platform.measures.registry import MEASURES, Measure, measure_of
from monitor_platform.measures.selection import Span
from monitor_platform.measures.summary import summarize
from monitor_platform.measures.table import FeedbackTable
from monitor_platform.measures.timeline import Timeline, timeline

AUDIENCE = "concurrent_peers"
TILES = ("mos", "continuity", "startup_ms", "upload_kbps", "download_kbps", "contribution_ratio")

# Steps that divide a minute or an hour; a panel is about 600 px wide, so 360 points are as many as can be seen.
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
MOST_POINTS = 360
TREND_POINTS = 30

LEAST_MS = 60_000
"""A minute is shown even when the first message has come only just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """`areas`, `districts` and `histogram` are None on pages that do not show them.

    The audience is that of the moment; a point of the timeline is the mean over `window_s`, at least one reporting period, in which
    every peer is heard once.
    """

    question: Question
    span: Span
    window_s: float
    summary: dict[str, Any]
    audience: Timeline
    timeline: Timeline
    trends: Timeline
    channels: list[str]
    isps: list[str]
    extras: list[str]
    damages: int
    areas: Sequence[RegionValue] | None
    districts: Sequence[RegionValue] | None
    histogram: Histogram | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What does not depend on the viewer: the moment, what has been recorded, and the end hosts' reporting period.

    `until_ms`: the time up to which the records are taken to be all here.
    """

    moment: Moment
    extent: Span
    until_ms: int
    period_s: float
    live: bool


async def picture(answers: Answers, scene: Scene, question: Question, *, views: frozenset[str]) -> Picture:
    """The picture of `question` as of the scene's moment, for a page that shows `views`."""
    span = span_of(question, scene)
    step = step_s(span)
    parts = {
        "summary": _ask(answers, scene, span, question, summarize),
        "audience": _timeline(answers, scene, span, question, (AUDIENCE,), step),
        "timeline": _timeline(answers, scene, span, question, series_of(question), step, window_s=window_s(scene, step)),
        "trends": _timeline(answers, scene, span, question, TILES, step_s(span, most=TREND_POINTS)),
        "channels": _ask(answers, scene, span, question, choices, without="channel", column="channel"),
        "isps": _ask(answers, scene, span, question, choices, without="isp", column="isp"),
        # Whatever is chosen, the same for everybody: one query.
        "extras": answers.ask(scene.moment, extra_measures),
        "damages": answers.ask(scene.moment, _damages),
    }
    if "map" in views:
        parts["areas"] = _regions(answers, scene, span, question, "area")
    if "district" in views:
        parts["districts"] = _regions(answers, scene, span, question, "district")
    if "histogram" in views:
        parts["histogram"] = _ask(answers, scene, span, question, histogram, measure=distributed(question.measure).name)
    known: dict[str, Any] = dict(zip(parts, await asyncio.gather(*parts.values()), strict=True))
    absent: dict[str, Any] = dict.fromkeys(("areas", "districts", "histogram"))
    return Picture(question=question, span=span, window_s=window_s(scene, step), **(absent | known))


def _damages(table: FeedbackTable) -> int:
    return len(table.damages)


def span_of(question: Question, scene: Scene) -> Span:
    """The fixed range, as far as it lies in what is recorded; without one all that is recorded, live of the last minutes only."""
    if question.span is None and scene.live:
        from_ms = max(scene.until_ms - question.minutes * 60_000, scene.extent.from_ms)
        return Span(min(from_ms, scene.until_ms - LEAST_MS), scene.until_ms)
    if question.span is None:
        return scene.extent
    from_ms = min(max(question.span.from_ms, scene.extent.from_ms), scene.extent.to_ms)
    return Span(from_ms, max(from_ms, min(question.span.to_ms, scene.extent.to_ms)))


def series_of(question: Question) -> tuple[str, ...]:
    """The measures on the timeline beside the audience: those chosen, else the one that colours the maps."""
    wanted = question.series or (question.measure,)
    return tuple(name for name in wanted if name != AUDIENCE) or (DEFAULT_MEASURE,)


def distributed(measure: str) -> Measure:
    """The measure for the histogram: a count of peers has no distribution over peers, so MOS stands in for it."""
    chosen = measure_of(measure, "region")
    return chosen if "histogram" in chosen.views else MEASURES[DEFAULT_MEASURE]


def _ask(
    answers: Answers,
    scene: Scene,
    span: Span,
    question: Question,
    query: Callable[..., Answer],
    *,
    without: str = "",
    **arguments: str,
) -> Coroutine[Any, Any, Answer]:
    return answers.ask(scene.moment, query, span=span, where=question.where(without=without), **arguments)


def _regions(
    answers: Answers, scene: Scene, span: Span, question: Question, region: Region
) -> Coroutine[Any, Any, list[RegionValue]]:
    return answers.ask(
        scene.moment,
        by_region,
        span=span,
        where=question.where(without=region),
        region=region,
        measure=question.measure,
        period_s=scene.period_s,
    )


def _timeline(
    answers: Answers, scene: Scene, span: Span, question: Question, measures: Sequence[str], step_s: float, *, window_s: float = 0
) -> Coroutine[Any, Any, Timeline]:
    return answers.ask(
        scene.moment,
        timeline,
        span=span,
        where=question.where(),
        measures=measures,
        step_s=step_s,
        period_s=scene.period_s,
        window_s=window_s,
    )


def window_s(scene: Scene, step_s: float) -> float:
    """How long a stretch one point of a timeline stands for."""
    return max(scene.period_s, step_s)


def step_s(span: Span, *, most: int = MOST_POINTS) -> int:
    """The shortest step that shows `span` in at most `most` points."""
    seconds = (span.to_ms - span.from_ms) / 1000
    return next((step for step in STEPS_S if seconds / step <= most), STEPS_S[-1])
