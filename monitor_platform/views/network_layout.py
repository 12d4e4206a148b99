"""Places of the nodes of a path map: agents at the left, destinations at the right, and few crossings between them.

A column is the longest way from an agent. Rows are found as in a layered drawing (Sugiyama): each node moves to the mean of its
neighbours, and nodes of one column keep a distance of one row. Links over several columns bend around the nodes between them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from feedback_analysis.measurements.path_map import NodeRole, PathMap

_SWEEPS = 8

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLayout:
    """`places`: column and row of each node. `bends`: the points of each link between its ends. Rows grow downwards from 0."""

    places: Mapping[str, Point]
    bends: Mapping[tuple[str, str], tuple[Point, ...]]
    columns: int
    rows: float


def layout_of_map(shown: PathMap) -> NetworkLayout:
    """The same for the same map, whatever the order of its links is."""
    links = sorted({(link.begin, link.end) for link in shown.links})
    columns = _columns(sorted(node.id for node in shown.nodes), links)
    last = max(columns.values(), default=0)
    # Two names at one distance would be drawn into one column; destinations have the last one for themselves.
    columns |= {node.id: last for node in shown.nodes if node.role is NodeRole.DESTINATION}
    chains = {(begin, end): _chain(begin, end, columns) for begin, end in links}
    levels: dict[str, int] = dict(columns)
    for chain in chains.values():
        levels |= {name: level for name, level in chain if name not in levels}
    joined = [(one[0], other[0]) for chain in chains.values() for one, other in pairwise(chain)]
    rows = _rows(levels, joined)
    return NetworkLayout(
        places={node.id: (float(columns[node.id]), rows[node.id]) for node in shown.nodes},
        bends={ends: tuple((float(level), rows[name]) for name, level in chain[1:-1]) for ends, chain in chains.items()},
        columns=last + 1,
        rows=max(rows.values(), default=0.0),
    )


def _columns(nodes: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest way to each node over links that lead forward. A link that closes a circle does not count."""
    after: dict[str, list[str]] = defaultdict(list)
    for begin, end in links:
        after[begin].append(end)
    order = _forward_order(nodes, after)
    place = {name: at for at, name in enumerate(order)}
    columns = dict.fromkeys(nodes, 0)
    for name in order:
        for end in after[name]:
            if place[end] > place[name]:
                columns[end] = max(columns[end], columns[name] + 1)
    return columns


def _forward_order(nodes: Sequence[str], after: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes in an order in which all links lead forward, except those that close a circle."""
    ends = {end for some in after.values() for end in some}
    begun: set[str] = set()
    finished: list[str] = []
    for root in sorted(nodes, key=lambda name: (name in ends, name)):
        waiting = [(root, iter(after.get(root, ())))] if root not in begun else []
        begun.add(root)
        while waiting:
            name, rest = waiting[-1]
            following = next((each for each in rest if each not in begun), None)
            if following is None:
                finished.append(name)
                waiting.pop()
            else:
                begun.add(following)
                waiting.append((following, iter(after.get(following, ()))))
    return finished[::-1]


def _chain(begin: str, end: str, columns: Mapping[str, int]) -> list[tuple[str, int]]:
    """The ends of a link, and a point in each column between them."""
    first, last = columns[begin], columns[end]
    between = [(f"{begin} > {end} > {level}", level) for level in range(first + 1, last)]
    return [(begin, first), *between, (end, last)]


def _rows(levels: Mapping[str, int], joined: Iterable[tuple[str, str]]) -> dict[str, float]:
    neighbours: dict[str, list[str]] = defaultdict(list)
    for one, other in joined:
        neighbours[one].append(other)
        neighbours[other].append(one)
    by_level: dict[int, list[str]] = defaultdict(list)
    for name, level in sorted(levels.items()):
        by_level[level].append(name)
    rows = {name: float(at) for some in by_level.values() for at, name in enumerate(some)}
    for sweep in range(_SWEEPS):
        for level in sorted(by_level, reverse=sweep % 2 == 1):
            wanted = {name: _mean([rows[each] for each in neighbours[name]], rows[name]) for name in by_level[level]}
            by_level[level].sort(key=lambda name: (wanted[name], name))
            placed = apart([wanted[name] for name in by_level[level]])
            rows |= dict(zip(by_level[level], placed, strict=True))
    top = min(rows.values(), default=0.0)
    return {name: row - top for name, row in rows.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def apart(wanted: Sequence[float]) -> list[float]:
    """The places nearest to `wanted`, which are sorted, with at least one row between two of them."""
    groups: list[tuple[float, int]] = []  # mean of wanted place minus rank, and number
    for rank, place in enumerate(wanted):
        groups.append((place - rank, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (later, more), (earlier, some) = groups.pop(), groups.pop()
            groups.append(((later * more + earlier * some) / (more + some), more + some))
    shifts = [shift for shift, number in groups for _ in range(number)]
    return [shift + rank for rank, shift in enumerate(shifts)]
