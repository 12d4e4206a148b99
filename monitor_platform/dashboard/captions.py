"""The words at the figures: notes beside headings, keys to colours, and whom a map cannot show."""

from collections.abc import Sequence
from typing import Any

from feedback_analysis.geo.divisions import Division
from feedback_analysis.geo.places import OUTSIDE, UNLOCATED
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import measure_of
from monitor_platform.dashboard.band import MOST_MESSAGES
from monitor_platform.dashboard.names import place_name
from monitor_platform.dashboard.picture import Picture, banded, distributed, series_of
from monitor_platform.dashboard.tables import slice_measure
from monitor_platform.views.palette import key_to
from monitor_platform.views.regions import scale_on, window_on
from monitor_platform.views.wording import count, say


def notes(picture: Picture) -> dict[str, str]:
    measure = measure_of(picture.question.measure, "region").title
    notes = {
        "map": f"{measure} by area",
        "district": f"{measure} by {picture.atlas.districts.kind}; choose one for its distribution",
        "timeline": f"each point: the {picture.window_s:,.0f} s before it{_said_of_band(picture)}",
        "slices": f"{slice_measure(picture).title}: peers × how much worse than the rest",
    }
    if picture.beside is not None:
        said = f"; difference from {picture.beside.other.name}"
        notes |= {view: notes[view].partition(";")[0] + said for view in ("map", "district")}
        notes["timeline"] += f"; dashed: {picture.beside.other.name}" + _said_of_ghost(picture)
    if picture.histogram is not None:
        place = picture.question.district or picture.question.area
        where = f" in {place_name(place)}" if place else ""
        peers = count(picture.histogram.peers, "peer")
        notes["histogram"] = f"{distributed(picture.question.measure).title}{where}, n = {peers}"
        if picture.beside is not None and picture.beside.histogram is not None:
            n = count(picture.beside.histogram.peers, "peer")
            notes["histogram"] += f"; dashed: {picture.beside.other.name}, n = {n}"
    return notes


def _said_of_ghost(picture: Picture) -> str:
    there = picture.beside.timeline if picture.beside is not None else None
    known = there is not None and any(value is not None for value in there.values[series_of(picture.question)[0]])
    return "" if known else " (nothing is recorded of it)"


def _said_of_band(picture: Picture) -> str:
    measure = banded(picture.question)
    if measure is None:
        return ""
    if picture.band is None:
        return f"; no band above {MOST_MESSAGES:,} messages"
    return f"; band: p10 to p90 of {measure_of(measure, 'timeline').title}"


def asides(picture: Picture) -> dict[str, str]:
    asides = {}
    atlas = picture.atlas
    for view, values, division in (("map", picture.areas, atlas.areas), ("district", picture.districts, atlas.districts)):
        if values is not None:
            asides[view] = " · ".join([_off_the_map(picture, values), *_unseen(division, values)])
    return asides


def keys(picture: Picture) -> dict[str, dict[str, Any]]:
    """The keys to the colours of the maps."""
    measure = measure_of(picture.question.measure, "region")
    beside = picture.beside
    shown = {
        "map": (picture.areas, picture.atlas.areas, beside.areas if beside else None),
        "district": (picture.districts, picture.atlas.districts, beside.districts if beside else None),
    }
    keys = {
        view: key_to(scale_on(measure, values, division.drawn([each.region for each in values]), against=against))
        for view, (values, division, against) in shown.items()
        if values is not None
    }
    return {view: {"colours": key.colours, "stepped": key.stepped, "marks": key.marks} for view, key in keys.items()}


def _off_the_map(picture: Picture, values: Sequence[RegionValue]) -> str:
    """The peers that no region of the map can show, by bucket."""
    measure = measure_of(picture.question.measure, "region")
    found = {value.region: f"{count(value.peers, 'peer')} ({measure.title} {say(measure, value.value)})" for value in values}
    return " · ".join(f"{bucket.capitalize()}: {found.get(bucket, 'nobody')}" for bucket in (UNLOCATED, OUTSIDE))


def _unseen(division: Division, values: Sequence[RegionValue]) -> list[str]:
    """The peers who have a place, but none in the picture: too many areas, no outline, or far from all others."""
    placed = {value.region: value.peers for value in values if value.region not in (UNLOCATED, OUTSIDE)}
    drawn = division.drawn(list(placed))
    window = window_on(division, drawn, values)
    beyond = sum(placed.get(region.id, 0.0) for region in drawn if not window.holds(region))
    left = [placed[region] for region in placed.keys() - {region.id for region in drawn}]
    undrawn = f"In {count(len(left), 'place')} that the map does not draw: {count(sum(left), 'peer')}"
    return [undrawn] * bool(left) + [f"Beyond the edge of the map: {count(beyond, 'peer')}"] * bool(beyond)
