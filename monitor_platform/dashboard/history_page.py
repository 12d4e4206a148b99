"""The History page: hours, days, months or years of the history, one day by the minute, and ISP coverage.

Its own parameters in the address are `p.unit` and `p.day`. Days begin in the page's time zone (`zone`). Without `--history` the
page explains how to keep a history.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from bokeh.events import SelectionGeometry
from bokeh.models import CustomJS, LayoutDOM

from feedback_analysis.history.daily import Coverage, daily_and_coverage
from feedback_analysis.history.history_timeline import minutes, timeline
from feedback_analysis.history.periods import Unit, offset_note, zone_of
from feedback_analysis.measures.registry import COUNTS, MEASURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from monitor_platform.dashboard.address_query import MINUTES, AddressQuery
from monitor_platform.dashboard.annotations import marks_of
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.history_queries import HistoryQueries
from monitor_platform.views.history_view import HistoryView
from monitor_platform.views.mark_strip import Mark
from monitor_platform.views.number_format import format_share, format_value
from monitor_platform.views.timeline_view import TimelineView

OVER_TIME = ("concurrent_peers", "mos")
_DAY_MINUTES = 1440
ABSENT = "No history is kept. Start the platform with --history FOLDER; See docs/history.md for the cost."

TABLE = (
    *("new_peers", "total_peers", "cumulative_peers", "upload_kbps", "download_kbps", "online_s_per_peer", "online_s_per_view"),
    *("continuity", "mos", "rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "startup_ms"),
)


class HistoryPart:
    """The figures of the paper, for the filters in the address."""

    def __init__(self) -> None:
        self._view = HistoryView()
        self._minutes = TimelineView(1)
        for panel in self._minutes.panels:
            panel.js_on_event(SelectionGeometry, CustomJS(code="swarmscope.look?.(cb_obj)"))

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        return {f"history_{name}": figure for name, figure in self._view.figures.items()} | {
            "history_minutes": self._minutes.figure
        }

    async def ask(self, context: PageContext) -> Show:
        """Run the queries, or return the error as text."""
        history: HistoryQueries | None = context.state.history
        if history is None:
            return lambda: {"message": ABSENT, "absent": True}
        try:
            return await self._gather(history, context)
        except ValueError as error:
            message = str(error)
            return lambda: {"message": message}

    async def _gather(self, history: HistoryQueries, context: PageContext) -> Show:
        where, own = context.query.where(), context.query.own
        unit, zone = own.get("unit", "day"), context.zone
        if unit not in get_args(Unit):
            raise ValueError(f"p.unit is {unit!r}; choose from {', '.join(get_args(Unit))}")
        status, known = history.status(), await history.extent()
        if known is None:
            return lambda: {"status": status, "message": "No log has been read yet."}
        chosen = _chosen(context.query, known)
        day, span = _day(own.get("day", ""), chosen, zone)
        finest = minutes if len(where) < 2 else timeline
        (rows, isps), series = await asyncio.gather(
            history.ask(daily_and_coverage, where=where, unit=unit, zone=zone),
            history.ask(finest, measures=OVER_TIME, span=span, where=where),
        )
        note = "by the minute" if len(where) < 2 else "by the hour: minutes of MOS are kept for one filter at most"
        content: dict[str, Any] = {
            "status": status,
            "unit": unit,
            "day": day,
            "note": f"{note}; drag over a time range to open it",
        }
        rows = [row for row in rows if row["from"] < chosen.to_ms and row["to"] > chosen.from_ms]
        content |= {"rows": [_row(row) for row in rows], "isps": _coverage(isps), "busiest": _busiest(series)}
        content["lengths"] = _lengths(known)
        if rows and unit != "hour" and (note := offset_note(rows[0]["from"], zone)):
            content["message"] = f"{note[0].upper()}{note[1:]}."
        if unit == "hour":
            content["hours"] = [[row["from"], row["to"]] for row in rows]
        annotations = context.state.annotations
        marks = marks_of(annotations.all, span) if annotations is not None else []
        return lambda: self._show(rows, series, span, content, marks)

    def _show(
        self,
        rows: Sequence[Mapping[str, Any]],
        series: Timeline,
        span: Span,
        content: dict[str, Any],
        marks: Sequence[Mark],
    ) -> dict[str, Any]:
        self._view.show(rows)
        content["rate_unit"] = self._view.rate_unit
        self._minutes.show(MEASURES["concurrent_peers"], series, [MEASURES["mos"]], series, span, marks=marks)
        return content


HISTORY_PAGE = DashboardPage(
    name="history",
    path="/history",
    title="History",
    template="history.html",
    script=True,
    part=HistoryPart,
    tiles=False,
    stands_alone=True,
    reads_back=True,
    zoned=True,
)


def _chosen(query: AddressQuery, known: Span) -> Span:
    """The time range of the periods: a fixed one, the last days, or all. A range of minutes would leave one period."""
    if query.span is not None:
        return query.span
    if query.minutes < _DAY_MINUTES:
        return known
    return Span(max(known.from_ms, known.to_ms - query.minutes * MINUTE_MS), known.to_ms)


def _lengths(known: Span) -> list[int]:
    """The lengths in minutes that the time control offers, all (0) first."""
    days = [minutes for minutes in MINUTES if minutes >= _DAY_MINUTES]
    return [0, *(minutes for minutes in days if minutes * MINUTE_MS < known.to_ms - known.from_ms)]


def _day(text: str, known: Span, zone: str) -> tuple[str, Span]:
    """The day that `text` names, or the last chosen day, and its time range."""
    clock = zone_of(zone)
    try:
        return _whole(datetime.fromisoformat(text).replace(tzinfo=clock))
    except (ValueError, OverflowError):  # not a day, or the last one of the calendar
        return _whole(datetime.fromtimestamp((known.to_ms - 1) / 1000, clock))


def _whole(at: datetime) -> tuple[str, Span]:
    begin = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return begin.strftime("%Y-%m-%d"), Span(_ms(begin), _ms(begin + timedelta(days=1)))


def _busiest(series: Timeline) -> list[int] | None:
    """The hour around the moment with the most peers, in whole minutes; None without peers."""
    peers = [each or 0 for each in series.values[OVER_TIME[0]]]
    if not any(peers):
        return None
    begin_ms = series.at_ms[peers.index(max(peers))] // MINUTE_MS * MINUTE_MS - HOUR_MS // 2
    return [begin_ms, begin_ms + HOUR_MS]


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _row(row: Mapping[str, Any]) -> list[str]:
    return [str(row["period"]), *(_cell(name, row[name]) for name in TABLE)]


def _cell(name: str, value: float | None) -> str:
    if name.startswith("online_s"):
        return "–" if value is None else f"{value / 60:,.1f} min"
    if MEASURES[name].kind in COUNTS and value is not None:
        return f"{value:,.0f}"  # the headings say users, and the measures have the unit peers
    return format_value(MEASURES[name], value)


def _coverage(found: Sequence[Coverage]) -> list[list[str]]:
    """One row for each ISP: its name, and its share of each period."""
    names = list(found[-1].peers) if found else []
    head = ["ISP", *(each.period for each in found)]
    return [head, *([name, *(format_share(each.shares.get(name, 0), digits=2) for each in found)] for name in names)]
