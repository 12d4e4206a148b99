"""Timeline view: the audience, and below it one panel a measure on the same time axis.

Panels instead of many axes in one frame: a second scale in the same frame makes any two curves look related. The panels are made
once; `show` says which measure each of them bears.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from bokeh.layouts import column
from bokeh.models import (
    Column,
    ColumnDataSource,
    CrosshairTool,
    CustomJSHover,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import Span as Line
from bokeh.models.annotations import Title
from bokeh.plotting import figure

from monitor_platform.measures.registry import COUNTS, Measure
from monitor_platform.measures.selection import Span
from monitor_platform.measures.timeline import Timeline
from monitor_platform.views.palette import CATEGORIES, GROUND, round_ends
from monitor_platform.views.wording import say, title_of

# The axis speaks the viewer's own time; a long range says the day as well.
_LOCAL_TICK = """
const at = new Date(tick);
const span_ms = ticks[ticks.length - 1] - ticks[0];
const clock = {hour: "2-digit", minute: "2-digit", hour12: false};
if (span_ms < 300000) clock.second = "2-digit";
if (span_ms > 64800000) Object.assign(clock, {month: "short", day: "numeric"});
return at.toLocaleString(undefined, clock);
"""
_LOCAL_AND_UTC = """
const at = new Date(value);
const local = {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false};
return at.toLocaleString(undefined, local) + " (" + at.toISOString().slice(11, 19) + " UTC)";
"""
_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
@{at}{custom}<br>@{title}: <b>@{text}</b></div>"""


class TimelineView:
    """A panel for the audience and `panels` for measures, of which at least one is always shown."""

    def __init__(self, panels: int) -> None:
        self._range = Range1d(start=0, end=1)
        cursor = Line(dimension="height", line_color=GROUND, line_dash="dotted", line_width=1)
        self._audience = _Panel(self._range, cursor, GROUND, filled=True)
        self._panels = [_Panel(self._range, cursor, CATEGORIES[i % len(CATEGORIES)]) for i in range(panels)]
        self.figure: Column = column(
            self._audience.figure, *(panel.figure for panel in self._panels), sizing_mode="stretch_both", spacing=4
        )

    def show(self, audience: Measure, heard: Timeline, measures: Sequence[Measure], timeline: Timeline, span: Span) -> None:
        """Show the audience, from `heard`, and `measures` (as many as there are panels), from `timeline`, over `span`."""
        self._range.update(start=span.from_ms, end=span.to_ms)
        self._audience.show(audience, heard)
        for panel, measure in zip(self._panels, measures, strict=False):
            panel.show(measure, timeline)
        used = min(len(measures), len(self._panels))
        for at, panel in enumerate(self._panels):
            panel.figure.visible = at < used
        for at, panel in enumerate([self._audience, *self._panels]):
            panel.figure.xaxis.visible = at == used


class _Panel:
    """One frame of the timeline."""

    def __init__(self, x_range: Range1d, cursor: Line, colour: str, *, filled: bool = False) -> None:
        self.source = ColumnDataSource({"at": [], "value": [], "title": [], "text": []})
        self._title = Title(text=" ")
        self._ticker = FixedTicker(ticks=[])
        self.figure = _panel_figure(x_range, self._title, self._ticker)
        self.figure.add_tools(CrosshairTool(overlay=cursor))
        if filled:
            self.figure.varea("at", 0, "value", source=self.source, fill_color=colour, fill_alpha=0.35)
        line = self.figure.line("at", "value", source=self.source, line_color=colour, line_width=2, line_join="round")
        local = CustomJSHover(code=_LOCAL_AND_UTC)
        self.figure.add_tools(HoverTool(renderers=[line], mode="vline", tooltips=_TIP, formatters={"@at": local}))

    def show(self, measure: Measure, timeline: Timeline) -> None:
        self.source.data = _columns(measure, timeline)
        self._title.text = title_of(measure)
        low, high = frame(measure, self.source.data["value"])
        self.figure.y_range.update(start=low, end=high)
        self._ticker.ticks = [low, (low + high) / 2, high]


def frame(measure: Measure, values: Sequence[float]) -> tuple[float, float]:
    """The ends of a panel's axis: 1 to 5 for MOS, from 0 for counts, else round numbers around the values."""
    if measure.name == "mos":
        return 1.0, 5.0
    known = [value for value in values if isfinite(value)]
    return round_ends([0.0, *known, 1.0] if measure.kind in COUNTS else known)


def _panel_figure(x_range: Range1d, title: Title, ticker: FixedTicker) -> figure:
    panel = figure(
        sizing_mode="stretch_both",
        x_range=x_range,
        y_range=Range1d(start=0, end=1),
        x_axis_type="datetime",
        tools="",
        toolbar_location=None,
        min_border_left=56,
        min_border_right=16,
        min_border_top=0,
        min_border_bottom=8,
        min_height=72,
        outline_line_color=None,
        title=title,
    )
    panel.xaxis.formatter = CustomJSTickFormatter(code=_LOCAL_TICK)
    panel.yaxis.formatter = NumeralTickFormatter(format="0,0.[00000]")
    panel.yaxis.ticker = ticker
    panel.yaxis.minor_tick_line_color = panel.xaxis.minor_tick_line_color = None
    panel.xgrid.visible = False
    return panel


def _columns(measure: Measure, timeline: Timeline) -> dict[str, list[Any]]:
    values = timeline.values[measure.name]
    return {
        "at": list(timeline.at_ms),
        "value": [float("nan") if value is None else value for value in values],
        "title": [measure.title] * len(values),
        "text": [say(measure, value) for value in values],
    }
