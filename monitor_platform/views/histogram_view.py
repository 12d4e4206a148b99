"""Histogram view: the share of the peers in each range of one measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool, LinearAxis, MultiLine, NumeralTickFormatter, Quad, Range1d, TapTool

from feedback_analysis.measures.histogram import Histogram
from feedback_analysis.measures.registry import Measure
from monitor_platform.views.number_format import format_count, format_value, largest_of, title_of
from monitor_platform.views.palette import ACCENT, GROUND, MOS_SCALE, round_ends
from monitor_platform.views.plots import Plots, show_unit, unit_axis

_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
<b>@{range}</b><br>@{share}{0.0}&#8239;% of the peers<br>@{peers_text}</div>"""
_PART_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430"><b>@name</b>, n = @n</div>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramPart:
    """The peers with one value of a breakdown."""

    name: str
    colour: str
    histogram: Histogram


class HistogramView:
    """One bar for each range of a measure. MOS bars have the colours of their grades."""

    def __init__(self) -> None:
        self.source = ColumnDataSource(_columns(None, None))
        self.other = ColumnDataSource(_columns(None, None))
        self.parts = ColumnDataSource(_steps(()))
        plots = Plots()
        self.figure = plots.plot(Range1d(start=0, end=1), Range1d(start=0, end=100), sizing_mode="stretch_both", min_border=8)
        self._edges: tuple[float, ...] = ()
        self._axis = plots.add_axis(self.figure, unit_axis(), "below", axis_label_standoff=8)
        shares = LinearAxis(axis_label="share of peers (%)", axis_label_standoff=8)
        plots.add_axis(self.figure, shares, "left", formatter=NumeralTickFormatter(format="0.[0]"))
        self._draw_bars(plots)

    def show(
        self,
        measure: Measure,
        histogram: Histogram,
        *,
        against: Histogram | None = None,
        parts: Sequence[HistogramPart] = (),
        chosen: str = "",
    ) -> None:
        """Show the shares of `histogram`, with edges in the measure's unit, and the shares of `against` as outlines.

        `parts`: a line of steps for each, over the same ranges. `chosen`: the filtered range, in the form of `range_at`.
        """
        self._edges = histogram.edges
        self.source.data = _columns(measure, histogram)
        self.other.data = _columns(measure, against)
        self.parts.data = _steps(parts)
        names = [range_at(self._edges, at) for at in range(len(self._edges) - 1)]
        self.source.selected.indices = [names.index(chosen)] if chosen in names else []
        if histogram.edges:
            self.figure.x_range.update(start=histogram.edges[0], end=histogram.edges[-1])
            of_parts = [share for line in self.parts.data["ys"] for share in line]
            highest = round_ends([0.0, *self.source.data["share"], *self.other.data["share"], *of_parts])[1]
            self.figure.y_range.update(start=0, end=highest)
        largest = largest_of(histogram.edges)
        self._axis.axis_label = title_of(measure, largest)
        show_unit(self._axis, measure, largest)

    def _draw_bars(self, plots: Plots) -> None:
        ghost = _bar(fill_color=None, line_color=GROUND, line_width=2, line_dash="dashed")
        plots.draw(self.figure, self.other, ghost, level="overlay")
        line = MultiLine(xs="xs", ys="ys", line_color="colour", line_width=2, line_join="round")
        lines = plots.draw(self.figure, self.parts, line, level="overlay")
        self.figure.add_tools(HoverTool(renderers=[lines], line_policy="nearest", tooltips=_PART_TIP))
        plain, chosen, others = (_bar(fill_color="colour", fill_alpha=alpha, line_color=None) for alpha in (0.9, 0.95, 0.3))
        bars = plots.draw(self.figure, self.source, plain, selection_glyph=chosen, nonselection_glyph=others)
        self.figure.add_tools(HoverTool(renderers=[bars], tooltips=_TIP), TapTool(renderers=[bars]))

    def range_at(self, index: int) -> str:
        """The filter for the peers of the bar at `index`; empty for an index without a bar, which only a manipulated message
        has."""
        return range_at(self._edges, index) if 0 <= index < len(self._edges) - 1 else ""


def _bar(**looks: Any) -> Quad:  # noqa: ANN401 - whatever Quad takes
    return Quad(left="left", right="right", top="share", bottom=0, **looks)


def range_at(edges: Sequence[float], index: int) -> str:
    """The filter of a range. The first and the last range are open, because they include all values beyond."""
    low = "" if index == 0 else f"{edges[index]:g}"
    high = "" if index == len(edges) - 2 else f"{edges[index + 1]:g}"
    return f"{low}..{high}"


def _columns(measure: Measure | None, histogram: Histogram | None) -> dict[str, list[Any]]:
    if measure is None or histogram is None:
        return {name: [] for name in ("left", "right", "share", "range", "peers_text", "colour")}
    ranges, largest = list(pairwise(histogram.edges)), largest_of(histogram.edges)
    edges = {edge: format_value(measure, edge, largest=largest) for edge in histogram.edges}
    # A narrow gap separates two bars of equal height.
    gaps = [(right - left) * 0.03 for left, right in ranges]
    return {
        "left": [left + gap for (left, _), gap in zip(ranges, gaps, strict=True)],
        "right": [right - gap for (_, right), gap in zip(ranges, gaps, strict=True)],
        "share": [share * 100 for share in histogram.shares],
        "range": [f"{edges[left]} to {edges[right]}" for left, right in ranges],
        "peers_text": [format_count(share * histogram.peers, "peer") for share in histogram.shares],
        "colour": _colours(measure, ranges),
    }


def _steps(parts: Sequence[HistogramPart]) -> dict[str, list[Any]]:
    """A line of steps for each part."""
    edges = [[edge for edge in part.histogram.edges for _ in range(2)][1:-1] for part in parts]
    return {
        "xs": edges,
        "ys": [[share * 100 for share in part.histogram.shares for _ in range(2)] for part in parts],
        "colour": [part.colour for part in parts],
        "name": [part.name for part in parts],
        "n": [format_count(part.histogram.peers, "peer") for part in parts],
    }


def _colours(measure: Measure, ranges: Sequence[tuple[float, float]]) -> list[str]:
    if measure.name != "mos":
        return [ACCENT] * len(ranges)
    return [MOS_SCALE.colour((left + right) / 2) for left, right in ranges]
