"""What the maps of a page show, and their legends."""

from collections.abc import Sequence
from typing import Any

from feedback_analysis.geo.divisions import Division
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import LOWER_IS_BETTER, Measure, measure_of, shown_in
from monitor_platform.dashboard.address_query import FIXED
from monitor_platform.dashboard.page_data import PageData
from monitor_platform.dashboard.tiles import NEUTRAL
from monitor_platform.views.number_format import largest_of, title_of
from monitor_platform.views.palette import fixed_scale, legend_of
from monitor_platform.views.region_shading import THIN, Shading, scale_of


def shadings(data: PageData) -> dict[str, tuple[Shading, Division]]:
    """The shading of each map of the page, by the name of its view, and its division."""
    there = data.regions_there
    sides = {
        "map": (data.areas, there.areas if there else None, data.atlas.areas),
        "district": (data.districts, there.districts if there else None, data.atlas.districts),
    }
    return {view: (_shading(data, here, other), division) for view, (here, other, division) in sides.items() if here is not None}


def _shading(data: PageData, here: Sequence[RegionValue], there: Sequence[RegionValue] | None) -> Shading:
    query = data.query
    return Shading(
        measure=measure_of(query.measure, "region"),
        values=here,
        there=there,
        against=data.regions_there.side.name if data.regions_there else "",
        by_change=query.colours_change and there is not None,
        fixed=query.scale == FIXED,
    )


def legends(data: PageData) -> dict[str, dict[str, Any]]:
    """The legend of each map: title with unit, colours, marks, the words at the ends, patterns, and the switches."""
    return {view: _legend(*each) for view, each in shadings(data).items()}


def _legend(shading: Shading, division: Division) -> dict[str, Any]:
    measure = shading.measure
    regions = division.drawn([each.region for each in shading.values])
    scale = scale_of(shading, regions)
    largest = largest_of((scale.low, scale.high))
    legend = legend_of(scale, shown_in(measure, largest)[0])
    title = title_of(measure, largest)
    return {
        "title": f"Change of {title} since {shading.against}" if shading.by_change else title,
        "colours": legend.colours,
        "stepped": legend.stepped,
        "marks": legend.marks,
        "ends": _ends(measure),
        "patterns": _patterns(shading),
        "change": shading.by_change,
        "fixed": fixed_scale(measure) is not None and not shading.by_change,
    }


def _ends(measure: Measure) -> tuple[str, str]:
    """The words at the low and at the high end; empty if neither is better."""
    if measure.name in NEUTRAL or (measure.range is None and measure.name not in LOWER_IS_BETTER):
        return ("", "")
    return ("better", "worse") if measure.name in LOWER_IS_BETTER else ("worse", "better")


def _patterns(shading: Shading) -> list[tuple[str, str]]:
    """Everything on a map that is not a colour of the scale."""
    thin = ("thin", f"under {THIN} peers: uncertain")
    chosen = ("chosen", "chosen")
    if not shading.by_change:
        return [thin, ("empty", "no reports"), chosen]
    return [thin, ("same", "within the noise"), ("empty", "no reports on one side"), chosen]
