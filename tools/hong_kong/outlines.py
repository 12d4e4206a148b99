"""An area is an H3 cell at resolution 6 with at least 30 % land. This gives 38 areas, as many as in the paper.

The paper of 2012 does not describe its 38 areas, except that their size is approximately equal. The threshold was
chosen to give this number, and two independent outlines give the same number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h3
from place_names import AREA_NAMES, DISTRICT_NAMES_ZH
from shapely import set_precision
from shapely.geometry import Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from feedback_analysis.geo.geo_record import AREA_RESOLUTION

LEAST_LAND = 0.30
PAPERS_AREAS = 38

# A district belongs to an area whose cell it fills by a twentieth; less is a rock off another district's shore.
LEAST_OF_DISTRICT = 0.05

# 0.0001 degree is 11 m; the outline itself is coarser than that.
GRID_DEGREES = 1e-4


def write_districts(outline: Path, target: Path) -> None:
    features = _features(outline)
    _write(target, (_feature(_outline(feature), _district_properties(feature)) for feature in features))


def write_areas(outline: Path, target: Path) -> None:
    districts = {feature["properties"]["name"]: shape(feature["geometry"]) for feature in _features(outline)}
    land = unary_union(list(districts.values()))
    areas = sorted(cell for cell in _cells_over(land) if _share(cell, land) >= LEAST_LAND)
    if set(areas) != set(AREA_NAMES):
        raise SystemExit(f"{len(areas)} cells have enough land, not the {PAPERS_AREAS} that place_names.py has; name them there")
    _write(target, (_feature(_hexagon(cell), _area_properties(cell, land, districts)) for cell in areas))


def _area_properties(cell: str, land: BaseGeometry, districts: dict[str, BaseGeometry]) -> dict[str, Any]:
    shares = {name: _share(cell, outline) for name, outline in districts.items()}
    return {
        "area": cell,
        "name": AREA_NAMES[cell],
        "land_share": round(_share(cell, land), 3),
        "districts": sorted((n for n, s in shares.items() if s >= LEAST_OF_DISTRICT), key=lambda n: -shares[n]),
    }


def _features(outline: Path) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(outline.read_text(encoding="utf-8"))["features"]
    return sorted(features, key=lambda feature: str(feature["properties"]["name"]))


def _district_properties(feature: dict[str, Any]) -> dict[str, str]:
    name = feature["properties"]["name"]
    return {"name": name, "name_zh": DISTRICT_NAMES_ZH[name]}


def _outline(feature: dict[str, Any]) -> BaseGeometry:
    return set_precision(shape(feature["geometry"]), GRID_DEGREES)


def _cells_over(land: BaseGeometry) -> set[str]:
    """Cells count by their centre; a margin wider than a cell (6.4 km) finds those that land only touches."""
    around = box(*land.bounds).buffer(0.07)
    ring = [(lat, lon) for lon, lat in around.exterior.coords]
    return set(h3.polygon_to_cells(h3.LatLngPoly(ring), AREA_RESOLUTION))


def _hexagon(cell: str) -> Polygon:
    return Polygon([(round(lon, 5), round(lat, 5)) for lat, lon in h3.cell_to_boundary(cell)])


def _share(cell: str, land: BaseGeometry) -> float:
    hexagon = _hexagon(cell)
    share: float = hexagon.intersection(land).area / hexagon.area
    return share


def _feature(geometry: BaseGeometry, properties: dict[str, Any]) -> dict[str, Any]:
    rounded = json.loads(json.dumps(mapping(geometry)), parse_float=lambda text: round(float(text), 5))
    return {"type": "Feature", "properties": properties, "geometry": rounded}


def _write(target: Path, features: Iterable[dict[str, Any]]) -> None:
    target.write_text("".join(_lines(list(features))), encoding="utf-8")


def _lines(features: list[dict[str, Any]]) -> Iterator[str]:
    """One feature a line: a change shows where it is."""
    yield '{"type":"FeatureCollection","features":[\n'
    yield ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
    yield "\n]}\n"
