"""Whether a point lies within an outline, and outlines with fewer points for drawing.

Longitude and latitude are treated as a plane. A side has the points from its lower end (included) to its upper end (not included).
So a point on the common border of two districts is in exactly one of them. No outline crosses 180 degrees: RFC 7946 requires that
it is cut there.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from feedback_analysis.geo.location import LonLat

Ring = tuple[LonLat, ...]
Polygon = tuple[Ring, ...]
"""The outer ring first, then its holes, each ring closed."""

Box = tuple[float, float, float, float]
"""West, south, east, north."""


def contains(polygon: Polygon, point: LonLat) -> bool:
    """Whether a line from `point` to the east crosses an odd number of sides; those of holes count too."""
    return sum(_crossed(ring, point) for ring in polygon) % 2 == 1


def _crossed(ring: Ring, point: LonLat) -> int:
    x, y = point
    sides = ((a, b) for a, b in pairwise(ring) if (a[1] <= y) != (b[1] <= y))
    return sum(x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) for a, b in sides)


def box_of(points: Iterable[LonLat]) -> Box:
    lons, lats = zip(*points, strict=True)
    return min(lons), min(lats), max(lons), max(lats)


def within(box: Box, point: LonLat) -> bool:
    west, south, east, north = box
    return west <= point[0] <= east and south <= point[1] <= north


def size(ring: Ring) -> float:
    """Twice the area of a ring, in square degrees."""
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(_near(ring))))


def centroid(ring: Ring) -> LonLat:
    near = _near(ring)
    sides = [(a, b, a[0] * b[1] - b[0] * a[1]) for a, b in pairwise(near)]
    double = sum(cross for _, _, cross in sides)
    if double == 0:  # a ring without area: its middle
        west, south, east, north = box_of(ring)
        return (west + east) / 2, (south + north) / 2
    lon = sum((a[0] + b[0]) * cross for a, b, cross in sides) / (3 * double)
    lat = sum((a[1] + b[1]) * cross for a, b, cross in sides) / (3 * double)
    return ring[0][0] + lon, ring[0][1] + lat


def on_grid(polygons: tuple[Polygon, ...], step: float) -> tuple[Polygon, ...]:
    """Outlines whose points are moved onto a grid: neighbours that shared a border still do.

    Rings that vanish are left out. If all vanish, the largest polygon stays as it is.
    """
    moved = (tuple(_ring_on_grid(ring, step) for ring in polygon) for polygon in polygons)
    kept = tuple(tuple(ring for ring in polygon if len(ring) > 3) for polygon in moved if len(polygon[0]) > 3)
    return kept or (max(polygons, key=lambda polygon: size(polygon[0])),)


def _ring_on_grid(ring: Ring, step: float) -> Ring:
    points = [(round(round(lon / step) * step, 6), round(round(lat / step) * step, 6)) for lon, lat in ring]
    return (*(a for a, b in pairwise(points) if a != b), points[-1])


def _near(ring: Ring) -> list[LonLat]:
    """The ring relative to its first point; a small ring far from (0, 0) would lose precision."""
    lon0, lat0 = ring[0]
    return [(lon - lon0, lat - lat0) for lon, lat in ring]
