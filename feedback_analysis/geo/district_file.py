"""Districts from a GeoJSON file (RFC 7946). A file with an error is refused, with the feature and the reason.

Features of one name are one district, because many files have each island as a feature. Names are plain text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from feedback_analysis.geo.location import OUTSIDE, UNLOCATED, LonLat
from feedback_analysis.geo.maps import Region, box_around, middle_of
from feedback_analysis.geo.outlines import Polygon, Ring, on_grid
from serving.regular_files import read_regular_text

MOST_BYTES = 32 * 1024 * 1024
MOST_POINTS = 500_000
MOST_DISTRICTS = 2_000
LONGEST_NAME = 100

# Every page carries the outlines; 8,000 points are about 150 kB.
MOST_DRAWN_POINTS = 8_000

# The first grid for drawing: finer than a pixel at every size of the map.
_DRAWN_STEPS = 4_000


class DistrictFileError(ValueError):
    """A file of districts is missing, too large, or wrong; the text names the part."""


def read_districts(path: Path, name_key: str = "name") -> tuple[Region, ...]:
    """The districts in `path`, in its order, named by the property `name_key`."""
    together: dict[str, list[Polygon]] = {}
    points = 0
    for at, feature in enumerate(_features(path), 1):
        try:
            name, polygons = _name(feature, name_key), tuple(_polygons(feature))
        except DistrictFileError as error:
            raise DistrictFileError(f"{path}, feature {at}: {error}") from None
        points += _points(polygons)
        if points > MOST_POINTS:
            raise DistrictFileError(
                f"{path} has more than {MOST_POINTS:,} points; simplify the outlines, with mapshaper for instance"
            )
        together.setdefault(name, []).extend(polygons)
    if len(together) > MOST_DISTRICTS:
        raise DistrictFileError(f"{path} has {len(together):,} districts; at most {MOST_DISTRICTS:,} can be shown")
    return tuple(_region(name, tuple(polygons)) for name, polygons in together.items())


def for_drawing(districts: Sequence[Region]) -> tuple[Region, ...]:
    """The same districts with at most MOST_DRAWN_POINTS points, on the finest grid that allows it."""
    west, south, east, north = box_around(districts)
    step = max(east - west, north - south) / _DRAWN_STEPS
    drawn = tuple(districts)
    while sum(_points(each.polygons) for each in drawn) > MOST_DRAWN_POINTS and step < 1:
        drawn = tuple(replace(each, polygons=on_grid(each.polygons, step)) for each in districts)
        step *= 1.5
    return drawn


def _points(polygons: Iterable[Polygon]) -> int:
    return sum(len(ring) for polygon in polygons for ring in polygon)


def _region(name: str, polygons: tuple[Polygon, ...]) -> Region:
    return Region(id=name, name=name, polygons=polygons, centre=middle_of(polygons))


def _features(path: Path) -> list[Any]:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DistrictFileError(f"{path} has {size:,} bytes; at most {MOST_BYTES:,} are read. Simplify the outlines")
        document = json.loads(read_regular_text(path))
    except FileNotFoundError as error:
        raise DistrictFileError(f"{path} does not exist; --districts needs a GeoJSON file, hong-kong or countries") from error
    except DistrictFileError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DistrictFileError(f"{path} cannot be read as GeoJSON: {error}") from error
    features = document.get("features") if isinstance(document, dict) and document.get("type") == "FeatureCollection" else None
    if not isinstance(features, list) or not features:
        raise DistrictFileError(f"{path} is not a GeoJSON FeatureCollection with features")
    return features


def _name(feature: object, key: str) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict) or key not in properties:
        known = ", ".join(sorted(map(str, properties or ()))[:10]) if isinstance(properties, dict) else ""
        raise DistrictFileError(f"there is no property {key!r}; name the property with --district-name (it has: {known or 'none'})")
    name = properties[key]
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise DistrictFileError(f"{key!r} is {str(name)[:40]!r}; a name needs 1 to {LONGEST_NAME} characters that can be printed")
    if name.strip() in (OUTSIDE, UNLOCATED):
        raise DistrictFileError(f"{name.strip()!r} is reserved for viewers outside all districts; choose another name")
    return name.strip()


def _polygons(feature: dict[str, Any]) -> Iterator[Polygon]:
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict):
        raise DistrictFileError("it has no geometry; districts need a Polygon or a MultiPolygon")
    kind = geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        raise DistrictFileError(f"its geometry is {str(kind)[:40]!r}; districts need a Polygon or a MultiPolygon")
    coordinates = geometry.get("coordinates")
    many = coordinates if kind == "MultiPolygon" else [coordinates]
    if not isinstance(many, list) or not many:
        raise DistrictFileError("it has no coordinates")
    for polygon in many:
        if not isinstance(polygon, list) or not polygon:
            raise DistrictFileError("one of its polygons has no rings")
        yield tuple(_ring(ring) for ring in polygon)


def _ring(ring: object) -> Ring:
    points = [_point(each) for each in ring] if isinstance(ring, list) else []
    if points and points[0] != points[-1]:
        points.append(points[0])
    if len(points) < 4:
        raise DistrictFileError(f"a ring has {len(points)} points; it needs 4, the last like the first")
    if any(abs(a[0] - b[0]) > 180 for a, b in pairwise(points)):
        raise DistrictFileError("a side is longer than half the earth; cut the outline at 180 degrees, as RFC 7946 asks")
    return tuple(points)


def _point(position: object) -> LonLat:
    """Longitude and latitude; an altitude does not matter."""
    if not isinstance(position, list) or len(position) < 2 or any(type(each) not in (int, float) for each in position[:2]):
        raise DistrictFileError(f"{str(position)[:60]} is not a position; it needs [longitude, latitude]")
    lon, lat = position[:2]
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise DistrictFileError(
            f"{str(position)[:60]} is not a longitude and latitude in degrees (WGS 84); project the file to EPSG:4326 first"
        )
    return float(lon), float(lat)
