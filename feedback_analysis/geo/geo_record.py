"""From a database record to country, area and district. A point is not always a location.

43 % of Hong Kong's addresses have the same point, which stands for the territory. A record is the content of a database for an
address. It is a placeholder when it names nothing smaller than the territory (no official district, and a city called "Hong Kong"
or nothing at all); its coordinates are then the middle of the map, so neither area nor district is read from them. This module does
no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h3

from feedback_analysis.geo.districts import official_district
from feedback_analysis.geo.location import OUTSIDE, UNKNOWN_COUNTRY, UNLOCATED, LonLat
from feedback_analysis.geo.maps import Region

HONG_KONG = "HK"
AREA_RESOLUTION = 6

# Centres of neighbouring cells lie 6.4 km apart and a corner 3.7 km from its centre: a point in a neighbour of an
# area is at most about 10 km from the area's centre. A point further away is an error, not a coast of Hong Kong.
NEAREST_WITHIN_KM = 10.0

WHOLE_TERRITORY = frozenset({"", "hong kong", "hong kong island", "kowloon", "new territories"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoRecord:
    """`abroad`: known to be outside Hong Kong, although the country is not known. `point` is (longitude, latitude) in degrees."""

    country: str = ""
    abroad: bool = False
    subdivisions: tuple[str, ...] = ()
    city: str = ""
    point: LonLat | None = None


def country_of(record: GeoRecord) -> str:
    return record.country or UNKNOWN_COUNTRY


def district_of(record: GeoRecord) -> str:
    if record.country != HONG_KONG:
        return _off_the_map(record)
    return _named_district(record) or UNLOCATED


def area_of(record: GeoRecord, areas: Mapping[str, Region]) -> str:
    """The area of the point; for a point on a coast outside all areas, the nearest area."""
    if record.country != HONG_KONG:
        return _off_the_map(record)
    if record.point is None or is_placeholder(record):
        return UNLOCATED
    lon, lat = record.point
    cell: str = h3.latlng_to_cell(lat, lon, AREA_RESOLUTION)
    return cell if cell in areas else _nearest_area(record, record.point, areas)


def is_placeholder(record: GeoRecord) -> bool:
    return _named_district(record) is None and record.city.casefold() in WHOLE_TERRITORY


def has_only_a_country(record: GeoRecord) -> bool:
    return not record.city and not any(record.subdivisions)


def _off_the_map(record: GeoRecord) -> str:
    return OUTSIDE if record.country or record.abroad else UNLOCATED


def _named_district(record: GeoRecord) -> str | None:
    named = (official_district(name) for name in record.subdivisions)
    return next((name for name in named if name is not None), None)


def _nearest_area(record: GeoRecord, point: LonLat, areas: Mapping[str, Region]) -> str:
    """The nearest area, within the named district if there is one: the other shore of the harbour may be nearer."""
    district = _named_district(record)
    near = {area.id: km for area in areas.values() if (km := _km(point, area.centre)) <= NEAREST_WITHIN_KM}
    at_home = [area for area in near if district in areas[area].districts]
    return min(at_home or near, key=near.__getitem__, default=UNLOCATED)


def _km(one: LonLat, other: LonLat) -> float:
    distance: float = h3.great_circle_distance((one[1], one[0]), (other[1], other[0]))
    return distance
