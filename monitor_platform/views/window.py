"""The part of the world that a map shows: the region of the audience, without a few viewers far from all others.

Maps are drawn in degrees. A degree of longitude is shortened by the cosine of the window's middle latitude (`stretch`), so shapes
are correct in the middle. A window never crosses 180 degrees of longitude: it is the whole world then.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feedback_analysis.geo.maps import Region, box_around
from feedback_analysis.geo.outlines import Ring, box_of, size
from feedback_analysis.measures.regions import RegionValue

# A hundredth of the audience may be beyond each edge; with twenty peers or more, at least one.
_BEYOND = 0.01
_ONE_OF = 20

# Margin around the audience, and the smallest window, so that a single cell has surroundings.
_ROOM = 0.12
_LEAST_CELLS = 4.0

_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)

# The outlines of countries are coarse (about 25 km), so they would mislead on the map of a single city.
LEAST_FOR_COUNTRIES = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Edges in degrees."""

    west: float
    south: float
    east: float
    north: float

    @property
    def stretch(self) -> float:
        """How many times longer a degree of latitude is than one of longitude."""
        return 1 / max(math.cos(math.radians((self.south + self.north) / 2)), 0.1)

    def holds(self, region: Region) -> bool:
        lon, lat = region.centre
        return self.west <= lon <= self.east and self.south <= lat <= self.north


WORLD = Window(west=-180.0, south=-58.0, east=180.0, north=84.0)


def around_all(regions: Sequence[Region]) -> Window:
    """All of `regions`, exactly."""
    west, south, east, north = box_around(regions)
    return Window(west=west, south=south, east=east, north=north)


def around_audience(regions: Sequence[Region], values: Sequence[RegionValue]) -> Window:
    """The window with the peers of `values`, in round numbers, so that it changes rarely; without peers, the world."""
    peers = {value.region: value.peers for value in values}
    inhabited = [(region, peers[region.id]) for region in regions if peers.get(region.id)]
    if not inhabited:
        return WORLD
    west, east = _ends(inhabited, lambda region: region.centre[0])
    south, north = _ends(inhabited, lambda region: region.centre[1])
    near = [region for region, _ in inhabited if west <= region.centre[0] <= east and south <= region.centre[1] <= north]
    return _roomy([_main_part(region) for region in near or [region for region, _ in inhabited]])


def _ends(inhabited: Sequence[tuple[Region, float]], place: Callable[[Region], float]) -> tuple[float, float]:
    """The ends of the range that contains all peers, except the few that may be outside."""
    ranked = sorted((place(region), count) for region, count in inhabited)
    total = sum(count for _, count in ranked)
    spare = max(total * _BEYOND, 1.0 if total >= _ONE_OF else 0.0)
    return _first_beyond(ranked, spare), _first_beyond(ranked[::-1], spare)


def _first_beyond(ranked: Sequence[tuple[float, float]], spare: float) -> float:
    passed = 0.0
    for place, count in ranked:
        passed += count
        if passed > spare:
            return place
    return ranked[-1][0]


def _main_part(region: Region) -> tuple[float, float, float, float]:
    """The box around the largest part of a region: for France, the part in Europe."""
    largest: Ring = max((polygon[0] for polygon in region.polygons), key=size)
    return box_of(largest)


def _roomy(boxes: Sequence[tuple[float, float, float, float]]) -> Window:
    west, south = min(box[0] for box in boxes), min(box[1] for box in boxes)
    east, north = max(box[2] for box in boxes), max(box[3] for box in boxes)
    least = _LEAST_CELLS * min(box[3] - box[1] for box in boxes)
    wide, high = max(east - west, least), max(north - south, least)
    step = max(each for each in _STEPS if each <= max(wide / 8, _STEPS[0]))
    x, y = (west + east) / 2, (south + north) / 2
    reach_x, reach_y = wide * (0.5 + _ROOM), high * (0.5 + _ROOM)
    window = Window(
        west=max(_down(x - reach_x, step), -180.0),
        south=max(_down(y - reach_y, step), WORLD.south),
        east=min(-_down(-x - reach_x, step), 180.0),
        north=min(-_down(-y - reach_y, step), WORLD.north),
    )
    return WORLD if window.east - window.west > 180 else window


def _down(degrees: float, step: float) -> float:
    return math.floor(degrees / step) * step
