"""The map of a monitoring platform: areas for the map view, districts for the district view.

With the shipped database, which has only Hong Kong, the map is of Hong Kong. With another database, it is of the world.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, radians
from pathlib import Path

import h3

from feedback_analysis.geo import maps
from feedback_analysis.geo.district_file import for_drawing, read_districts
from feedback_analysis.geo.divisions import Cells, Countries, Division, HongKongAreas, HongKongDistricts, OwnDistricts

HONG_KONG, COUNTRIES = "hong-kong", "countries"
FINEST = 9
"""Cells of 0.1 km²: finer than the accuracy of any address."""

WORLD_RESOLUTION = 2
"""Cells of 87,000 km², about 330 km across: the smallest that is visible on a map of the world."""

KM_PER_DEGREE = 111.2

# The most cells in a box around the districts of a file. The paper's Hong Kong has 38 areas.
MOST_CELLS_OF_A_BOX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    areas: Division = field(default_factory=HongKongAreas)
    districts: Division = field(default_factory=HongKongDistricts)


def atlas_for(*, city: Path | None = None, districts: str = "", name_key: str = "name", resolution: int | None = None) -> Atlas:
    """The atlas for a city database (None: the shipped one), districts (a file, `hong-kong`, `countries`) and size of areas.

    ValueError for an argument that cannot be used.
    """
    check_resolution(resolution)
    chosen = districts or (HONG_KONG if city is None else COUNTRIES)
    if chosen == HONG_KONG:
        return Atlas(areas=_hong_kong_areas(resolution))
    if chosen == COUNTRIES:
        areas = HongKongAreas() if city is None and resolution is None else Cells(_or_world_wide(resolution), maps.countries())
        return Atlas(areas=areas, districts=Countries())
    own = read_districts(Path(chosen), name_key)
    drawn = for_drawing(own)
    if city is None and resolution is None:
        return Atlas(districts=OwnDistricts(own, drawn))
    return Atlas(areas=Cells(_fitting(own) if resolution is None else resolution, drawn), districts=OwnDistricts(own, drawn))


def check_resolution(resolution: int | None) -> None:
    if resolution is not None and not 0 <= resolution <= FINEST:
        raise ValueError(
            f"--area-resolution is {resolution}; it needs a whole number from 0 (cells of 2,300 km across) to {FINEST} (350 m), "
            "such as 4"
        )


def _hong_kong_areas(resolution: int | None) -> Division:
    return HongKongAreas() if resolution is None else Cells(resolution, maps.districts())


def _or_world_wide(resolution: int | None) -> int:
    return WORLD_RESOLUTION if resolution is None else resolution


def _fitting(districts: tuple[maps.Region, ...]) -> int:
    """The finest resolution at which the box around `districts` has a reasonable number of cells."""
    west, south, east, north = maps.box_around(districts)
    around = (north - south) * KM_PER_DEGREE * (east - west) * KM_PER_DEGREE * cos(radians((south + north) / 2))
    sizes = [h3.average_hexagon_area(resolution, unit="km^2") for resolution in range(FINEST + 1)]
    return max((r for r, size in enumerate(sizes) if around / size <= MOST_CELLS_OF_A_BOX), default=0)
