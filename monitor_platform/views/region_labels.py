"""The names on a map. The browser shows those that fit: within their region's width, and without touching another name.

The largest regions come first. A map over land (areas over districts) has the names of the land, until the areas are wide enough
for their own names.
"""

from collections.abc import Sequence
from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, CustomJS, Plot, Text

from feedback_analysis.geo.maps import Region
from feedback_analysis.geo.outlines import Ring, box_of, size
from monitor_platform.views.plots import Plots

LONGEST_LINE = 11
"""A longer name has two lines."""

# Colours are those of the page. Without its stylesheet, as in a file, they are dark on white.
PLACE_LABELS = """
if (figure.properties.inner_width.is_unset || figure.properties.inner_height.is_unset) return;
const [wide, high] = [figure.inner_width, figure.inner_height];
const [left, bottom] = [figure.x_range.start, figure.y_range.start];
const [across, up] = [figure.x_range.end - left, figure.y_range.end - bottom];
if (!(wide > 0 && high > 0 && across > 0 && up > 0)) return;
const style = getComputedStyle(document.documentElement);
const [ink, ground] = [style.getPropertyValue("--ink").trim() || "#17202b", style.getPropertyValue("--card").trim() || "#ffffff"];
if (name.text_color.value !== ink) {
    name.setv({text_color: {value: ink}}, {sync: false});
    halo.setv({text_color: {value: ground}, text_outline_color: {value: ground}}, {sync: false});
}
const column = (title) => labels.data.get?.(title) ?? labels.data[title];
const [x, y, texts, reach, tier, shown] = ["x", "y", "name", "reach", "tier", "shown"].map(column);
const pen = globalThis.swarmscope_pen ??= document.createElement("canvas").getContext("2d");
pen.font = "12px system-ui, sans-serif";
const own = Array.from(reach).filter((_, i) => tier[i] === 1).sort((one, other) => one - other);
const roomy = own.length > 0 && own[own.length >> 1] / across * wide >= 88;
const wanted = tier.includes(0) && !roomy ? 0 : 1;
const taken = [];
let changed = false;
Array.from(texts).forEach((text, i) => {
    const lines = text.split("\\n");
    const half = [Math.max(...lines.map((line) => pen.measureText(line).width)) / 2 + 3, lines.length * 7.5 + 2];
    const at = [(x[i] - left) / across * wide, high - (y[i] - bottom) / up * high];
    const box = [at[0] - half[0], at[1] - half[1], at[0] + half[0], at[1] + half[1]];
    const fits = tier[i] === wanted && 2 * half[0] <= reach[i] / across * wide * 1.2 + 8
        && box[0] >= 0 && box[1] >= 0 && box[2] <= wide && box[3] <= high
        && !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
    if (fits) taken.push(box);
    changed ||= shown[i] !== (fits ? text : "");
    shown[i] = fits ? text : "";
});
if (changed) labels.change.emit();
"""


_GROUND = "#ffffff"


class RegionLabels:
    """The names of the regions of one map, and of the land below them."""

    def __init__(self, plots: Plots, figure: Plot, regions: Sequence[Region], land: Sequence[Region]) -> None:
        self._land = land
        self.source = ColumnDataSource(_columns(regions, land))
        halo, name = _text(), _text()
        halo.update(text_color=_GROUND, text_outline_color=_GROUND, text_outline_width=3)
        for glyph in (halo, name):
            plots.draw(figure, self.source, glyph, level="overlay")
        place = CustomJS(args={"figure": figure, "labels": self.source, "halo": halo, "name": name}, code=PLACE_LABELS)
        for one_range in (figure.x_range, figure.y_range):
            one_range.js_on_change("start", place)
            one_range.js_on_change("end", place)
        figure.js_on_change("inner_width", place)
        figure.js_on_change("inner_height", place)
        self.source.js_on_change("data", place)

    def show(self, regions: Sequence[Region]) -> None:
        """Replace the names."""
        self.source.data = _columns(regions, self._land)


def _text() -> Text:
    return Text(
        x="x",
        y="y",
        text="shown",
        text_align="center",
        text_baseline="middle",
        text_font=value("system-ui, sans-serif"),
        text_font_size="12px",
        text_line_height=1.1,
    )


def _columns(regions: Sequence[Region], land: Sequence[Region]) -> dict[str, list[Any]]:
    named = [(region, tier) for tier, some in enumerate((land, regions)) for region in some]
    ranked = sorted(named, key=lambda each: -size(_main_ring(each[0])))
    boxes = [box_of(_main_ring(region)) for region, _ in ranked]
    return {
        "x": [region.centre[0] for region, _ in ranked],
        "y": [region.centre[1] for region, _ in ranked],
        "name": [_in_lines(region.name) for region, _ in ranked],
        "reach": [east - west for west, _, east, _ in boxes],
        "tier": [tier for _, tier in ranked],
        "shown": [""] * len(ranked),
    }


def _main_ring(region: Region) -> Ring:
    return max((polygon[0] for polygon in region.polygons), key=size)


def _in_lines(name: str) -> str:
    """A long name in two lines, divided at the space next to its middle."""
    spaces = [at for at, letter in enumerate(name) if letter == " "]
    if len(name) <= LONGEST_LINE or not spaces:
        return name
    at = min(spaces, key=lambda each: abs(each - len(name) / 2))
    return f"{name[:at]}\n{name[at + 1 :]}"
