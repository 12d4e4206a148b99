"""Divisions of a map: the part to which a location belongs, and the parts that are drawn for an audience.

Areas and districts are each a division. A map of Hong Kong (38 areas, 18 districts) always shows all parts. Countries and the cells
of a grid are too many for that, so the map shows the region of the audience.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import h3

from feedback_analysis.geo import maps
from feedback_analysis.geo.geo_record import (
    HONG_KONG,
    GeoRecord,
    area_of,
    district_of,
    has_only_a_country,
    is_placeholder,
)
from feedback_analysis.geo.location import OUTSIDE, UNLOCATED, LonLat
from feedback_analysis.geo.maps import Region
from feedback_analysis.geo.outlines import contains, within

MOST_DRAWN = 500
"""The most cells on a map. More cells do not help, and every page would carry them; the others are counted next to the map."""

# A database has some ten thousand different points. Each point is searched in the outlines only once.
_REMEMBERED_POINTS = 50_000


class Division(Protocol):
    """`follows`: the map shows the region of the audience instead of the whole land. `kind`: the word for its parts."""

    @property
    def follows(self) -> bool: ...

    @property
    def kind(self) -> str: ...

    @property
    def land(self) -> Sequence[Region]:
        """The outlines below the parts."""

    @property
    def parts(self) -> Sequence[Region]:
        """All parts that are known in advance."""

    def part_of(self, record: GeoRecord) -> str:
        """The id of the part, or UNLOCATED or OUTSIDE."""

    def drawn(self, found: Sequence[str]) -> Sequence[Region]:
        """The parts to be drawn, always in the same order, for an audience in `found`, most peers first."""


@dataclass(frozen=True, slots=True)
class HongKongAreas:
    follows = False
    kind = "area"

    @property
    def land(self) -> Sequence[Region]:
        return maps.districts()

    @property
    def parts(self) -> Sequence[Region]:
        return maps.areas()

    def part_of(self, record: GeoRecord) -> str:
        return area_of(record, maps.areas_by_id())

    def drawn(self, found: Sequence[str]) -> Sequence[Region]:
        return maps.areas()


@dataclass(frozen=True, slots=True)
class HongKongDistricts:
    follows = False
    kind = "district"
    land = ()

    @property
    def parts(self) -> Sequence[Region]:
        return maps.districts()

    def part_of(self, record: GeoRecord) -> str:
        return district_of(record)

    def drawn(self, found: Sequence[str]) -> Sequence[Region]:
        return maps.districts()


@dataclass(frozen=True, slots=True)
class Countries:
    """Countries by the country code in the database. A country without an outline has a name, but is not drawn."""

    follows = True
    kind = "country"
    land = ()

    @property
    def parts(self) -> Sequence[Region]:
        return maps.countries()

    def part_of(self, record: GeoRecord) -> str:
        if record.country:
            return maps.country_names().get(record.country, record.country)
        return OUTSIDE if record.abroad else UNLOCATED

    def drawn(self, found: Sequence[str]) -> Sequence[Region]:
        return maps.countries()


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of the H3 grid, which are of about equal size; only those with an audience are drawn, over `land`."""

    resolution: int
    land: Sequence[Region]
    follows = True
    kind = "area"
    parts = ()

    def part_of(self, record: GeoRecord) -> str:
        if record.abroad:
            return OUTSIDE
        if record.point is None or is_placeholder_anywhere(record):
            return UNLOCATED
        cell: str = h3.latlng_to_cell(record.point[1], record.point[0], self.resolution)
        return cell

    def drawn(self, found: Sequence[str]) -> Sequence[Region]:
        cells = [each for each in found if is_cell(each)]
        return [cell_region(each) for each in sorted(cells[:MOST_DRAWN])]


class OwnDistricts:
    """The districts of a file; where two overlap, the first one in the file counts."""

    follows = False
    kind = "district"
    land = ()

    def __init__(self, districts: Sequence[Region], outlines: Sequence[Region]) -> None:
        """`districts`: exact, for locating. `outlines`: simplified, for drawing."""
        self.parts = outlines
        self._districts = districts
        self._at = lru_cache(maxsize=_REMEMBERED_POINTS)(self._look_up)

    def part_of(self, record: GeoRecord) -> str:
        if record.abroad:
            return OUTSIDE
        return UNLOCATED if record.point is None or is_placeholder_anywhere(record) else self._at(record.point)

    def drawn(self, found: Sequence[str]) -> Sequence[Region]:
        return self.parts

    def _look_up(self, point: LonLat) -> str:
        near = (district for district in self._districts if within(district.box, point))
        inside = (each.id for each in near if any(contains(polygon, point) for polygon in each.polygons))
        return next(inside, OUTSIDE)


def is_placeholder_anywhere(record: GeoRecord) -> bool:
    """Whether the point stands for a whole country. The middle of the United States is a lake in Kansas, not the location of a
    viewer."""
    return is_placeholder(record) if record.country == HONG_KONG else has_only_a_country(record)


def is_cell(region: str) -> bool:
    return len(region) == 15 and bool(h3.is_valid_cell(region))


def cell_name(cell: str) -> str:
    """Country and centre of a cell, with enough digits to distinguish it from its neighbours."""
    return cell_region(cell).name


@lru_cache(maxsize=5_000)
def cell_region(cell: str) -> Region:
    lat, lon = h3.cell_to_latlng(cell)
    # A cell on the antimeridian is not cut; it extends a little beyond 180 degrees.
    ring = [(_unwrapped(x, lon), y) for y, x in h3.cell_to_boundary(cell)]
    return Region(id=cell, name=_cell_name(cell, (lon, lat)), polygons=(((*ring, ring[0]),),), centre=(lon, lat))


def _unwrapped(lon: float, middle: float) -> float:
    """The longitude within 180 degrees of `middle`, which may be beyond 180 degrees."""
    return lon - 360 if lon - middle > 180 else lon + 360 if lon - middle < -180 else lon


def _cell_name(cell: str, middle: LonLat) -> str:
    lon, lat = middle
    digits = 1 + (h3.get_resolution(cell) > 3) + (h3.get_resolution(cell) > 6)
    place = f"{abs(lat):.{digits}f}° {'NS'[lat < 0]}, {abs(lon):.{digits}f}° {'EW'[lon < 0]}"
    country = next((each.name for each in maps.countries() if any(contains(p, middle) for p in each.polygons)), "")
    return f"{country} · {place}" if country else place
