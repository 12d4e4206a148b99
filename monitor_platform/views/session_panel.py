"""A panel of a session's page: lines over the session's time axis, with an optional band behind them."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bokeh.models import BasicTicker, ColumnDataSource, CustomJSHover, HoverTool, Plot, Range1d, VArea
from bokeh.models.annotations import Title
from bokeh.models.glyphs import Line, Scatter

from feedback_analysis.measures.registry import Measure
from monitor_platform.views import thinning
from monitor_platform.views.number_format import format_value, largest_of
from monitor_platform.views.palette import GROUND
from monitor_platform.views.plots import Plots, show_unit, unit_axis
from monitor_platform.views.timeline_view import frame

# Points at the ends of an axis are not cut in half: the axis continues for this share of its length.
_MARGIN = 0.06

TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
@at{custom}<br>@title: <b>@text</b></div>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine:
    """The values of a measure at some moments (Unix ms). `title`: its name in the tooltip; empty: that of the measure."""

    measure: Measure
    at_ms: Sequence[int]
    values: Sequence[float | None]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBand:
    """A lower and an upper end at some moments (Unix ms)."""

    at_ms: Sequence[int]
    low: Sequence[float | None]
    high: Sequence[float | None]


class SessionPanel:
    """One frame with a line for each of its colours."""

    def __init__(
        self,
        plots: Plots,
        x_range: Range1d,
        clock: CustomJSHover,
        colours: Sequence[str],
        *,
        banded: bool = False,
        stays: bool = False,
        dense: int | None = None,
    ) -> None:
        """`banded`: it can have a band. `stays`: it is also visible without values. `dense`: the line without dots, if any."""
        self._title = Title(text=" ")
        self.figure = panel_frame(plots, x_range, Range1d(start=0, end=1), title=self._title)
        self._axis = plots.add_axis(self.figure, unit_axis(), "left", ticker=BasicTicker(desired_num_ticks=3))
        self.time_axis = plots.add_time_axis(self.figure)
        self._stays = stays
        self._band = ColumnDataSource({"at": [], "low": [], "high": []})
        if banded:
            plots.draw(self.figure, self._band, VArea(x="at", y1="low", y2="high", fill_color=GROUND, fill_alpha=0.25))
        self.sources = [ColumnDataSource(_no_points()) for _ in colours]
        for at, (source, colour) in enumerate(zip(self.sources, colours, strict=True)):
            dash = ("solid", "dashed", "dotted")[at]
            line = plots.draw(self.figure, source, Line(x="at", y="value", line_color=colour, line_width=2, line_dash=dash))
            if at != dense:
                plots.draw(self.figure, source, Scatter(x="at", y="value", size=4, line_color=colour, fill_color=colour))
            tip = HoverTool(renderers=[line], mode="vline", tooltips=TIP, formatters={"@at": clock})
            self.figure.add_tools(tip)

    def show(self, title: str, lines: Sequence[SessionLine], breaks: Set[int], band: SessionBand | None = None) -> None:
        """`breaks`: the moments before which lines are interrupted."""
        self._title.text = title
        largest = largest_of(value for line in lines for value in line.values)
        show_unit(self._axis, lines[0].measure, largest)
        for source, line in zip(self.sources, lines, strict=True):
            source.data = _points(line, breaks, largest)
        known = [value for line in lines for value in line.values if value is not None]
        if band is not None:
            low, high = ([_number(value) for value in side] for side in (band.low, band.high))
            self._band.data = {"at": list(band.at_ms), "low": low, "high": high}
            known += [value for value in (*low, *high) if isfinite(value)]
        start, end = frame(lines[0].measure, known)
        margin = (end - start) * _MARGIN
        self.figure.y_range.update(start=start - margin, end=end + margin)
        self.figure.visible = self._stays or bool(known)

    def clear(self) -> None:
        self._band.data = {"at": [], "low": [], "high": []}
        for source in self.sources:
            source.data = _no_points()


def _no_points() -> dict[str, list[Any]]:
    return {name: [] for name in ("at", "value", "title", "text")}


def _points(line: SessionLine, breaks: Set[int], largest: float) -> dict[str, list[Any]]:
    """The points of a line that is interrupted before each moment of `breaks`."""
    columns = _no_points()
    for index in thinning.points(line.at_ms, line.values, breaks):
        at, number = line.at_ms[index], line.values[index]
        for point in (None, number) if at in breaks else (number,):
            columns["at"].append(at)
            columns["value"].append(_number(point))
            columns["title"].append(line.title or line.measure.title)
            columns["text"].append(format_value(line.measure, point, largest=largest))
    return columns


def _number(known: float | None) -> float:
    return float("nan") if known is None else known


def panel_frame(plots: Plots, x_range: Range1d, y_range: Range1d, *, title: Title | None = None, height: int | None = None) -> Plot:
    """A plot over the session's time axis."""
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
