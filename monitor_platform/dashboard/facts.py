"""The picture in words: what the page says beside the figures, ready for JSON; whatever end hosts have sent stays plain text."""

from collections.abc import Sequence
from typing import Any

from monitor_platform.dashboard.band import MOST_MESSAGES
from monitor_platform.dashboard.curves import legend
from monitor_platform.dashboard.health import drops
from monitor_platform.dashboard.marks import in_words
from monitor_platform.dashboard.names import dimension_name, place_name, value_name
from monitor_platform.dashboard.picture import AUDIENCE, Picture, Scene, banded, distributed, series_of
from monitor_platform.dashboard.question import COLOURING, COMPARE, MINUTES, MOST_SERIES, SERIES, VERSUS, Question
from monitor_platform.dashboard.tables import BY_VIEW, slice_measure
from monitor_platform.dashboard.tiles import tiles
from monitor_platform.geo.divisions import Division
from monitor_platform.geo.places import OUTSIDE, UNLOCATED
from monitor_platform.measures.regions import RegionValue
from monitor_platform.measures.registry import MEASURES, measure_of
from monitor_platform.measures.selection import DIMENSIONS
from monitor_platform.views.palette import key_to
from monitor_platform.views.regions import scale_on, window_on
from monitor_platform.views.wording import count, say

LONGEST_LIST = 500
"""More channels than this do not help anybody in a list; an address with `channel=` still reaches each of them."""

MOST_EXTRAS = 20
"""Numbers in `extra` that are offered; whoever sends messages can invent as many as he likes. An address reaches the others."""

MOST_SLICES = 8
"""More rows than this are no shortlist; the table has all of them."""

FIRST_MESSAGE = (
    "curl http://127.0.0.1:8080/v1/feedback -H 'Authorization: Bearer INGEST-KEY' -H 'Content-Type: application/json' \\\n"
    """  -d '{"v":1,"peer_id":"me","session_id":"first","seq":0,"event":"join","sent_ms":'$(date +%s000)'}'"""
)

Fact = dict[str, Any]


def facts(picture: Picture, scene: Scene) -> Fact:
    """Tiles, notes and state of a picture."""
    question, summary = picture.question, picture.summary
    return {
        "query": question.query(),
        "measure": question.measure,
        "series": list(series_of(question)),
        "minutes": question.minutes,
        "span": {"from": picture.span.from_ms, "to": picture.span.to_ms},
        "extent": {"from": scene.extent.from_ms, "to": scene.extent.to_ms},
        "state": OK if summary["messages"] else _nothing_matches(question),
        "tiles": tiles(picture),
        "notes": _notes(picture),
        "asides": _asides(picture),
        "drops": drops(picture),
        "chips": _chips(question),
        "keys": _keys(picture),
        "slices": _slices(picture),
        "legend": legend(picture),
        "marks": in_words(picture.alerts),
        "compare": question.compare,
        "by": question.by,
        "tables": {view: BY_VIEW[view](picture).said() for view in question.tables},
    }


def choices(picture: Picture) -> Fact:
    """What the controls offer."""
    return {
        "measures": [[name, MEASURES[name].title] for name in COLOURING] + _extras(picture),
        "series": [[name, MEASURES[name].title] for name in SERIES if name != AUDIENCE] + _extras(picture),
        "most_series": MOST_SERIES,
        "channels": [[name, name] for name in picture.channels[:LONGEST_LIST]],
        "isps": [[name, name] for name in picture.isps[:LONGEST_LIST]],
        "places": _places(picture),
        "compare": [["", "Nothing"], *([name, title.capitalize()] for name, title in COMPARE.items())],
        "by": [["", "Nothing"], *([name, dimension_name(name)] for name in DIMENSIONS)],
        "by_extra": [[name, dimension_name(name)] for name in picture.fields[:MOST_EXTRAS]],
        "minutes": [[str(minutes), f"Last {minutes} min"] for minutes in MINUTES],
    }


def _extras(picture: Picture) -> list[list[str]]:
    """Numbers that apps say beyond the named fields; a name with a comma cannot stand in an address's list of series."""
    return [[name, measure_of(name, "region").title] for name in picture.extras[:MOST_EXTRAS] if "," not in name]


OK = {"kind": "ok"}


def apart(question: Question) -> Fact:
    """The facts of a page that stands alone: neither filters nor records change what it shows."""
    return nothing_yet(question, live=False) | {"state": OK}


def nothing_yet(question: Question, *, live: bool) -> Fact:
    """The facts before the first record has come."""
    text = (
        "The monitoring platform is ready and asks the feedback servers, which have no feedback yet. Send a first message "
        "through a coordinator, and this page comes to life:"
        if live
        else "There is not a single record in the files that were given to --static."
    )
    state = {
        "kind": "nothing",
        "title": "No feedback yet",
        "text": text,
        "command": FIRST_MESSAGE if live else "",
        "way_out": False,
    }
    return {"query": question.query(), "measure": question.measure, "series": [], "minutes": question.minutes} | {
        "span": None,
        "extent": None,
        "state": state,
        "tiles": [],
        "notes": {},
        "asides": {},
        "drops": "",
        "chips": _chips(question),
        "keys": {},
        "slices": [],
        "legend": [],
        "marks": {"told": [], "more": 0},
        "compare": question.compare,
        "by": question.by,
        "tables": {},
    }


ITS_LOG = "The monitoring platform met an error with this question; its log says which. The next records ask it again."


def failed(question: Question, why: str = ITS_LOG) -> Fact:
    """The facts when the platform could not answer, or would not."""
    state = {
        "kind": "error",
        "title": "This could not be answered",
        "text": why,
        "command": "",
        "way_out": True,
    }
    return nothing_yet(question, live=False) | {"state": state}


def _nothing_matches(question: Question) -> Fact:
    filters = question.where()
    if filters:
        chosen = ", ".join(f"{_lower(name)} “{value_name(name, value)}”" for name, value in filters.items())
        text = f"Nobody with {chosen} has been heard from in this time range."
    else:
        text = "No end host has been heard from in this time range; a longer one may show who was here."
    return {
        "kind": "no_match",
        "title": "Nothing matches",
        "text": text,
        "command": "",
        "way_out": bool(filters) or question.span is not None,
    }


def _lower(name: str) -> str:
    title = dimension_name(name)
    return title if title.isupper() else title.lower()


def _chips(question: Question) -> list[Fact]:
    """What restricts the view: each with the names of the address that take it away."""
    chips: list[Fact] = [
        {"names": [name], "text": f"{dimension_name(name)}: {value_name(name, value)}"} for name, value in question.where().items()
    ]
    if question.span is not None:
        chips.append({"names": ["from", "to"], "text": "Time range", "span": [question.span.from_ms, question.span.to_ms]})
    if question.by:
        chips.append({"names": ["by"], "text": f"by {dimension_name(question.by)}"})
    if question.compare in COMPARE:
        chips.append({"names": ["compare"], "text": f"compared with {COMPARE[question.compare]}"})
    elif question.compare:
        chips.append({"names": ["compare"], "text": "compared with", "at": int(question.compare)})
    versus = [(VERSUS + name, f"{dimension_name(name)}: {value_name(name, value)}") for name, value in question.versus]
    return chips + [{"names": [name], "text": f"compared with {text}"} for name, text in versus]


def _slices(picture: Picture) -> list[Fact]:
    """The worst few, with the words of their row."""
    measure = slice_measure(picture)
    worst = [each for each in picture.slices or () if each.impact > 0][:MOST_SLICES]
    largest = max((each.impact for each in worst), default=1.0)
    return [
        {
            "name": each.dimension,
            "value": each.name,
            "title": dimension_name(each.dimension),
            "text": place_name(each.name),
            "peers": f"{each.peers:,.0f}",
            "mean": say(measure, each.mean),
            "rest": say(measure, each.rest),
            "share": each.impact / largest,
            "thin": each.thin,
        }
        for each in worst
    ]


def _notes(picture: Picture) -> dict[str, str]:
    measure = measure_of(picture.question.measure, "region").title
    notes = {
        "map": f"{measure} by area",
        "district": f"{measure} by {picture.atlas.districts.kind}; choose one for its distribution",
        "timeline": f"each point: the {picture.window_s:,.0f} s before it{_said_of_band(picture)}",
        "slices": f"{slice_measure(picture).title}: peers × how much worse than the rest",
    }
    if picture.beside is not None:
        said = f"; difference from {picture.beside.other.name}"
        notes |= {view: notes[view] + said for view in ("map", "district")}
        ghost = any(value is not None for value in picture.beside.timeline.values[series_of(picture.question)[0]])
        notes["timeline"] += f"; dashed: {picture.beside.other.name}" + ("" if ghost else " (nothing is recorded of it)")
    if picture.histogram is not None:
        place = picture.question.district or picture.question.area
        where = f" in {place_name(place)}" if place else ""
        peers = count(picture.histogram.peers, "peer")
        notes["histogram"] = f"{distributed(picture.question.measure).title}{where}, n = {peers}"
        if picture.beside is not None and picture.beside.histogram is not None:
            n = count(picture.beside.histogram.peers, "peer")
            notes["histogram"] += f"; dashed: {picture.beside.other.name}, n = {n}"
    return notes


def _said_of_band(picture: Picture) -> str:
    measure = banded(picture.question)
    if measure is None:
        return ""
    if picture.band is None:
        return f"; no band above {MOST_MESSAGES:,} messages"
    return f"; band: p10 to p90 of {measure_of(measure, 'timeline').title}"


def _asides(picture: Picture) -> dict[str, str]:
    asides = {}
    atlas = picture.atlas
    for view, values, division in (("map", picture.areas, atlas.areas), ("district", picture.districts, atlas.districts)):
        if values is not None:
            asides[view] = " · ".join([_off_the_map(picture, values), *_unseen(division, values)])
    return asides


def _keys(picture: Picture) -> dict[str, Fact]:
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


def _places(picture: Picture) -> list[list[Any]]:
    atlas = picture.atlas
    found = atlas.areas.drawn([value.region for value in picture.areas or ()])
    districts = sorted((region.id, f"{region.name} {region.name_zh}") for region in atlas.districts.parts)
    areas = sorted((region.name, region.id) for region in atlas.areas.parts or found)
    kinds = "Countries" if atlas.districts.kind == "country" else "Districts"
    return [
        [kinds, [[f"district:{name}", title] for name, title in districts[:LONGEST_LIST]]],
        ["Areas", [[f"area:{area}", name] for name, area in areas[:LONGEST_LIST]]],
        ["Not on the map", [[f"area:{bucket}", bucket] for bucket in (UNLOCATED, OUTSIDE)]],
    ]
