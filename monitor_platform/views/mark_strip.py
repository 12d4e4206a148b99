"""The strip of labelled marks below the timeline, such as the alerts of the shown time."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

from bokeh.core.properties import value as literally
from bokeh.models import ColumnDataSource, CustomJS, CustomJSHover, HoverTool, Range1d
from bokeh.models.glyphs import Scatter, Segment, Text

from feedback_analysis.measures.selection import Span
from monitor_platform.views.plots import LOCAL_AND_UTC, Plots

_MARK_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430;max-width:480px">
<b>@text</b><br>from @{from}{custom}<br>until @{until}{custom}</div>"""

MARK_LANES = 4
"""Marks of the same time are in different lanes. With more marks than lanes, some overlap in the last one."""

_LANE_PX = 18
"""Height of a lane: that of a line of text."""

_LABELS = """
const { label, name, shown_from, lane } = Object.fromEntries(["label", "name", "shown_from", "lane"].map((each) =>
  [each, bars.data.get?.(each) ?? bars.data[each]]));
const { start, end } = strip.x_range;
const letters = (ms) => Math.floor((ms / (end - start) * strip.inner_width - 12) / 6);
for (let i = 0; i < name.length; i++) {
  const later = shown_from.filter((begin, j) => lane[j] === lane[i] && begin > shown_from[i]);
  const room = letters(Math.min(end, ...later) - shown_from[i]);
  label[i] = name[i].length <= room ? name[i] : room > 5 ? `${name[i].slice(0, room - 1)}…` : "";
}
bars.change.emit();
"""
"""JavaScript: the label of each mark is as long as there is room before the next mark of its lane. A letter is 6 px wide.

The array changes in place, so nothing is sent to the platform.
"""

_LABEL_COLOUR = "#738091"
"""Legible on light and on dark grounds."""

_MARK_COLUMNS = ("from", "until", "shown_from", "shown_to", "lane", "above", "text", "name", "label", "colour")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark from one time to another, such as an alert; an open one has no `to_ms`.

    `name` is written beside the mark if there is room, `text` is in its tooltip.
    """

    from_ms: int
    to_ms: int | None
    name: str
    text: str
    colour: str


class MarkStrip:
    """Labelled bars: a triangle at each start, a stroke at each end. It is hidden without marks."""

    def __init__(self, plots: Plots, x_range: Range1d) -> None:
        self.bars = ColumnDataSource({name: [] for name in _MARK_COLUMNS})
        self.ends = ColumnDataSource({name: [] for name in ("at", "lane", "marker", "angle", "colour")})
        self._lanes = Range1d(start=0, end=1)
        self.figure = plots.plot(
            x_range,
            self._lanes,
            sizing_mode="stretch_width",
            height=_LANE_PX,
            min_border_left=56,
            min_border_right=16,
            min_border_top=0,
            min_border_bottom=0,
            visible=False,
        )
        bar = Segment(x0="shown_from", y0="lane", x1="shown_to", y1="lane", line_color="colour", line_width=4)
        bars = plots.draw(self.figure, self.bars, bar)
        end = Scatter(
            x="at", y="lane", marker="marker", angle="angle", size=9, line_color="colour", fill_color="colour", line_width=2
        )
        plots.draw(self.figure, self.ends, end)
        label = Text(x="shown_from", y="above", text="label", text_color=_LABEL_COLOUR, text_baseline="middle", x_offset=8)
        label.update(text_font_size="11px", text_font=literally("system-ui, sans-serif"))
        plots.draw(self.figure, self.bars, label)
        relabel = CustomJS(args={"bars": self.bars, "strip": self.figure}, code=_LABELS)
        self.figure.js_on_change("inner_width", relabel)
        self.bars.js_on_change("data", relabel)
        begun = CustomJSHover(code=LOCAL_AND_UTC)
        ended = CustomJSHover(code=f"if (value === 0) return 'now (open)';{LOCAL_AND_UTC}")
        tip = HoverTool(renderers=[bars], tooltips=_MARK_TIP, attachment="above")
        tip.formatters = {"@{from}": begun, "@{until}": ended}
        self.figure.add_tools(tip)

    def show(self, marks: Sequence[Mark], span: Span) -> None:
        """Draw `marks`, each in its lane, the first lane above."""
        lanes = lanes_of(marks)
        used = max(lanes, default=0) + 1
        self._lanes.update(start=used - 0.5, end=-0.5)
        self.figure.update(visible=bool(marks), height=used * _LANE_PX)
        shown = [(max(mark.from_ms, span.from_ms), min(mark.to_ms or span.to_ms, span.to_ms)) for mark in marks]
        self.bars.data = {
            "from": [mark.from_ms for mark in marks],
            "until": [mark.to_ms or 0 for mark in marks],
            "shown_from": [begin for begin, _ in shown],
            "shown_to": [end for _, end in shown],
            "lane": [lane + 0.3 for lane in lanes],
            "above": [lane - 0.15 for lane in lanes],
            "text": [mark.text for mark in marks],
            "name": _names(marks, lanes, shown),
            "label": [""] * len(marks),
            "colour": [mark.colour for mark in marks],
        }
        lasting = [(mark, lane + 0.3) for mark, lane in zip(marks, lanes, strict=True)]
        begins = [(mark.from_ms, lane, "inverted_triangle", 0.0, mark.colour) for mark, lane in lasting]
        ends = [(mark.to_ms, lane, "dash", pi / 2, mark.colour) for mark, lane in lasting if mark.to_ms is not None]
        within = [each for each in begins + ends if span.from_ms <= each[0] <= span.to_ms]
        self.ends.data = {
            name: [each[at] for each in within] for at, name in enumerate(("at", "lane", "marker", "angle", "colour"))
        }


def _names(marks: Sequence[Mark], lanes: Sequence[int], shown: Sequence[tuple[int, int]]) -> list[str]:
    """The names that labels show: of marks that begin at the same place, only the one that is drawn last."""
    places = [(lane, begin) for lane, (begin, _) in zip(lanes, shown, strict=True)]
    drawn_last = {place: at for at, place in enumerate(places)}
    return [mark.name if drawn_last[place] == at else "" for at, (mark, place) in enumerate(zip(marks, places, strict=True))]


def lanes_of(marks: Sequence[Mark]) -> list[int]:
    """The lane of each mark: the first one that is free when the mark begins, or else the last one."""
    free_ms = [float("-inf")] * MARK_LANES
    lanes = [0] * len(marks)
    for at in sorted(range(len(marks)), key=lambda at: (marks[at].from_ms, -at)):
        mark = marks[at]
        lanes[at] = next((lane for lane in range(MARK_LANES) if free_ms[lane] <= mark.from_ms), MARK_LANES - 1)
        free_ms[lanes[at]] = max(free_ms[lanes[at]], float("inf") if mark.to_ms is None else mark.to_ms)
    return lanes
