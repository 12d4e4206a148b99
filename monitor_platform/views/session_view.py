"""The figures of one session on one time axis: a ribbon of states, and panels with the measures that it reported.

The figures are made once. A panel without any value is hidden. A part of the ribbon shows its word if the page's script finds room
for it, and else on hover; the page lists all parts as text.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bokeh.core.properties import value as literally
from bokeh.layouts import column
from bokeh.models import (
    BasicTicker,
    Column,
    ColumnDataSource,
    CustomJSHover,
    HoverTool,
    LinearAxis,
    Plot,
    Quad,
    Range1d,
    VArea,
)
from bokeh.models.annotations import Title
from bokeh.models.glyphs import Line, Scatter, Text

from feedback_analysis.measures.registry import MEASURES, Measure, shown_in
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.sessions import Band, Stalls, Stretch, WholeSession
from monitor_platform.views import thinning
from monitor_platform.views.mark_strip import Mark, MarkStrip
from monitor_platform.views.number_format import format_value, largest_of, title_of
from monitor_platform.views.palette import CATEGORIES, DARK_INK, GRADE_COLOURS, GROUND, LIGHT_INK
from monitor_platform.views.plots import LOCAL_AND_UTC, Plots, show_unit
from monitor_platform.views.timeline_view import frame

_BAD, _, _FAIR, _GOOD, _EXCELLENT = GRADE_COLOURS

# Fill colour, hatching, and a text colour that is legible on them.
STATES: Mapping[str, tuple[str, str, str]] = {
    "starting": (_GOOD, " ", DARK_INK),
    "playing": (_EXCELLENT, " ", LIGHT_INK),
    "stalled": (_BAD, " ", LIGHT_INK),
    "paused": (_FAIR, " ", DARK_INK),
    "silent": ("#d8dbe0", "/", DARK_INK),
    "gone": (GROUND, " ", DARK_INK),
}
# Points at the ends of an axis are not cut in half: the axis goes on for this share of its length.
_MARGIN = 0.06
RATES = ("playback_kbps", "download_kbps", "upload_kbps")

_RIBBON_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
<b>@state</b> @length<br>from @begin{custom}</div>"""
_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
@at{custom}<br>@title: <b>@text</b></div>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """The part of a session that is shown: all of it, or up to a replay's clock."""

    span: Span
    at_ms: Sequence[int]
    series: Mapping[str, Sequence[float | None]]
    ribbon: Sequence[Stretch]
    stalls: Sequence[Stalls]

    @classmethod
    def of(cls, session: WholeSession, until_ms: int | None = None) -> "ShownSession":
        """The session up to `until_ms`. The time axis is always that of the whole session."""
        end = until_ms if until_ms is not None else session.span.to_ms
        shown = sum(at < end for at in session.at_ms)
        return cls(
            span=Span(session.span.from_ms, max(session.span.to_ms, session.span.from_ms + 1000)),
            at_ms=session.at_ms[:shown],
            series={name: values[:shown] for name, values in session.series.items()},
            ribbon=[Stretch(each.from_ms, min(each.to_ms, end), each.state) for each in session.ribbon if each.from_ms < end],
            stalls=[each for each in session.stalls if each.at_ms < end],
        )


class SessionView:
    """The ribbon, the chosen measure with its neighbours, rates, buffer and partners."""

    def __init__(self) -> None:
        self._range = Range1d(start=0, end=1)
        plots, clock = Plots(), CustomJSHover(code=LOCAL_AND_UTC)
        self._ribbon = _Ribbon(plots, self._range, clock)
        self._chosen = _Panel(plots, self._range, clock, CATEGORIES[:1], banded=True)
        self._rates = _Panel(plots, self._range, clock, CATEGORIES[:3])
        self._buffer = _Panel(plots, self._range, clock, CATEGORIES[3:4])
        self._partners = _Panel(plots, self._range, clock, CATEGORIES[4:5])
        self._panels = (self._chosen, self._rates, self._buffer, self._partners)
        panels = [panel.figure for panel in self._panels]
        self._marks = MarkStrip(plots, self._range)
        self.figure: Column = column(self._ribbon.figure, *panels, self._marks.figure, sizing_mode="stretch_both", spacing=4)

    def show(
        self,
        shown_session: ShownSession,
        measure: Measure,
        own: tuple[Sequence[int], Sequence[float | None]],
        band: Band,
        marks: Sequence[Mark] = (),
    ) -> None:
        """`own`: the session's moments and values of the chosen measure. `marks`: the annotations of its time."""
        self._range.update(start=shown_session.span.from_ms, end=shown_session.span.to_ms)
        self._marks.show(marks, shown_session.span)
        # No line across a gap: there are no values in it.
        breaks = thinning.silences(shown_session.ribbon)
        self._ribbon.show(shown_session)
        title = title_of(measure, largest_of(own[1]))
        self._chosen.show(f"{title}; grey: neighbours", own[0], [(measure, own[1])], breaks, band)
        rates = [(MEASURES[name], shown_session.series[name]) for name in RATES]
        unit = shown_in(rates[0][0], largest_of(value for _, values in rates for value in values))[1]
        self._rates.show(f"{unit}: bitrate, download – –, upload ···", shown_session.at_ms, rates, breaks)
        for panel, name in ((self._buffer, "buffer_ms"), (self._partners, "partners")):
            panel.show(title_of(MEASURES[name]), shown_session.at_ms, [(MEASURES[name], shown_session.series[name])], breaks)
        shown = [panel for panel in self._panels if panel.figure.visible]
        for panel in self._panels:
            panel.time_axis.visible = panel is shown[-1]

    def clear(self) -> None:
        """Remove all data from the figures."""
        self._ribbon.show(None)
        for panel in self._panels:
            panel.clear()


class _Ribbon:
    """The ribbon: states with their words, and stalls as marks above it."""

    def __init__(self, plots: Plots, x_range: Range1d, clock: CustomJSHover) -> None:
        self.figure = _frame(plots, x_range, Range1d(start=0, end=1.5), height=64)
        self.stretches = ColumnDataSource(_no_stretches())
        self.stalls = ColumnDataSource({"at": [], "text": [], "title": []})
        block = Quad(left="begin", right="end", top=0.9, bottom=0.05, fill_color="colour", line_color="colour")
        block.update(hatch_pattern="hatch", hatch_color="ink", hatch_alpha=0.5)
        band = plots.draw(self.figure, self.stretches, block)
        word = Text(x="middle", y=0.475, text="word", text_color="ink", text_align="center", text_baseline="middle")
        word.update(text_font_size="12px", text_font=literally("system-ui, sans-serif"))
        plots.draw(self.figure, self.stretches, word)
        stall, red = Scatter(x="at", y=1.2, marker="inverted_triangle", size=10), STATES["stalled"][0]
        stall.update(line_color=red, fill_color=red)
        marks = plots.draw(self.figure, self.stalls, stall)
        self.figure.add_tools(HoverTool(renderers=[band], tooltips=_RIBBON_TIP, formatters={"@begin": clock}))
        self.figure.add_tools(HoverTool(renderers=[marks], tooltips=_TIP, formatters={"@at": clock}))

    def show(self, shown_session: ShownSession | None) -> None:
        self.stretches.data = _no_stretches() if shown_session is None else _stretches(shown_session)
        stalls = () if shown_session is None else thinning.stalls(shown_session.stalls)
        self.stalls.data = {
            "at": [each.at_ms for each in stalls],
            "text": [stalls_in_words(each) for each in stalls],
            "title": ["reported"] * len(stalls),
        }


class _Panel:
    """One frame with a line for each of its measures."""

    def __init__(
        self, plots: Plots, x_range: Range1d, clock: CustomJSHover, colours: Sequence[str], *, banded: bool = False
    ) -> None:
        self._title = Title(text=" ")
        self.figure = _frame(plots, x_range, Range1d(start=0, end=1), title=self._title)
        self._axis = plots.add_axis(self.figure, LinearAxis(), "left", ticker=BasicTicker(desired_num_ticks=3))
        self.time_axis = plots.add_time_axis(self.figure)
        self._banded = banded
        self._band = ColumnDataSource({"at": [], "low": [], "high": []})
        if banded:
            plots.draw(self.figure, self._band, VArea(x="at", y1="low", y2="high", fill_color=GROUND, fill_alpha=0.25))
        self.sources = [ColumnDataSource(_no_points()) for _ in colours]
        for at, (source, colour) in enumerate(zip(self.sources, colours, strict=True)):
            dash = ("solid", "dashed", "dotted")[at]
            line = plots.draw(self.figure, source, Line(x="at", y="value", line_color=colour, line_width=2, line_dash=dash))
            plots.draw(self.figure, source, Scatter(x="at", y="value", size=4, line_color=colour, fill_color=colour))
            tip = HoverTool(renderers=[line], mode="vline", tooltips=_TIP, formatters={"@at": clock})
            self.figure.add_tools(tip)

    def show(
        self,
        title: str,
        at_ms: Sequence[int],
        lines: Sequence[tuple[Measure, Sequence[float | None]]],
        breaks: Set[int],
        band: Band | None = None,
    ) -> None:
        self._title.text = title
        largest = largest_of(value for _, values in lines for value in values)
        show_unit(self._axis, lines[0][0], largest)
        for source, (measure, values) in zip(self.sources, lines, strict=True):
            source.data = _points(measure, at_ms, values, breaks, largest)
        known = [value for _, values in lines for value in values if value is not None]
        if band is not None:
            low, high = ([_number(value) for value in side] for side in (band.low, band.high))
            self._band.data = {"at": list(band.at_ms), "low": low, "high": high}
            known += [value for value in (*low, *high) if isfinite(value)]
        start, end = frame(lines[0][0], known)
        margin = (end - start) * _MARGIN
        self.figure.y_range.update(start=start - margin, end=end + margin)
        self.figure.visible = self._banded or bool(known)  # the chosen measure stays, or the page would have no time axis

    def clear(self) -> None:
        self._band.data = {"at": [], "low": [], "high": []}
        for source in self.sources:
            source.data = _no_points()


def stalls_in_words(stalls: Stalls) -> str:
    """ "2 stalls, 3.4 s"."""
    return f"{stalls.count:,} stall{'' if stalls.count == 1 else 's'}, {stalls.for_ms / 1000:,.1f}\u202fs"


def length_in_words(ms: float) -> str:
    """ "45 s", "12 min", "3 h 05 min"."""
    seconds = round(ms / 1000)
    if seconds < 120:
        return f"{seconds}\u202fs"
    minutes = round(seconds / 60)
    return f"{minutes}\u202fmin" if minutes < 120 else f"{minutes // 60}\u202fh {minutes % 60:02}\u202fmin"


def _no_stretches() -> dict[str, list[Any]]:
    return {name: [] for name in ("begin", "end", "middle", "state", "word", "length", "colour", "hatch", "ink")}


def _stretches(shown_session: ShownSession) -> dict[str, list[Any]]:
    columns = _no_stretches()
    whole = shown_session.span.to_ms - shown_session.span.from_ms
    # After a leave the session has no state for the rest of the axis. This part is wide enough to hover.
    for each in thinning.stretches(shown_session.ribbon):
        end = each.to_ms if each.state != "gone" else shown_session.span.from_ms + round(whole * 1.005)
        fill, hatch, ink = STATES[each.state]
        columns["begin"].append(each.from_ms)
        columns["end"].append(end)
        columns["middle"].append((each.from_ms + end) / 2)
        columns["state"].append(each.state)
        columns["word"].append("")
        columns["length"].append(length_in_words(each.to_ms - each.from_ms) if each.state != "gone" else "")
        for name, value in (("colour", fill), ("hatch", hatch), ("ink", ink)):
            columns[name].append(value)
    return columns


def _no_points() -> dict[str, list[Any]]:
    return {name: [] for name in ("at", "value", "title", "text")}


def _points(
    measure: Measure, at_ms: Sequence[int], values: Sequence[float | None], breaks: Set[int], largest: float
) -> dict[str, list[Any]]:
    """The points of a line that is interrupted before each moment of `breaks`."""
    columns = _no_points()
    for index in thinning.points(at_ms, values, breaks):
        at, number = at_ms[index], values[index]
        for point in (None, number) if at in breaks else (number,):
            columns["at"].append(at)
            columns["value"].append(_number(point))
            columns["title"].append(measure.title)
            columns["text"].append(format_value(measure, point, largest=largest))
    return columns


def _number(known: float | None) -> float:
    return float("nan") if known is None else known


def _frame(plots: Plots, x_range: Range1d, y_range: Range1d, *, title: Title | None = None, height: int | None = None) -> Plot:
    return plots.plot(
        x_range,
        y_range,
        sizing_mode="stretch_width" if height else "stretch_both",
        height=height,
        min_border_left=56,
        min_border_right=16,
        min_border_top=0,
        min_border_bottom=0 if height else 8,
        min_height=height or 88,
        title=title,
    )
