"""Map and district view: regions coloured by one measure or its change. The glyphs are drawn once; `show` replaces their numbers.

A region without a value stays as an outline (see region_shading.py). Where the regions are cells of a grid, only cells with an
audience are drawn, and the window follows them. In a page, `assets/maps.js` zooms and moves the map, and shows the values of the
region under the pointer beside the map, so that no tooltip covers its neighbours.
"""

from collections.abc import Sequence
from typing import Any

from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, MultiPolygons, Plot, Quad, TapTool
from bokeh.models.renderers import GlyphRenderer

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.geo.divisions import Division
from feedback_analysis.geo.maps import Region, countries
from feedback_analysis.measures.regions import RegionValue
from monitor_platform.views.palette import ACCENT, GROUND, NO_DATA
from monitor_platform.views.plots import Plots
from monitor_platform.views.region_labels import RegionLabels
from monitor_platform.views.region_shading import PLAIN, Shading, columns_of
from monitor_platform.views.shapes import shapes_of
from monitor_platform.views.window import LEAST_FOR_COUNTRIES, WORLD, Window, around_all, around_audience

HONG_KONG = Atlas()

# Bokeh escapes @{…}; nothing else in this text comes from outside.
_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
<b>@{name}</b> @{name_zh}<br>@{title}: <b>@{text}</b><br>@{peers_text}<br>@{more}</div>"""


class RegionView:
    """A map of `division`. `source.selected` has the tapped regions. `tips`: with tooltips, for files without scripts."""

    def __init__(self, division: Division, *, tips: bool = False) -> None:
        self._division = division
        self._regions = regions = division.drawn(())
        self.source = ColumnDataSource(_empty(regions))
        self._window = ColumnDataSource({"left": [], "bottom": [], "right": [], "top": []})
        plots = Plots()
        self.figure = _bare_plot(plots)
        self._land = _draw_land(plots, self.figure, division.land) if division.land else None
        self.labels = RegionLabels(plots, self.figure, self._named(), division.land)
        self._draw_regions(plots, tips=tips)
        self._look_at(window_on(division, regions, ()))

    def show(self, shading: Shading, chosen: str = "") -> None:
        """Colour the regions. Values of other regions (the buckets) are shown next to the map."""
        self._redraw(self._division.drawn([value.region for value in shading.values]))
        self._look_at(window_on(self._division, self._regions, shading.values))
        # A patch, because the outlines are most of the source and never change.
        everywhere = slice(0, len(self._regions))
        self.source.patch({name: [(everywhere, column)] for name, column in columns_of(shading, self._regions).items()})
        ids = [region.id for region in self._regions]
        self.source.selected.indices = [ids.index(chosen)] if chosen in ids else []

    def region_at(self, index: int) -> str:
        """The ID of the region at `index`; empty for an index without a region, which only a manipulated message has."""
        return self._regions[index].id if 0 <= index < len(self._regions) else ""

    def _named(self) -> Sequence[Region]:
        """The regions with a label: cells of a grid have no names."""
        return self._regions if self._division.parts else ()

    def _redraw(self, regions: Sequence[Region]) -> None:
        """Replace the regions if they differ, because replacing them sends all outlines again."""
        if [region.id for region in regions] != [region.id for region in self._regions]:
            self._regions = regions
            self.source.selected.indices = []
            self.source.data = _empty(regions)
            self.labels.show(self._named())

    def _look_at(self, window: Window) -> None:
        """The ranges follow an invisible rectangle, because only they know the figure's size in the browser."""
        edges = {"left": [window.west], "bottom": [window.south], "right": [window.east], "top": [window.north]}
        if dict(self._window.data) != edges:
            self.figure.aspect_scale = 1 / window.stretch
            if self._land is not None and self._division.land is countries():
                self._land.visible = window.north - window.south >= LEAST_FOR_COUNTRIES
            self._window.data = edges

    def _draw_regions(self, plots: Plots, *, tips: bool) -> None:
        framed = plots.draw(self.figure, self._window, Quad(fill_alpha=0, line_alpha=0))
        for one_range in (self.figure.x_range, self.figure.y_range):
            one_range.update(renderers=[framed])
        plain = _polygons(fill=0.92, line=0.9, hatch=0.35)
        chosen = _polygons(fill=0.92, line=1, hatch=0.35, line_color=ACCENT, line_width=4)
        others = _polygons(fill=0.5, line=0.6, hatch=0.25)
        drawn = plots.draw(self.figure, self.source, plain, selection_glyph=chosen, nonselection_glyph=others)
        self.figure.add_tools(HoverTool(renderers=[drawn], tooltips=_TIP if tips else None), TapTool(renderers=[drawn]))


def _polygons(*, fill: float, line: float, hatch: float, line_color: str = "border", line_width: float = 1.2) -> MultiPolygons:
    """The regions' glyph with these opacities."""
    return MultiPolygons(
        fill_color="fill",
        fill_alpha=fill,
        line_color=line_color,
        line_alpha=line,
        line_width=line_width,
        line_join="round",
        hatch_pattern="hatch",
        hatch_color="#ffffff",
        hatch_alpha=hatch,
        hatch_scale=9,
        hatch_weight=1.5,
    )


def map_view(atlas: Atlas = HONG_KONG, *, tips: bool = False) -> RegionView:
    """The areas of about equal size, over the land."""
    return RegionView(atlas.areas, tips=tips)


def district_view(atlas: Atlas = HONG_KONG, *, tips: bool = False) -> RegionView:
    """The districts, or countries."""
    return RegionView(atlas.districts, tips=tips)


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
    shapes, count = shapes_of(regions), len(regions)
    return {
        "xs": shapes.xs,
        "ys": shapes.ys,
        "name": [region.name for region in regions],
        "name_zh": [region.name_zh for region in regions],
        "value": [float("nan")] * count,
        "fill": [NO_DATA] * count,
        "border": [GROUND] * count,
        # Separate lists, because a patch writes into them.
        **{name: [""] * count for name in ("title", "text", "peers_text", "more")},
        "hatch": [PLAIN] * count,
    }
