"""The choices that the controls of a page offer."""

from collections.abc import Sequence
from typing import Any

from feedback_analysis.geo.location import OUTSIDE, UNLOCATED
from feedback_analysis.measures.registry import MEASURES, measure_of
from feedback_analysis.measures.selection import DIMENSIONS
from monitor_platform.dashboard.address_query import COLOURING, COMPARE, DEFAULT_MINUTES, MOST_SERIES, SERIES, AddressQuery
from monitor_platform.dashboard.chips import chips
from monitor_platform.dashboard.comparison import time_name
from monitor_platform.dashboard.display_names import dimension_name
from monitor_platform.dashboard.page_data import AUDIENCE, PageData

LONGEST_LIST = 500
"""A longer list of channels is useless. An address with `channel=` reaches every channel."""

MOST_EXTRAS = 20
"""The most numbers in `extra` that are offered. End hosts can send any number of names; an address reaches all of them."""


def choices(data: PageData, lengths: Sequence[int]) -> dict[str, Any]:
    """The choices as JSON for the page. `lengths`: those of the time range in minutes, the page's default first."""
    return {
        "measures": [[name, MEASURES[name].title] for name in COLOURING] + _extras(data),
        "series": [[name, MEASURES[name].title] for name in SERIES if name != AUDIENCE] + _extras(data),
        "most_series": MOST_SERIES,
        "channels": [[name, name] for name in data.channels[:LONGEST_LIST]],
        "isps": [[name, name] for name in data.isps[:LONGEST_LIST]],
        "places": _places(data),
        "compare": [list(each) for each in compared_times(follows=data.follows).items()],
        "by": [["", "Nothing"], *([name, dimension_name(name)] for name in DIMENSIONS)],
        "by_extra": [[name, dimension_name(name)] for name in data.fields[:MOST_EXTRAS]],
        "minutes": lengths,
    }


def first_texts(query: AddressQuery, *, live: bool) -> dict[str, Any]:
    """What the controls of `query` show until the choices arrive, so that nothing moves then. The page escapes them."""
    follows = live and query.span is None
    return {
        "measure": measure_of(query.measure, "region").title,
        "channel": query.channel or "All channels",
        "isp": query.isp or "All ISPs",
        "location": query.district or query.area or "Everywhere",
        "by": dimension_name(query.by) if query.by else "Nothing",
        "compare": compared_times(follows=follows).get(query.compare, "Any other…"),
        "time": _time(query, live=live),
        "series": [(name, MEASURES[name].title) for name in SERIES if name != AUDIENCE],
        "chips": bool(chips(query)),
    }


def compared_times(*, follows: bool) -> dict[str, str]:
    """The times that a page can compare with, by their value of `compare`; without one, the key figures have the time before."""
    times = {name: time_name(name, follows=follows).capitalize() for name in COMPARE}
    return {"": f"{times['before']} (default)"} | times | {"before": f"{times['before']}, in all views"}


def _time(query: AddressQuery, *, live: bool) -> str:
    """The text of the time range; the browser writes that of a fixed one, whose zone it knows."""
    if query.span is not None:
        return "…"
    minutes = query.minutes or (DEFAULT_MINUTES if live else 0)
    if not minutes:
        return "All"
    number, unit = next((minutes // size, unit) for size, unit in ((1440, "d"), (60, "h"), (1, "min")) if minutes % size == 0)
    return f"Last {number} {unit}"


def _extras(data: PageData) -> list[list[str]]:
    """Numbers in `extra`. A name with a comma is left out, because commas separate the series in an address."""
    return [[name, measure_of(name, "region").title] for name in data.extras[:MOST_EXTRAS] if "," not in name]


def _places(data: PageData) -> list[list[Any]]:
    atlas = data.atlas
    found = atlas.areas.drawn([value.region for value in data.areas or ()])
    districts = sorted((region.id, f"{region.name} {region.name_zh}") for region in atlas.districts.parts)
    areas = sorted((region.name, region.id) for region in atlas.areas.parts or found)
    kinds = "Countries" if atlas.districts.kind == "country" else "Districts"
    return [
        [kinds, [[f"district:{name}", title] for name, title in districts[:LONGEST_LIST]]],
        ["Areas", [[f"area:{area}", name] for name, area in areas[:LONGEST_LIST]]],
        ["Not on the map", [[f"area:{bucket}", bucket] for bucket in (UNLOCATED, OUTSIDE)]],
    ]
