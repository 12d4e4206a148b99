"""The picture in words: what the page says beside the figures, ready for JSON; whatever end hosts have sent stays plain text."""

from collections.abc import Sequence
from typing import Any

from monitor_platform.dashboard.picture import AUDIENCE, TILES, Picture, Scene, distributed, series_of
from monitor_platform.dashboard.question import COLOURING, MINUTES, MOST_SERIES, SERIES, Question
from monitor_platform.geo import maps
from monitor_platform.geo.places import OUTSIDE, UNLOCATED
from monitor_platform.measures.regions import RegionValue
from monitor_platform.measures.registry import MEASURES, measure_of
from monitor_platform.measures.selection import EXTRA
from monitor_platform.views.palette import grade, key_to
from monitor_platform.views.regions import scale_on
from monitor_platform.views.wording import NOTHING, count, say

LONGEST_LIST = 500
"""More channels than this do not help anybody in a list; an address with `channel=` still reaches each of them."""

MOST_EXTRAS = 20
"""Numbers in `extra` that are offered; whoever sends messages can invent as many as he likes. An address reaches the others."""

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
        "tiles": _tiles(picture),
        "notes": _notes(picture),
        "asides": _asides(picture),
        "drops": _drops(picture),
        "others": [f"{name.removeprefix(EXTRA)}: {value}" for name, value in question.others],
        "keys": _keys(picture),
    }


def choices(picture: Picture) -> Fact:
    """What the controls offer."""
    return {
        "measures": [[name, MEASURES[name].title] for name in COLOURING] + _extras(picture),
        "series": [[name, MEASURES[name].title] for name in SERIES if name != AUDIENCE] + _extras(picture),
        "most_series": MOST_SERIES,
        "channels": [[name, name] for name in picture.channels[:LONGEST_LIST]],
        "isps": [[name, name] for name in picture.isps[:LONGEST_LIST]],
        "places": _places(),
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
        "others": [],
        "keys": {},
    }


def _nothing_matches(question: Question) -> Fact:
    filters = question.where()
    if filters:
        chosen = ", ".join(f"{name} “{place_name(value)}”" for name, value in filters.items())
        text = f"Nobody with {chosen} has been heard from in this time range."
    else:
        text = "No end host has been heard from in this time range; a longer one may show who was here."
    return {"kind": "no_match", "title": "Nothing matches", "text": text, "command": "", "way_out": bool(filters)}


def place_name(region: str) -> str:
    """The name of an area, district or bucket; whatever else is said as it is."""
    names = {area.id: area.name for area in maps.areas()}
    return names.get(region, region)


def _tiles(picture: Picture) -> list[Fact]:
    peers = f"{picture.summary['peers']:,.0f}"
    audience = _tile(
        AUDIENCE, picture, _last(picture.audience.values[AUDIENCE]), f"{peers} in all", "Distinct peers in this time range"
    )
    others = (
        _startup(picture) if name == "startup_ms" else _tile(name, picture, _mean(picture, name), f"n = {peers}", "Peers")
        for name in TILES
    )
    return [audience, *others]


def _tile(name: str, picture: Picture, value: float | None, note: str, note_means: str) -> Fact:
    measure = MEASURES[name]
    number, _, unit = say(measure, value).partition("\u202f")
    if name == "mos" and value is not None:
        unit = grade(value)
    return {
        "measure": name,
        "title": measure.title,
        "value": number,
        "unit": "" if name == AUDIENCE else unit,
        "note": note,
        "note_means": note_means,
        "trend": (picture.audience if name == AUDIENCE else picture.trends).values[name],
    }


def _startup(picture: Picture) -> Fact:
    delay = picture.summary["startup_ms"]
    tile = _tile("startup_ms", picture, None, f"n = {picture.summary['sessions']:,.0f}", "Sessions")
    p50, p95 = (NOTHING if delay[name] is None else f"{delay[name] / 1000:,.1f}" for name in ("p50", "p95"))
    return tile | {"title": "Startup p50 / p95", "value": f"{p50} / {p95}", "unit": "s"}


def _mean(picture: Picture, name: str) -> float | None:
    value = picture.summary[name]
    number: float | None = value["mean"] if isinstance(value, dict) else value
    return number


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None


def _notes(picture: Picture) -> dict[str, str]:
    measure = measure_of(picture.question.measure, "region").title
    notes = {
        "map": f"{measure} by area",
        "district": f"{measure}; choose one for its distribution",
        "timeline": f"each point stands for the {picture.window_s:,.0f} s before it",
    }
    if picture.histogram is not None:
        place = picture.question.district or picture.question.area
        where = f" in {place_name(place)}" if place else ""
        peers = count(picture.histogram.peers, "peer")
        notes["histogram"] = f"{distributed(picture.question.measure).title}{where}, n = {peers}"
    return notes


def _asides(picture: Picture) -> dict[str, str]:
    asides = {}
    for view, values in (("map", picture.areas), ("district", picture.districts)):
        if values is not None:
            asides[view] = _off_the_map(picture, values)
    return asides


def _drops(picture: Picture) -> str:
    """What is not in the figures, by name; empty if nothing is missing."""
    said = {
        "taken away": (picture.summary["duplicates"], "duplicate"),
        "unreadable": (picture.summary["unreadable"], "record"),
        "lost": (picture.summary["lost"], "message"),
        "in files": (picture.damages, "damaged place"),
    }
    return " · ".join(f"{count(n, one)} {fate}" for fate, (n, one) in said.items() if n)


def _keys(picture: Picture) -> dict[str, Fact]:
    """The keys to the colours of the maps."""
    measure = measure_of(picture.question.measure, "region")
    shown = {"map": (picture.areas, maps.areas()), "district": (picture.districts, maps.districts())}
    keys = {view: key_to(scale_on(measure, values, regions)) for view, (values, regions) in shown.items() if values is not None}
    return {view: {"colours": key.colours, "stepped": key.stepped, "marks": key.marks} for view, key in keys.items()}


def _off_the_map(picture: Picture, values: Sequence[RegionValue]) -> str:
    """The peers that no region of the map can show, by bucket."""
    measure = measure_of(picture.question.measure, "region")
    found = {value.region: f"{count(value.peers, 'peer')} ({measure.title} {say(measure, value.value)})" for value in values}
    return " · ".join(f"{bucket.capitalize()}: {found.get(bucket, 'nobody')}" for bucket in (UNLOCATED, OUTSIDE))


def _places() -> list[list[Any]]:
    districts = sorted((region.name, f"{region.name} {region.name_zh}") for region in maps.districts())
    areas = sorted((region.name, region.id) for region in maps.areas())
    return [
        ["Districts", [[f"district:{name}", title] for name, title in districts]],
        ["Areas", [[f"area:{area}", name] for name, area in areas]],
        ["Not on the map", [[f"area:{bucket}", bucket] for bucket in (UNLOCATED, OUTSIDE)]],
    ]
