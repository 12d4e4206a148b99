"""Names of dimensions and regions on the pages. Values that end hosts sent are shown unchanged."""

from functools import cache

from feedback_analysis.geo import maps
from feedback_analysis.geo.divisions import cell_name, is_cell
from feedback_analysis.measures.filters import is_mean_filter
from feedback_analysis.measures.registry import measure_of
from feedback_analysis.measures.selection import EXTRA, MEAN, NOT

_TITLES = {"isp": "ISP", "via": "Coordinator", "peer_id": "Peer", "session_id": "Session"}


def dimension_name(dimension: str) -> str:
    """The title of a filter or group."""
    if dimension.startswith(NOT):
        return f"not {dimension_name(dimension.removeprefix(NOT))}"
    if is_mean_filter(dimension):
        return measure_of(dimension.removeprefix(MEAN), "histogram").title
    return dimension.removeprefix(EXTRA) if dimension.startswith(EXTRA) else _TITLES.get(dimension, dimension.capitalize())


def place_name(region: str) -> str:
    """The name of an area, district or bucket."""
    return _area_names().get(region) or (cell_name(region) if is_cell(region) else region)


def value_name(dimension: str, value: str) -> str:
    """Text of a filter's value."""
    if not is_mean_filter(dimension):
        return place_name(value)
    low, _, high = value.partition("@")[0].partition("..")
    if not low:
        return f"below {high}"
    return f"{low} to {high}" if high else f"from {low}"


@cache
def _area_names() -> dict[str, str]:
    return {area.id: area.name for area in maps.areas()}
