"""Timeline view: the audience, and below it a panel for each measure, on one time axis.

Measures have separate panels, because two curves with two scales in one frame look related. The panels are made
once; `show` sets the measure of each.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bokeh.events import Event, SelectionGeometry
from bokeh.layouts import column
from bokeh.models import (
    BoxSelectTool,
    Column,
    ColumnDataSource,
    CrosshairTool,
    CustomJSHover,
    FixedTicker,
    HoverTool,
    Plot,
    Range1d,
    VArea,
)
from bokeh.models.annotations import BoxAnnotation, Title
from bokeh.models.annotations import Span as Stroke
from bokeh.models.glyphs import Line, MultiLine

from feedback_analysis.measures.registry import COUNTS, Measure, shown_in
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline
from monitor_platform.views.mark_strip import Mark, MarkStrip
from monitor_platform.views.number_format import format_value, largest_of, title_of
from monitor_platform.views.palette import ACCENT, CATEGORIES, GROUND, round_ends
from monitor_platform.views.plots import LOCAL_AND_UTC, Plots, show_unit, unit_axis

_TIP = (
    '<div style="font:13px/18px system-ui,sans-serif;padding:2px 4px;color:#1b2430;white-space:pre-line">'
    "<b>@{at}{custom}</b><br>@{text}{custom}</div>"
)

# Every visible panel at the moment under the pointer, and below it its other lines. A line may lie a part of a step beside it.
EVERY_PANEL = """
const column = (source, name) => Array.from(source.data.get?.(name) ?? source.data[name]);
const times = column(own, "at");
const at = times[special_vars.index];
const step = times.length > 1 ? times[1] - times[0] : 1;
const words = [];
panels.forEach((panel, i) => {
  if (!panel.visible) return;
  const here = column(sources[i], "at").indexOf(at);
  if (here >= 0) words.push(`${column(sources[i], "title")[here]}: ${column(sources[i], "text")[here]}`);
  const others = ["xs", "ys", "name", "factor", "digits", "unit"].map((name) => column(lines[i], name));
  const [xs, ys, names, factors, digits, units] = others;
  names.forEach((name, k) => {
    const apart = Array.from(xs[k], (x) => Math.abs(x - at));
    const nearest = apart.indexOf(Math.min(...apart));
    const value = apart[nearest] <= step / 2 ? ys[k][nearest] * factors[k] : NaN;
    const form = { minimumFractionDigits: digits[k], maximumFractionDigits: digits[k] };
    words.push(`– ${name}: ${Number.isFinite(value) ? `${value.toLocaleString("en-US", form)} ${units[k]}` : "no value"}`);
  });
});
return words.join("\\n");
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An additional line of a panel: the other side of a comparison, moved by `shift_ms`, or a value of a breakdown."""

    name: str
    audience: Timeline
    timeline: Timeline
    colour: str = GROUND
    shift_ms: int = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileBand:
    """The band behind the first measure's line, from `low` to `high` at each time."""

    at_ms: Sequence[int]
    low: Sequence[float | None]
    high: Sequence[float | None]


LEAST_GRADES = 1.0
"""The axis of MOS has at least this length."""

LEAST_BRUSH_MS = 1000
"""A shorter drag is not intended."""


class TimelineView:
    """A panel for the audience and `panels` for measures, of which at least one is always shown.

    With `brush`, `on_brush` is called with each time range that a user draws. A file without a server cannot do that, and Bokeh
    warns if it should.
    """

    def __init__(self, panels: int, *, brush: bool = False) -> None:
        self._range = Range1d(start=0, end=1)
        plots, cursor = Plots(), _Cursor()
        self._audience = _Panel(plots, self._range, cursor, GROUND, filled=True)
        self._panels = [_Panel(plots, self._range, cursor, CATEGORIES[i % len(CATEGORIES)]) for i in range(panels)]
        every = [self._audience, *self._panels]
        for panel in every:
            panel.add_tip(cursor, every)
        for plot in self.panels if brush else ():
            plot.on_event(SelectionGeometry, self._on_brush)
        self._marks = MarkStrip(plots, self._range)
        self.on_brush: Callable[[Span], None] = lambda _span: None
        self.figure: Column = column(*self.panels, self._marks.figure, sizing_mode="stretch_both", spacing=4)

    @property
    def panels(self) -> list[Plot]:
        """All panels, the audience's first."""
        return [panel.figure for panel in (self._audience, *self._panels)]

    def show(
        self,
        audience: Measure,
        heard: Timeline,
        measures: Sequence[Measure],
        timeline: Timeline,
        span: Span,
        curves: Sequence[Curve] = (),
        band: PercentileBand | None = None,
        marks: Sequence[Mark] = (),
    ) -> None:
        """Show the audience, from `heard`, and the first `measures` that have panels, from `timeline`, over `span`."""
        self._range.update(start=span.from_ms, end=span.to_ms)
        self._marks.show(marks, span)
        self._audience.show(audience, heard, [(curve, curve.audience) for curve in curves])
        for at, (panel, measure) in enumerate(zip(self._panels, measures, strict=False)):
            panel.show(measure, timeline, [(curve, curve.timeline) for curve in curves], band if at == 0 else None)
        used = min(len(measures), len(self._panels))
        for at, panel in enumerate(self._panels):
            panel.figure.visible = at < used
        for at, panel in enumerate([self._audience, *self._panels]):
            panel.axis.visible = at == used

    def _on_brush(self, event: Event) -> None:
        geometry: Any = event.geometry if isinstance(event, SelectionGeometry) and event.final else None
        if geometry is not None:
            begin, end = sorted((geometry["x0"], geometry["x1"]))
            if end - begin >= LEAST_BRUSH_MS:
                self.on_brush(Span(round(begin), round(end)))


class _Cursor:
    """The line that follows the pointer through all panels."""

    def __init__(self) -> None:
        self.line = Stroke(dimension="height", line_color=GROUND, line_dash="dotted", line_width=1)
        self.clock = CustomJSHover(code=LOCAL_AND_UTC)


class _Panel:
    """One panel of the timeline."""

    def __init__(self, plots: Plots, x_range: Range1d, cursor: _Cursor, colour: str, *, filled: bool = False) -> None:
        self.source = ColumnDataSource({"at": [], "value": [], "title": [], "text": []})
        self.band = ColumnDataSource(_band_columns(None))
        self.lines = ColumnDataSource(_no_lines())
        self._title = Title(text=" ")
        self._ticker = FixedTicker(ticks=[])
        self._colour = colour
        self._line = Line(x="at", y="value", line_color=colour, line_width=2, line_join="round")
        self.figure = _panel_plot(plots, x_range, self._title)
        self._value_axis = plots.add_axis(self.figure, unit_axis(), "left", ticker=self._ticker)
        self.axis = plots.add_time_axis(self.figure)
        if filled:
            plots.draw(self.figure, self.source, VArea(x="at", y1=0, y2="value", fill_color=colour, fill_alpha=0.35))
        self._drawn = plots.draw(self.figure, self.source, self._line)
        band = VArea(x="at", y1="low", y2="high", fill_color=colour, fill_alpha=0.2)
        plots.draw(self.figure, self.band, band, level="underlay")
        ghost = MultiLine(xs="xs", ys="ys", line_color="colour", line_width=2, line_dash="dash", line_join="round")
        plots.draw(self.figure, self.lines, ghost)
        self.figure.add_tools(CrosshairTool(overlay=cursor.line))
        brush = BoxSelectTool(dimensions="width", renderers=[], overlay=_brush_box(), persistent=False)
        self.figure.add_tools(brush)
        self.figure.toolbar.active_drag = brush

    def add_tip(self, cursor: _Cursor, every: "Sequence[_Panel]") -> None:
        """Show the values of `every` panel at the moment under the pointer."""
        args = {
            "own": self.source,
            "panels": [panel.figure for panel in every],
            "sources": [panel.source for panel in every],
            "lines": [panel.lines for panel in every],
        }
        values = CustomJSHover(args=args, code=EVERY_PANEL)
        tip = HoverTool(renderers=[self._drawn], mode="vline", tooltips=_TIP)
        tip.formatters = {"@{at}": cursor.clock, "@{text}": values}
        self.figure.add_tools(tip)

    def show(
        self,
        measure: Measure,
        timeline: Timeline,
        comparison: Sequence[tuple[Curve, Timeline]] = (),
        band: PercentileBand | None = None,
    ) -> None:
        shown = [timeline.values[measure.name], *(each.values[measure.name] for _, each in comparison)]
        largest = largest_of(value for values in shown for value in values)
        self.source.data = _columns(measure, timeline, band, largest)
        self.band.data = _band_columns(band)
        self.lines.data = _line_columns(measure, comparison, largest)
        # In a breakdown the line of all end hosts has the colour of the ground, and the axis shows how the lines differ.
        broken_down = any(not curve.dashed for curve, _ in comparison)
        self._line.line_color = GROUND if broken_down else self._colour
        self._title.text = title_of(measure, largest)
        show_unit(self._value_axis, measure, largest)
        every = [value for values in self.lines.data["ys"] for value in values]
        spread = [*self.band.data["low"], *self.band.data["high"]]
        low, high = frame(measure, [*self.source.data["value"], *every, *spread])
        self.figure.y_range.update(start=low, end=high)
        self._ticker.ticks = [low, (low + high) / 2, high]


def frame(measure: Measure, values: Sequence[float]) -> tuple[float, float]:
    """The ends of a panel's axis: from 0 for counts, else round numbers around the values; a grade apart or more for MOS."""
    known = [value for value in values if isfinite(value)]
    if measure.name == "mos" and known:
        # A smaller range would make the noise look like a change.
        begin = min(max((min(known) + max(known) - LEAST_GRADES) / 2, 1.0), 5.0 - LEAST_GRADES)
        low, high = round_ends([*known, begin, begin + LEAST_GRADES])
        return max(low, 1.0), min(high, 5.0)
    return round_ends([0.0, *known, 1.0] if measure.kind in COUNTS else known)


def _no_lines() -> dict[str, list[Any]]:
    return {name: [] for name in ("xs", "ys", "colour", "dash", "name", "factor", "digits", "unit")}


def _line_columns(measure: Measure, comparison: Sequence[tuple[Curve, Timeline]], largest: float) -> dict[str, list[Any]]:
    columns = _no_lines()
    factor, unit, digits = shown_in(measure, largest)
    for curve, timeline in comparison:
        columns["factor"].append(factor)
        columns["digits"].append(digits)
        columns["unit"].append(unit)
        columns["xs"].append([at + curve.shift_ms for at in timeline.at_ms])
        columns["ys"].append([float("nan") if value is None else value for value in timeline.values[measure.name]])
        columns["colour"].append(curve.colour)
        columns["dash"].append([6, 4] if curve.dashed else [])
        columns["name"].append(curve.name)
    return columns


def _band_columns(band: PercentileBand | None) -> dict[str, list[Any]]:
    if band is None:
        return {"at": [], "low": [], "high": []}
    known = [each for each in zip(band.at_ms, band.low, band.high, strict=True) if each[1] is not None]
    return {name: [each[at] for each in known] for at, name in enumerate(("at", "low", "high"))}


def _brush_box() -> BoxAnnotation:
    return BoxAnnotation(visible=False, fill_color=ACCENT, fill_alpha=0.15, line_color=ACCENT, line_alpha=0.6)


def _panel_plot(plots: Plots, x_range: Range1d, title: Title) -> Plot:
    return plots.plot(
        x_range,
        Range1d(start=0, end=1),
        sizing_mode="stretch_both",
        min_border_left=56,
        min_border_right=16,
        min_border_top=0,
        min_border_bottom=8,
        min_height=72,
        title=title,
    )


def _columns(measure: Measure, timeline: Timeline, band: PercentileBand | None, largest: float) -> dict[str, list[Any]]:
    values = timeline.values[measure.name]
    spreads = [_spread_at(measure, band, at, largest) for at in timeline.at_ms]
    return {
        "at": list(timeline.at_ms),
        "value": [float("nan") if value is None else value for value in values],
        "title": [measure.title] * len(values),
        "text": [format_value(measure, value, largest=largest) + spread for value, spread in zip(values, spreads, strict=True)],
    }


def _spread_at(measure: Measure, band: PercentileBand | None, at_ms: int, largest: float) -> str:
    """Text: the band at this time."""
    at = bisect_left(band.at_ms, at_ms) if band is not None else 0
    if band is None or at >= len(band.at_ms) or band.low[at] is None:
        return ""
    low, high = (format_value(measure, side[at], largest=largest) for side in (band.low, band.high))
    return f" (p10 to p90: {low} to {high})"
