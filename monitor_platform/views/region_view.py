"""Map and district view: regions coloured by one measure. The glyphs are drawn once; `show` replaces their numbers.

A region without peers stays as an outline, and one with fewer than `THIN` peers is hatched: its mean is not reliable. Where the
regions are cells of a grid, only cells with an audience are drawn, and the window follows them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, LinearColorMapper, MultiPolygons, Plot, Quad, TapTool
from bokeh.models.renderers import GlyphRenderer

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.geo.divisions import Division
from feedback_analysis.geo.maps import Region, countries
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import LOWER_IS_BETTER, Measure
from monitor_platform.views.number_format import difference, format_change, format_count, format_value
from monitor_platform.views.palette import ACCENT, GROUND, NO_DATA, Scale, scale_for, scale_of_differences
from monitor_platform.views.plots import Plots
from monitor_platform.views.shapes import shapes_of
from monitor_platform.views.window import LEAST_FOR_COUNTRIES, WORLD, Window, around_all, around_audience

THIN = 25
"""A mean needs at least this many peers (the minimum that Conviva shows)."""

HONG_KONG = Atlas()

# Bokeh escapes @{…}; nothing else in this text comes from outside.
_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
<b>@{name}</b> @{name_zh}<br>@{title}: <b>@{text}</b><br>@{peers_text}</div>"""


class RegionView:
    """A map of `division`. `source.selected` has the regions that the user tapped."""

    def __init__(self, division: Division) -> None:
        self._division = division
        self._regions = regions = division.drawn(())
        self._mapper = LinearColorMapper(palette=["#888888"], low=0, high=1, nan_color=NO_DATA)
        self.source = ColumnDataSource(_empty(regions))
        self._window = ColumnDataSource({"left": [], "bottom": [], "right": [], "top": []})
        plots = Plots()
        self.figure = _bare_plot(plots)
        self._land = _draw_land(plots, self.figure, division.land) if division.land else None
        self._draw_regions(plots)
        self._look_at(window_on(division, regions, ()))

    def show(
        self, measure: Measure, values: Sequence[RegionValue], chosen: str = "", *, against: Sequence[RegionValue] | None = None
    ) -> None:
        """Colour the regions by `values`. Values of other regions (the buckets) are shown next to the map.

        `against`: values to compare with; the colours are then those of the differences.
        """
        self._draw_anew(self._division.drawn([value.region for value in values]))
        self._look_at(window_on(self._division, self._regions, values))
        scale = scale_on(measure, values, self._regions, against=against)
        self._mapper.update(palette=list(scale.colours), low=scale.low, high=scale.high)
        of = {value.region: value for value in values}
        # A patch, because the outlines are most of the source and never change.
        everywhere = slice(0, len(self._regions))
        self.source.patch({name: [(everywhere, column)] for name, column in _columns(self._regions, measure, of, against).items()})
        ids = [region.id for region in self._regions]
        self.source.selected.indices = [ids.index(chosen)] if chosen in ids else []

    def region_at(self, index: int) -> str:
        """The ID of the region at `index`; empty for an index without a region, which only a manipulated message has."""
        return self._regions[index].id if 0 <= index < len(self._regions) else ""

    def _draw_anew(self, regions: Sequence[Region]) -> None:
        """Replace the regions if they differ, because replacing them sends all outlines again."""
        if [region.id for region in regions] != [region.id for region in self._regions]:
            self._regions = regions
            self.source.selected.indices = []
            self.source.data = _empty(regions)

    def _look_at(self, window: Window) -> None:
        """The ranges follow an invisible rectangle, because only they know the figure's size in the browser."""
        edges = {"left": [window.west], "bottom": [window.south], "right": [window.east], "top": [window.north]}
        if dict(self._window.data) != edges:
            self.figure.aspect_scale = 1 / window.stretch
            if self._land is not None and self._division.land is countries():
                self._land.visible = window.north - window.south >= LEAST_FOR_COUNTRIES
            self._window.data = edges

    def _draw_regions(self, plots: Plots) -> None:
        framed = plots.draw(self.figure, self._window, Quad(fill_alpha=0, line_alpha=0))
        for one_range in (self.figure.x_range, self.figure.y_range):
            one_range.update(renderers=[framed])
        plain = self._polygons(fill=0.88, line=0.8, hatch=0.4)
        chosen = self._polygons(fill=0.88, line=1, hatch=0.4, line_color=ACCENT, line_width=3.5)
        others = self._polygons(fill=0.45, line=0.5, hatch=0.3)
        drawn = plots.draw(self.figure, self.source, plain, selection_glyph=chosen, nonselection_glyph=others)
        self.figure.add_tools(HoverTool(renderers=[drawn], tooltips=_TIP), TapTool(renderers=[drawn]))

    def _polygons(
        self, *, fill: float, line: float, hatch: float, line_color: str = GROUND, line_width: float = 1
    ) -> MultiPolygons:
        """The regions' glyph with these opacities."""
        return MultiPolygons(
            fill_color={"field": "value", "transform": self._mapper},
            fill_alpha=fill,
            line_color=line_color,
            line_alpha=line,
            line_width=line_width,
            hatch_pattern="hatch",
            hatch_color="#ffffff",
            hatch_alpha=hatch,
            hatch_scale=9,
            hatch_weight=1.5,
        )


def scale_on(
    measure: Measure, values: Sequence[RegionValue], regions: Sequence[Region], *, against: Sequence[RegionValue] | None = None
) -> Scale:
    """The colour scale for the `values` on a map of `regions`. The legend uses the same scale."""
    on_map = {region.id for region in regions}
    here = [value for value in values if value.region in on_map]
    if against is not None:
        return scale_of_differences(differences(here, against).values(), reverse=measure.name in LOWER_IS_BETTER)
    return scale_for((value.value for value in here), is_mos=measure.name == "mos")


def differences(values: Sequence[RegionValue], against: Sequence[RegionValue]) -> dict[str, float | None]:
    """Each region's value minus that of the other side; None where a side has no value."""
    there = {value.region: value.value for value in against}
    return {each.region: difference(each.value, there.get(each.region)) for each in values}


def map_view(atlas: Atlas = HONG_KONG) -> RegionView:
    """The areas of about equal size, over the land."""
    return RegionView(atlas.areas)


def district_view(atlas: Atlas = HONG_KONG) -> RegionView:
    """The districts, or countries."""
    return RegionView(atlas.districts)


def window_on(division: Division, regions: Sequence[Region], values: Sequence[RegionValue]) -> Window:
    """The shown part: the whole map, or the part with the audience on a map of the world."""
    if division.follows:
        return around_audience(regions, values)
    return around_all([*regions, *division.land]) if regions else WORLD


def _bare_plot(plots: Plots) -> Plot:
    x_range, y_range = DataRange1d(range_padding=0.02), DataRange1d(range_padding=0.02)
    return plots.plot(x_range, y_range, sizing_mode="stretch_both", match_aspect=True, min_border=0, lod_threshold=None)


def _draw_land(plots: Plots, onto: Plot, land: Sequence[Region]) -> "GlyphRenderer[Any]":
    shapes = shapes_of(land)
    ground = MultiPolygons(fill_color=GROUND, fill_alpha=0.22, line_color=GROUND, line_alpha=0.6, line_width=0.7)
    return plots.draw(onto, ColumnDataSource({"xs": shapes.xs, "ys": shapes.ys}), ground)


def _empty(regions: Sequence[Region]) -> dict[str, list[Any]]:
    shapes = shapes_of(regions)
    return {
        "xs": shapes.xs,
        "ys": shapes.ys,
        "name": [region.name for region in regions],
        "name_zh": [region.name_zh for region in regions],
        "value": [float("nan")] * len(regions),
        # Separate lists, because a patch writes into them.
        **{name: [""] * len(regions) for name in ("title", "text", "peers_text")},
        "hatch": [" "] * len(regions),
    }


def _columns(
    regions: Sequence[Region], measure: Measure, of: Mapping[str, RegionValue], against: Sequence[RegionValue] | None
) -> dict[str, list[Any]]:
    values = [of.get(region.id) for region in regions]
    numbers = [None if value is None else value.value for value in values]
    peers = [0.0 if value is None else value.peers for value in values]
    texts = [format_value(measure, number) for number in numbers]
    if against is not None:
        apart = differences(list(of.values()), against)
        numbers = [apart.get(region.id) for region in regions]
        texts = [f"{text} ({format_change(measure, number)})" for text, number in zip(texts, numbers, strict=True)]
    return {
        "value": [float("nan") if number is None else number for number in numbers],
        "title": [measure.title] * len(regions),
        "text": texts,
        "peers_text": [f"{format_count(n, 'peer')} heard" for n in peers],
        "hatch": ["right_diagonal_line" if 0 < n < THIN else " " for n in peers],
    }
