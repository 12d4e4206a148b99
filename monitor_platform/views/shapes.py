"""Regions as Bokeh's `multi_polygons` wants them: each region's polygons, each polygon's rings, in Web Mercator metres."""

from collections.abc import Iterable
from dataclasses import dataclass

from monitor_platform.geo.maps import Polygon, Region, to_mercator

Rings = list[list[list[int]]]


@dataclass(frozen=True, slots=True)
class Shapes:
    """Coordinates of many regions, in the regions' order; `xs[region][polygon][ring]` is a list of whole metres."""

    xs: list[Rings]
    ys: list[Rings]


def shapes_of(regions: Iterable[Region]) -> Shapes:
    """The outlines of `regions`, projected."""
    both = [[_projected(polygon) for polygon in region.polygons] for region in regions]
    return Shapes(
        xs=[[[[round(x) for x, _ in ring] for ring in rings] for rings in polygons] for polygons in both],
        ys=[[[[round(y) for _, y in ring] for ring in rings] for rings in polygons] for polygons in both],
    )


def _projected(polygon: Polygon) -> list[list[tuple[float, float]]]:
    return [[to_mercator(lon, lat) for lon, lat in ring] for ring in polygon]
