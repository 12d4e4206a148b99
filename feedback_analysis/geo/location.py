"""The location of a peer. Peers without a location are counted too, under a name of their own.

Every map has two values in addition to its areas and districts. `UNLOCATED` is for peers that may be anywhere, including those of
Hong Kong whose location is only the territory. `OUTSIDE` is for peers that are known to be off the map.
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
    """`area` is an H3 cell of the map, `district` a name (a country on a map of the world); both may be UNLOCATED or OUTSIDE."""

    country: str = UNKNOWN_COUNTRY
    area: str = UNLOCATED
    district: str = UNLOCATED
    isp: str = UNKNOWN_ISP


UNKNOWN_LOCATION = Location()
