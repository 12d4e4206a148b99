"""Regions in the form of Bokeh's `multi_polygons`: each region's polygons, each polygon's rings, in degrees."""

from collections.abc import Iterable
from dataclasses import dataclass

from feedback_analysis.geo.maps import Region

# 0.00001 degrees are about a metre.
_DIGITS = 5

Rings = list[list[list[float]]]


@dataclass(frozen=True, slots=True)
class Shapes:
    """Coordinates of many regions, in the regions' order; `xs[region][polygon][ring]` is a list of longitudes."""

    xs: list[Rings]
    ys: list[Rings]


def shapes_of(regions: Iterable[Region]) -> Shapes:
    """The outlines of `regions`."""
    outlines = [region.polygons for region in regions]
    return Shapes(
        xs=[[[[round(lon, _DIGITS) for lon, _ in ring] for ring in rings] for rings in polygons] for polygons in outlines],
        ys=[[[[round(lat, _DIGITS) for _, lat in ring] for ring in rings] for rings in polygons] for polygons in outlines],
    )
