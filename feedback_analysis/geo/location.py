"""An unknown place is a place: it has a bucket with a name, and no peer is ever dropped for want of a location.

Two buckets stand beside the areas and the districts of every map. `UNLOCATED` holds peers that may be anywhere, also
those of Hong Kong whose location is only the territory. `OUTSIDE` holds peers known to be off the map.
"""

from __future__ import annotations

from dataclasses import dataclass

UNLOCATED = "not located"
OUTSIDE = "outside the map"
UNKNOWN_ISP = "unknown"
UNKNOWN_COUNTRY = "unknown"

LonLat = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """`area` is an H3 cell of the map, `district` a name (of a country, on a map of the world); each may be a bucket instead."""

    country: str = UNKNOWN_COUNTRY
    area: str = UNLOCATED
    district: str = UNLOCATED
    isp: str = UNKNOWN_ISP


UNKNOWN_LOCATION = Location()
