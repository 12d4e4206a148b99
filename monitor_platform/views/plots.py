"""Plots with few Bokeh models. Each model costs time when a page opens: it is made, sent, parsed and set up in the browser.

`bokeh.plotting.figure` adds unused grids and axes, and four glyphs for a line; these plots have only what is added.
"""

from typing import Any, Literal

from bokeh.models import (
    AllIndices,
    AllLabels,
    Axis,
    CategoricalScale,
    CDSView,
    ColumnDataSource,
    CustomJSTicker,
    CustomJSTickFormatter,
    FactorRange,
    Grid,
    LinearAxis,
    LinearScale,
    NoOverlap,
    Plot,
    Range,
)
from bokeh.models.glyph import Glyph
from bokeh.models.renderers import GlyphRenderer

from feedback_analysis.measures.registry import Measure, shown_in

_FORMATS = """
const formats = globalThis.swarmscope_formats ??= new Map();
const in_words = (at, language, options) => {
  const key = language + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, options));
  return formats.get(key).format(at);
};
"""
"""JavaScript: times as text. A new format for each text would cost a tenth of the processor time of a page that opens."""

# The axis has the page's time zone (that of the browser in a report), and the day as well if the time range is long.
LOCAL_TICK = f"""{_FORMATS}
const span_ms = ticks[ticks.length - 1] - ticks[0];
const clock = {{hour: "2-digit", minute: "2-digit", hour12: false, timeZone: globalThis.swarmscope_times?.zone}};
if (span_ms < 300000) clock.second = "2-digit";
if (span_ms > 64800000) Object.assign(clock, {{month: "short", day: "numeric"}});
return in_words(tick, undefined, clock);
"""

TIME_TICKS = (
    _FORMATS
    + """
const steps_s = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const {start, end} = cb_data;
const zone = globalThis.swarmscope_times?.zone;
const swedish = {dateStyle: "short", timeStyle: "medium", timeZone: zone};
const offset = (at) => Date.parse(in_words(at, "sv-SE", swedish) + "Z") - Math.floor(at / 1000) * 1000;
const step = 1000 * (steps_s.find((each) => (end - start) / (1000 * each) <= 8) ?? Math.ceil((end - start) / 8 / 86400000) * 86400);
const ticks = [];
for (let local = Math.ceil((start + offset(start)) / step) * step; ticks.length < 20; local += step) {
  const tick = local - offset(local - offset(start));
  if (tick > end) break;
  if (tick >= start) ticks.push(tick);
}
return ticks;
"""
)
"""JavaScript: ticks at round times of the page's zone, such as 12:00 in India, which is 06:30 UTC."""

UNIT_TICK = """
const format = globalThis.swarmscope_unit_format ??= new Intl.NumberFormat("en-US", {maximumFractionDigits: 5});
return format.format(tick * factor);
"""

LOCAL_AND_UTC = f"""{_FORMATS}
const at = new Date(value);
const local = {{month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
  timeZone: globalThis.swarmscope_times?.zone}};
const is_utc = (local.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone) === "UTC";
return in_words(at, undefined, local) + (is_utc ? " UTC" : " (" + at.toISOString().slice(11, 19) + " UTC)");
"""
"""JavaScript for tooltips: the time `value` (Unix ms) in the zone of the page, and in UTC."""


class Plots:
    """Makes the plots of one view, which share models. A model belongs to one document, so two pages cannot share any."""

    def __init__(self) -> None:
        self._scale = LinearScale()
        self._everything = AllIndices()
        self._seen: dict[str, CDSView] = {}
        self._labels = AllLabels()
        self._dates: tuple[CustomJSTicker, CustomJSTickFormatter, NoOverlap] | None = None

    def plot(self, x_range: Range, y_range: Range, **looks: Any) -> Plot:  # noqa: ANN401 - whatever Plot takes
        """A plot without tools, axes and grids."""
        x_scale = CategoricalScale() if isinstance(x_range, FactorRange) else self._scale
        return Plot(
            x_range=x_range,
            y_range=y_range,
            x_scale=x_scale,
            y_scale=self._scale,
            toolbar_location=None,
            outline_line_color=None,
            **looks,
        )

    def draw(self, onto: Plot, source: ColumnDataSource, glyph: Glyph, **options: Any) -> "GlyphRenderer[Any]":  # noqa: ANN401
        """`glyph` for each row of `source`."""
        view = self._seen.setdefault(source.id, CDSView(filter=self._everything))
        return onto.add_glyph(source, glyph, view=view, **options)

    def add_axis(self, to: Plot, axis: Axis, side: Literal["below", "left"], **looks: Any) -> Axis:  # noqa: ANN401 - whatever an axis has
        """Add `axis` at `side`. The left axis has grid lines."""
        axis.update(**({"major_label_policy": self._labels, "minor_tick_line_color": None} | looks))
        to.add_layout(axis, side)
        if side == "left":
            to.add_layout(Grid(axis=axis, dimension=1))
        return axis

    def add_time_axis(self, to: Plot) -> Axis:
        """Add a time axis below, in the page's time zone."""
        self._dates = self._dates or (
            CustomJSTicker(major_code=TIME_TICKS),
            CustomJSTickFormatter(code=LOCAL_TICK),
            NoOverlap(min_distance=12),
        )
        ticker, formatter, apart = self._dates
        return self.add_axis(to, LinearAxis(), "below", ticker=ticker, formatter=formatter, major_label_policy=apart)


def unit_axis() -> LinearAxis:
    """An axis for `show_unit`."""
    axis = LinearAxis()
    axis.update(formatter=CustomJSTickFormatter(args={"factor": 1.0}, code=UNIT_TICK))
    return axis


def show_unit(axis: Axis, measure: Measure, largest: float) -> None:
    """Let the ticks of `axis`, a `unit_axis`, have the unit in which people read `measure` up to `largest`."""
    factor = shown_in(measure, largest)[0]
    # Another formatter would make Bokeh search all models of the document.
    formatter: Any = axis.formatter
    if formatter.args != {"factor": factor}:
        formatter.args = {"factor": factor}
