"""Texts of the figures: notes next to headings, legends of the colours, and the peers that a map cannot show."""

from collections.abc import Sequence

from feedback_analysis.geo.divisions import Division
from feedback_analysis.geo.location import OUTSIDE, UNLOCATED
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import measure_of
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.dashboard.page_data import LEAST_RECORDED, PageData, banded, distributed, series_of
from monitor_platform.dashboard.percentile_band import MOST_MESSAGES
from monitor_platform.dashboard.tables import slice_measure
from monitor_platform.views.number_format import format_count, format_value
from monitor_platform.views.region_view import window_on


def notes(data: PageData) -> dict[str, str]:
    """The line of text below the heading of each view, by the name of the view."""
    measure = measure_of(data.query.measure, "region").title
    notes = {
        "map": f"{measure} by area",
        "district": f"{measure} by {data.atlas.districts.kind}; choose one for its distribution",
        "timeline": f"each point: the {data.window_s:,.0f} s before it{_band_note(data)}",
        "slices": f"{slice_measure(data).title}: peers × how much worse than the rest",
    }
    if data.regions_there is not None and data.query.colours_change:
        there = data.regions_there
        change_note = f"; change since {there.side.name}"
        if not any(values for values in (there.areas, there.districts)):
            change_note += f" ({missing(data)})"
        notes |= {view: notes[view].partition(";")[0] + change_note for view in ("map", "district")}
    if data.comparison is not None:
        notes["timeline"] += f"; dashed: {data.comparison.other.name}" + _comparison_note(data)
    if data.histogram is not None:
        place = data.query.district or data.query.area
        where = f" in {place_name(place)}" if place else ""
        peers = format_count(data.histogram.peers, "peer")
        notes["histogram"] = f"{distributed(data.query.measure).title}{where}, n = {peers}"
        if data.breakdown:
            notes["histogram"] += f"; lines: by {dimension_name(data.query.by)}"
        if data.comparison is not None and data.comparison.histogram is not None:
            n = format_count(data.comparison.histogram.peers, "peer")
            notes["histogram"] += f"; dashed: {data.comparison.other.name}, n = {n}"
    return notes


def missing(data: PageData) -> str:
    """What the other time of a comparison lacks."""
    return "too few records" if 0 < data.recorded_there.share < LEAST_RECORDED else "no records"


def _comparison_note(data: PageData) -> str:
    there = data.comparison.timeline if data.comparison is not None else None
    known = there is not None and any(value is not None for value in there.values[series_of(data.query)[0]])
    return "" if known else " (no records)"


def _band_note(data: PageData) -> str:
    measure = banded(data.query)
    if measure is None:
        return ""
    if data.band is None:
        return f"; no band above {MOST_MESSAGES:,} messages"
    return f"; band: p10 to p90 of {measure_of(measure, 'timeline').title}"


def asides(data: PageData) -> dict[str, str]:
    """The line below each map: the peers outside its regions, and the regions that it does not draw."""
    asides = {}
    atlas = data.atlas
    for view, values, division in (("map", data.areas, atlas.areas), ("district", data.districts, atlas.districts)):
        if values is not None:
            asides[view] = " · ".join([_off_the_map(data, values), *_unseen(division, values)])
    return asides


def _off_the_map(data: PageData, values: Sequence[RegionValue]) -> str:
    """The peers outside every region of the map, by category."""
    measure = measure_of(data.query.measure, "region")
    found = {
        value.region: f"{format_count(value.peers, 'peer')} ({measure.title} {format_value(measure, value.value)})"
        for value in values
    }
    return " · ".join(f"{bucket.capitalize()}: {found.get(bucket, 'none')}" for bucket in (UNLOCATED, OUTSIDE))


def _unseen(division: Division, values: Sequence[RegionValue]) -> list[str]:
    """The peers in regions that the map does not show: too many areas, no outline, or far from all other peers."""
    placed = {value.region: value.peers for value in values if value.region not in (UNLOCATED, OUTSIDE)}
    drawn = division.drawn(list(placed))
    window = window_on(division, drawn, values)
    beyond = sum(placed.get(region.id, 0.0) for region in drawn if not window.holds(region))
    left = [placed[region] for region in placed.keys() - {region.id for region in drawn}]
    undrawn = f"In {format_count(len(left), 'place')} that the map does not draw: {format_count(sum(left), 'peer')}"
    return [undrawn] * bool(left) + [f"Beyond the edge of the map: {format_count(beyond, 'peer')}"] * bool(beyond)
