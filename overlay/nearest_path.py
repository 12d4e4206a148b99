"""The nearest of some nodes: Dijkstra's algorithm, which ends at the first of them.

A tree needs one such search for each receiver. In a dense topology, a search of all nodes would cost far more than its answer.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from heapq import heapify, heappop, heappush
from math import inf

NO_PATH = (inf, 0)


def nearest_path(
    starts: Mapping[str, float], wanted: Container[str], links: Callable[[str], Iterable[tuple[str, float]]]
) -> list[str]:
    """A cheapest path from one of `starts`, each with its own cost, to one of `wanted`; empty if there is none.

    `links` has the nodes behind a node and the costs of the links to them. Of equally cheap paths,
    the one with the fewest links counts, then the one to the first node by name.
    """
    best, before = {node: (each, 0) for node, each in starts.items()}, dict[str, str]()
    waiting = [(*each, node) for node, each in best.items()]
    heapify(waiting)
    while waiting:
        so_far, length, node = heappop(waiting)
        if (so_far, length) > best[node]:
            continue
        if node in wanted:
            return _path_to(node, before)
        for following, each in links(node):
            total = so_far + each, length + 1
            if total < best.get(following, NO_PATH):
                best[following], before[following] = total, node
                heappush(waiting, (*total, following))
    return []


def _path_to(node: str, before: Mapping[str, str]) -> list[str]:
    path = [node]
    while path[-1] in before:
        path.append(before[path[-1]])
    return path[::-1]
