"""Panels with lines and percentile bands on one time axis, and above them a ribbon of stretches, such as the routes of a path.

The panels are made once; `show` sets what each of them has. There is no line across a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import median
from typing import Any

from bokeh.core.properties import value as literally
from bokeh.layouts import column
from bokeh.models import Column, ColumnDataSource, CustomJSHover, FixedTicker, HoverTool, LinearAxis, Plot, Range1d
from bokeh.models.annotations import Title
from bokeh.models.glyphs import Line, MultiLine, Patches, Quad, Scatter, Segment, Text

from feedback_analysis.measures.selection import Span
from monitor_platform.views.palette import GROUND, LIGHT_INK, round_ends
from monitor_platform.views.plots import LOCAL_AND_UTC, Plots

PANEL_PX, AXIS_PX, RIBBON_PX = 128, 24, 40

_GAP_STEPS = 2.5
"""Between points that are further apart than this many usual steps, nothing was measured."""

_TIP = """<div style="font:13px/18px system-ui,sans-serif;padding:2px 4px;color:#1b2430;white-space:pre-line">
<b>@at{custom}</b><br>@text</div>"""
_BLOCK_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430;max-width:480px">
<b>@name</b><br>@text<br>from @begin{custom}</div>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelLine:
    """A line, and the band around it if `low` and `high` are given."""

    name: str
    colour: str
    at_ms: Sequence[int]
    values: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    quiet: bool = False
    """Thin, because other lines are more important."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPanel:
    """The lines of a panel. `ends`: those of its axis; None: round numbers around the values, from 0 on."""

    title: str
    lines: Sequence[PanelLine]
    unit: str = ""
    digits: int = 1
    ends: tuple[float, float] | None = None

    def in_words(self, value: float) -> str:
        """ "12.4 ms"."""
        return f"{value:,.{self.digits}f} {self.unit}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class RibbonBlock:
    """A part of the ribbon."""

    from_ms: int
    to_ms: int
    name: str
    text: str
    colour: str


class LinePanels:
    """Up to `panels` panels; those without a content are hidden."""

    def __init__(self, panels: int, *, ribbon: bool = False) -> None:
        self._range = Range1d(start=0, end=1)
        plots, clock = Plots(), CustomJSHover(code=LOCAL_AND_UTC)
        self._panels = [_LinePanel(plots, self._range, clock) for _ in range(panels)]
        self._ribbon = _Blocks(plots, self._range, clock) if ribbon else None
        figures = ([self._ribbon.figure] if self._ribbon else []) + [panel.figure for panel in self._panels]
        self.figure: Column = column(*figures, sizing_mode="stretch_width", spacing=2)

    def show(self, span: Span, panels: Sequence[ShownPanel], blocks: Sequence[RibbonBlock] = ()) -> None:
        """Show the first panels that have a place over `span`. Each block of the ribbon but the first begins with a mark."""
        self._range.update(start=span.from_ms, end=max(span.to_ms, span.from_ms + 1000))
        if self._ribbon is not None:
            self._ribbon.show(blocks, span)
        changes = [block.from_ms for block in blocks[1:] if span.from_ms <= block.from_ms <= span.to_ms]
        used = min(len(panels), len(self._panels))
        for at, panel in enumerate(self._panels):
            panel.show(panels[at] if at < used else None, changes, last=at == used - 1)

    def clear(self) -> None:
        """Remove all lines."""
        self.show(Span(0, 1000), [])


class _LinePanel:
    def __init__(self, plots: Plots, x_range: Range1d, clock: CustomJSHover) -> None:
        self._title, self._ticker = Title(text=" "), FixedTicker(ticks=[])
        self.figure: Plot = plots.plot(
            x_range,
            Range1d(start=0, end=1),
            sizing_mode="stretch_width",
            height=PANEL_PX,
            min_border_left=56,
            min_border_right=16,
            min_border_top=0,
            min_border_bottom=8,
            title=self._title,
        )
        plots.add_axis(self.figure, LinearAxis(), "left", ticker=self._ticker)
        self._time_axis = plots.add_time_axis(self.figure)
        self.words = ColumnDataSource(_columns("at", "value", "title", "text"))
        self.bands = ColumnDataSource(_columns("xs", "ys", "colour"))
        self.lines = ColumnDataSource(_columns("xs", "ys", "colour", "width", "alpha"))
        self.points = ColumnDataSource(_columns("x", "y", "colour"))
        self.changes = ColumnDataSource(_columns("x", "low", "high"))
        hidden = plots.draw(self.figure, self.words, Line(x="at", y="value", line_alpha=0))
        change = Segment(x0="x", y0="low", x1="x", y1="high", line_color=GROUND, line_dash="dashed", line_width=1.5)
        plots.draw(self.figure, self.changes, change)
        plots.draw(self.figure, self.bands, Patches(xs="xs", ys="ys", fill_color="colour", fill_alpha=0.18, line_color=None))
        line = MultiLine(xs="xs", ys="ys", line_color="colour", line_width="width", line_alpha="alpha", line_join="round")
        plots.draw(self.figure, self.lines, line)
        plots.draw(self.figure, self.points, Scatter(x="x", y="y", size=5, fill_color="colour", line_color="colour"))
        tip = HoverTool(renderers=[hidden], mode="vline", tooltips=_TIP, line_policy="nearest")
        tip.formatters = {"@at": clock}
        self.figure.add_tools(tip)

    def show(self, panel: ShownPanel | None, changes: Sequence[int], *, last: bool) -> None:
        self.figure.visible = panel is not None
        self._time_axis.visible = last
        self.figure.height = PANEL_PX + (AXIS_PX if last else 0)
        if panel is None:
            return
        self._title.text = f"{panel.title} ({panel.unit})" if panel.unit else panel.title
        self.lines.data = _line_data(panel)
        self.bands.data = _band_data(panel)
        self.points.data = _lonely_points(panel)
        self.words.data = _words(panel)
        low, high = panel.ends or _ends(panel)
        self.figure.y_range.update(start=low, end=high)
        self._ticker.ticks = [low, (low + high) / 2, high]
        self.changes.data = {"x": list(changes), "low": [low] * len(changes), "high": [high] * len(changes)}


class _Blocks:
    """The ribbon. A part has its name in it if there is room."""

    def __init__(self, plots: Plots, x_range: Range1d, clock: CustomJSHover) -> None:
        self.source = ColumnDataSource(_columns("begin", "end", "name", "text", "colour", "word"))
        self.figure = plots.plot(
            x_range,
            Range1d(start=0, end=1),
            sizing_mode="stretch_width",
            height=RIBBON_PX,
            min_border_left=56,
            min_border_right=16,
            min_border_top=4,
            min_border_bottom=4,
        )
        block = Quad(left="begin", right="end", top=0.95, bottom=0.05, fill_color="colour", line_color="colour")
        blocks = plots.draw(self.figure, self.source, block)
        word = Text(x="begin", y=0.5, text="word", text_color=LIGHT_INK, text_baseline="middle", x_offset=8, text_font_size="12px")
        word.text_font = literally("system-ui, sans-serif")
        plots.draw(self.figure, self.source, word)
        tip = HoverTool(renderers=[blocks], tooltips=_BLOCK_TIP, attachment="below")
        tip.formatters = {"@begin": clock}
        self.figure.add_tools(tip)

    def show(self, blocks: Sequence[RibbonBlock], span: Span) -> None:
        whole = max(span.to_ms - span.from_ms, 1)
        room = [(block.to_ms - block.from_ms) / whole * 60 for block in blocks]
        self.figure.visible = bool(blocks)
        self.source.data = {
            "begin": [block.from_ms for block in blocks],
            "end": [block.to_ms for block in blocks],
            "name": [block.name for block in blocks],
            "text": [block.text for block in blocks],
            "colour": [block.colour for block in blocks],
            "word": [block.name if len(block.name) < letters else "" for block, letters in zip(blocks, room, strict=True)],
        }


def _columns(*names: str) -> dict[str, list[Any]]:
    return {name: [] for name in names}


def _runs(line: PanelLine) -> list[range]:
    """The places of the points between two gaps."""
    gaps = [later - earlier for earlier, later in zip(line.at_ms, line.at_ms[1:], strict=False)]
    most_ms = _GAP_STEPS * median(gaps) if gaps else 0
    begins = [0, *(at + 1 for at, gap in enumerate(gaps) if gap > most_ms)] if line.at_ms else []
    return [range(begin, end) for begin, end in zip(begins, [*begins[1:], len(line.at_ms)], strict=True)]


def _line_data(panel: ShownPanel) -> dict[str, list[Any]]:
    columns = _columns("xs", "ys", "colour", "width", "alpha")
    for line in panel.lines:
        for run in _runs(line):
            columns["xs"].append([line.at_ms[at] for at in run])
            columns["ys"].append([nan if (value := line.values[at]) is None else value for at in run])
            columns["colour"].append(line.colour)
            columns["width"].append(1.2 if line.quiet else 2)
            columns["alpha"].append(0.6 if line.quiet else 1)
    return columns


def _band_data(panel: ShownPanel) -> dict[str, list[Any]]:
    columns = _columns("xs", "ys", "colour")
    for line in panel.lines:
        for run in _runs(line) if line.low else ():
            if len(run) > 1:
                at_ms = [line.at_ms[at] for at in run]
                columns["xs"].append(at_ms + at_ms[::-1])
                columns["ys"].append([line.low[at] for at in run] + [line.high[at] for at in reversed(run)])
                columns["colour"].append(line.colour)
    return columns


def _lonely_points(panel: ShownPanel) -> dict[str, list[Any]]:
    """The points that no line joins with another one."""
    lonely = [(line, run[0]) for line in panel.lines for run in _runs(line) if len(run) == 1]
    known = [(line.at_ms[at], value, line.colour) for line, at in lonely if (value := line.values[at]) is not None]
    return {name: [each[at] for each in known] for at, name in enumerate(("x", "y", "colour"))}


def _words(panel: ShownPanel) -> dict[str, list[Any]]:
    """The values of all lines at each time, for the tip and for the keyboard."""
    found: dict[int, list[str]] = {}
    places: dict[int, float] = {}
    for line in panel.lines:
        for at, (at_ms, value) in enumerate(zip(line.at_ms, line.values, strict=True)):
            if value is not None and isfinite(value):
                band = f" (p10 to p90: {panel.in_words(line.low[at])} to {panel.in_words(line.high[at])})" if line.low else ""
                found.setdefault(at_ms, []).append(f"{line.name}: {panel.in_words(value)}{band}")
                places.setdefault(at_ms, value)
    times = sorted(found)
    return {
        "at": times,
        "value": [places[at] for at in times],
        "title": [panel.title] * len(times),
        "text": ["\n".join(found[at]) for at in times],
    }


def _ends(panel: ShownPanel) -> tuple[float, float]:
    values = [value for line in panel.lines for value in (*line.values, *line.high) if value is not None and isfinite(value)]
    return round_ends([0.0, *values]) if any(values) else (0.0, 1.0)
