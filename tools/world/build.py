"""Builds the countries of the world map. Outlines are simplified arc by arc, so neighbors share the same border.

A topology contains each border once. If whole outlines were simplified, both sides of a border would differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from math import hypot
from pathlib import Path
from typing import Any

from country_names import LONG_NAMES, WITHOUT_NUMBER

Point = tuple[float, float]
Arc = list[Point]

TARGET = Path(__file__).parents[2] / "monitor_platform" / "geo" / "data" / "world_countries.geojson"

# On a map of the world, 1,280 pixels wide, a pixel is 0.28 degrees.
TOLERANCE_DEGREES = 0.23
DIGITS = 2

# An island smaller than this (40 km by 40 km) is left out, unless it is all that its country has.
LEAST_SQUARE_DEGREES = 0.15

# It has no viewers, and would take a quarter of the picture.
LEFT_OUT = {"010"}


def main() -> None:
    arguments = _arguments()
    topology = json.loads((arguments.atlas / "countries-50m.json").read_text(encoding="utf-8"))
    codes = {number: alpha2 for alpha2, _, number, _ in json.loads((arguments.iso / "codes.json").read_text(encoding="utf-8"))}
    english = json.loads((arguments.iso / "langs" / "en.json").read_text(encoding="utf-8"))["countries"]
    features = [*_outlined(topology, codes)]
    missing = sorted(set(codes.values()) - {feature["id"] for feature in features})
    features += [_feature(code, _first(english[code]), []) for code in missing]
    TARGET.write_text("".join(_lines(sorted(features, key=lambda feature: feature["properties"]["name"]))), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atlas", type=Path, required=True, help="folder of the npm package world-atlas, unpacked")
    parser.add_argument("--iso", type=Path, required=True, help="folder of the npm package i18n-iso-countries, unpacked")
    return parser.parse_args()


def _outlined(topology: dict[str, Any], codes: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A feature for each country; parts with the same number (Australia's) are one country."""
    arcs = [simplified(arc) for arc in _arcs(topology)]
    together: dict[tuple[str, str], list[list[Arc]]] = {}
    for geometry in topology["objects"]["countries"]["geometries"]:
        if geometry.get("id") in LEFT_OUT:
            continue
        name = geometry["properties"]["name"]
        code = codes[geometry["id"]] if "id" in geometry else WITHOUT_NUMBER.get(name, "")
        key = next((known for known in together if code and known[0] == code), (code, LONG_NAMES.get(name, name)))
        together.setdefault(key, []).extend(_polygons(geometry, arcs))
    for (code, name), polygons in together.items():
        yield _feature(code, name, _worth_drawing(polygons))


def _arcs(topology: dict[str, Any]) -> Iterator[Arc]:
    """TopoJSON writes an arc as whole steps from its first point."""
    (kx, ky), (x0, y0) = topology["transform"]["scale"], topology["transform"]["translate"]
    for steps in topology["arcs"]:
        at = accumulate(steps, lambda here, step: [here[0] + step[0], here[1] + step[1]])
        yield [(x * kx + x0, y * ky + y0) for x, y in at]


def simplified(arc: Arc) -> Arc:
    """Douglas and Peucker's line; a closed one (an island) is halved first, as its ends are the same point."""
    if arc[0] == arc[-1]:
        middle = max(range(len(arc)), key=lambda i: _distance(arc[i], arc[0], arc[0]))
        return [*_peucker(arc[: middle + 1])[:-1], *_peucker(arc[middle:])]
    return _peucker(arc)


def _peucker(arc: Arc) -> Arc:
    if len(arc) < 3:
        return arc
    far = max(range(1, len(arc) - 1), key=lambda i: _distance(arc[i], arc[0], arc[-1]))
    if _distance(arc[far], arc[0], arc[-1]) <= TOLERANCE_DEGREES:
        return [arc[0], arc[-1]]
    return [*_peucker(arc[: far + 1])[:-1], *_peucker(arc[far:])]


def _distance(point: Point, begin: Point, end: Point) -> float:
    (x, y), (x1, y1), (x2, y2) = point, begin, end
    length2 = (x2 - x1) ** 2 + (y2 - y1) ** 2
    along = 0.0 if length2 == 0 else min(1.0, max(0.0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length2))
    return hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1))


def _polygons(geometry: dict[str, Any], arcs: list[Arc]) -> Iterator[list[Arc]]:
    many = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    for polygon in many:
        rings = [_ring(numbers, arcs) for numbers in polygon]
        if any(abs(a[0] - b[0]) > 180 for a, b in pairwise(rings[0])):
            yield from ([half] for half in _halves(rings[0]))
        else:
            yield rings


def _halves(ring: Arc) -> Iterator[Arc]:
    """A ring across 180 degrees, in two: Russia and Fiji (whose parts there have no holes)."""
    whole = [(x + 360 if x < 0 else x, y) for x, y in ring]
    yield _cut(whole, lambda x: x <= 180)
    yield [(round(x - 360, DIGITS), y) for x, y in _cut(whole, lambda x: x >= 180)]


def _cut(ring: Arc, inside: Callable[[float], bool]) -> Arc:
    """The part of a ring on one side of 180 degrees; what lies on the meridian joins its pieces."""
    kept: Arc = []
    for a, b in pairwise(ring):
        if inside(a[0]):
            kept.append(a)
        if inside(a[0]) != inside(b[0]):
            kept.append((180.0, round(a[1] + (180 - a[0]) / (b[0] - a[0]) * (b[1] - a[1]), DIGITS)))
    return [*kept, kept[0]]


def _ring(numbers: Iterable[int], arcs: list[Arc]) -> Arc:
    """The arcs one after the other, ~n being arc n backwards; rounded, and no point twice in a row."""
    points = [point for n in numbers for point in (arcs[n] if n >= 0 else arcs[~n][::-1])]
    rounded = [(round(x, DIGITS), round(y, DIGITS)) for x, y in points]
    return [*(a for a, b in pairwise(rounded) if a != b), rounded[-1]]


def _worth_drawing(polygons: list[list[Arc]]) -> list[list[Arc]]:
    """The polygons without the smallest islands and holes. The largest one of a country stays, if need be as its box."""
    largest = max(polygons, key=lambda polygon: _size(polygon[0]))
    kept = [[ring for ring in polygon if _size(ring) >= LEAST_SQUARE_DEGREES] for polygon in polygons]
    kept = [[_open_enough(polygon[0]), *(r for r in polygon[1:] if len(r) > 3)] for polygon in kept if polygon]
    return kept or [[_open_enough(largest[0])]]


def _open_enough(ring: Arc) -> Arc:
    if len(ring) > 3:
        return ring
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    west, east, south, north = min(xs) - 0.02, max(xs) + 0.02, min(ys) - 0.02, max(ys) + 0.02
    box = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return [(round(x, DIGITS), round(y, DIGITS)) for x, y in box]


def _size(ring: Arc) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))) / 2


def _first(name: str | list[str]) -> str:
    return name if isinstance(name, str) else name[0]


def _feature(code: str, name: str, polygons: list[list[Arc]]) -> dict[str, Any]:
    geometry = {"type": "MultiPolygon", "coordinates": polygons} if polygons else None
    return {"type": "Feature", "id": code, "properties": {"name": name}, "geometry": geometry}


def _lines(features: list[dict[str, Any]]) -> Iterator[str]:
    """One feature a line: a change shows where it is."""
    yield '{"type":"FeatureCollection","features":[\n'
    yield ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
    yield "\n]}\n"


if __name__ == "__main__":
    main()
