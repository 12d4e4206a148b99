"""The queries of the Network page: of the measurements, and of the viewers at the same time.

Measurements may cover months, of which the memory has no feedback. Then the viewers come from the history, if one is kept.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback_analysis.history.history_timeline import timeline as history_timeline
from feedback_analysis.measurements.latency_bands import LatencyBand, LossSteps, latency_bands, loss_steps
from feedback_analysis.measurements.measured_paths import measured_paths
from feedback_analysis.measurements.path_history import extent_of_measurements, path_history
from feedback_analysis.measurements.path_map import MeasuredPath
from feedback_analysis.measurements.traced_route import RouteStretch
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from monitor_platform.dashboard.address_query import DEFAULT_MINUTES, MINUTES, AddressQuery
from monitor_platform.dashboard.dashboard_page import PageContext
from monitor_platform.dashboard.network_diagnosis import DiagnosedTime, diagnosed
from monitor_platform.dashboard.record_queries import RecordQueries
from monitor_platform.dashboard.snapshot import step_s

MOST_STEPS = 60
"""A percentile of a step needs some operations, so a line has fewer points than those of viewers."""

MOST_ISPS = 6
SMOOTHED_PERIODS = 5
VIEWED = ("mos", "rebuffering_ratio")
_ARRIVES_MS = 5 * MINUTE_MS
"""Feedback that begins so much later than the time range is still all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDetails:
    """The course of one path, and of the viewers of its agent's ISP or area."""

    path: MeasuredPath
    stretches: Sequence[RouteStretch]
    bands: Sequence[LatencyBand]
    loss: LossSteps
    viewers: Mapping[str, str]
    """The filters that select them; empty if the agent has no tag that viewers have too."""
    viewed: Timeline | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkData:
    """Everything that the page shows of `span`."""

    span: Span
    paths: Sequence[MeasuredPath]
    bands: Sequence[LatencyBand]
    isps: Mapping[str, Timeline]
    """The MOS of the viewers of each ISP that an agent has as its tag."""
    details: PathDetails | None
    diagnosis: DiagnosedTime


async def network_data(records: RecordQueries, context: PageContext, known: Span) -> NetworkData:
    """The answers to the query of a page; `known` is the time of the measurements in memory."""
    query = context.query
    span = span_of_network(query, known, live=is_live(records))
    step = step_s(span, most=MOST_STEPS)
    paths, bands = await asyncio.gather(
        paths_of(records, query, span), records.ask(latency_bands, span=span, step_s=step, where=_agents(query))
    )
    chosen = isps_of(paths)
    isps, details, diagnosis = await asyncio.gather(
        _isps(context, chosen, span), _details(records, context, paths, span), diagnosed(records, context, span, chosen)
    )
    return NetworkData(span=span, paths=paths, bands=bands, isps=isps, details=details, diagnosis=diagnosis)


async def paths_of(records: RecordQueries, query: AddressQuery, span: Span) -> list[MeasuredPath]:
    """The paths that a query selects, of `span`."""
    return await records.ask(measured_paths, span=span, where=_agents(query))


def _agents(query: AddressQuery) -> dict[str, str]:
    """The filter of agents."""
    return {"tags.isp": query.isp} if query.isp else {}


def span_of_network(query: AddressQuery, known: Span, *, live: bool) -> Span:
    """A fixed time range, the last minutes, or all recorded ones. A long range moves in steps: its logs are not read each time."""
    if query.span is not None:
        return query.span
    minutes = query.minutes or (DEFAULT_MINUTES if live else 0)
    if not minutes:
        return known
    end_ms = time.time_ns() // 1_000_000 if live else known.to_ms
    step_ms = step_s(Span(0, minutes * MINUTE_MS), most=MOST_STEPS * 6) * 1000
    end_ms = -(-end_ms // step_ms) * step_ms
    return Span(end_ms - minutes * MINUTE_MS, end_ms)


def lengths_of_network(known: Span, *, live: bool) -> list[int]:
    """The lengths of a time range in minutes, the default first; 0 is the whole recording."""
    if live:
        return sorted(MINUTES, key=lambda minutes: (minutes != DEFAULT_MINUTES, minutes))
    return [0, *(minutes for minutes in MINUTES if minutes * MINUTE_MS < known.to_ms - known.from_ms)]


async def extent_of(records: RecordQueries, query: AddressQuery) -> Span | None:
    """The time of the measurements in memory; None without any. A chosen time range may have older ones, which are in the logs."""
    known = await records.ask_all(extent_of_measurements)
    older = query.span is not None or query.minutes > 0
    return known or (Span(0, 0) if older and is_live(records) else None)


def is_live(records: RecordQueries) -> bool:
    """Whether measurements still arrive."""
    return records.records.feed is not None


def worst_path(paths: Sequence[MeasuredPath]) -> MeasuredPath | None:
    """The path with the most loss, then with the largest delay."""
    return max(paths, key=lambda path: (path.loss or 0.0, path.delay_ms or 0.0), default=None)


def viewers_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The filters for the viewers in the place of an agent: its ISP and area; without these its country."""
    near = {name: tags[name] for name in ("isp", "area", "district") if tags.get(name)}
    return near or {name: tags[name] for name in ("country",) if tags.get(name)}


async def _details(records: RecordQueries, context: PageContext, paths: Sequence[MeasuredPath], span: Span) -> PathDetails | None:
    wanted = context.query.own.get("path", "")
    path = next((path for path in paths if path.id == wanted), None) or worst_path(paths)
    if path is None:
        return None
    one = {"agent": path.agent, "target": path.address}
    step = step_s(span, most=MOST_STEPS)
    viewers = viewers_of(path.tags)
    stretches, bands, loss, viewed = await asyncio.gather(
        records.ask(path_history, span=span, **one),
        records.ask(latency_bands, span=span, step_s=step, **one),
        records.ask(loss_steps, span=span, step_s=step, **one),
        _viewed(context, span, viewers) if viewers else _nothing(),
    )
    return PathDetails(path=path, stretches=stretches, bands=bands, loss=loss, viewers=viewers, viewed=viewed)


async def _nothing() -> None:
    return None


def isps_of(paths: Sequence[MeasuredPath]) -> list[str]:
    """The ISPs of agents, those with the most paths first."""
    names = [path.tags["isp"] for path in paths if path.tags.get("isp")]
    return sorted(sorted(set(names)), key=lambda name: -names.count(name))[:MOST_ISPS]


async def _isps(context: PageContext, names: Sequence[str], span: Span) -> dict[str, Timeline]:
    found = await asyncio.gather(*(_viewed(context, span, {"isp": name}) for name in names))
    return {name: series for name, series in zip(names, found, strict=True) if series is not None}


async def _viewed(context: PageContext, span: Span, viewers: Mapping[str, str]) -> Timeline | None:
    """MOS and rebuffering ratio of some viewers under the page's filters; None if no record of them can be queried."""
    where = context.query.where() | dict(viewers)
    snapshot, history = context.snapshot, context.state.history
    recorded = snapshot is not None and snapshot.extent.from_ms <= span.from_ms + _ARRIVES_MS
    if history is not None and not recorded and span.to_ms - span.from_ms >= HOUR_MS:
        return await history.ask(history_timeline, measures=VIEWED, span=span, where=where)
    if snapshot is None:
        return None
    within = Span(max(span.from_ms, snapshot.extent.from_ms), min(span.to_ms, snapshot.until_ms))
    if within.from_ms >= within.to_ms:
        return None
    step = step_s(span, most=2 * MOST_STEPS)
    # A stall is in one message of many; over a few periods, the mean says how viewers are.
    window_s = step * -(-max(step, SMOOTHED_PERIODS * snapshot.period_s) // step)
    steps = {"step_s": step, "window_s": window_s, "period_s": snapshot.period_s}
    return await context.answers.ask(snapshot.moment, timeline, span=within, where=where, measures=VIEWED, **steps)
