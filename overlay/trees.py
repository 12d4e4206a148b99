"""Multicast trees over the overlay: what a tree may use, and in which order its receivers join.

A tree is one map from each node to its parent. So each node receives a stream once, and each link carries each packet at most
once. The seed project joined shortest paths that were chosen for each receiver alone; such paths can part and meet again, and
the link after the meeting carries everything twice.

Both kinds of tree grow receiver by receiver, the nearest first. `shortest`: nearest to the source, along the tree. `steiner`:
nearest to any node of the tree, which shares more branches (Takahashi and Matsuyama 1980: at most twice the least cost). If the
bounds have left a receiver out, `tree_room` makes room for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import networkx

from overlay.nearest_path import nearest_path
from overlay.overlay_file import Metric, Overlay, OverlayLink, TreeKind
from overlay.route_cost import composite_ms
from overlay.tree_room import Bound, subtree, with_room


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The tree of one stream, from its source to the receivers."""

    source: str
    parents: Mapping[str, str]
    """The parent of each node except the source. A parent precedes its children."""
    unreached: tuple[str, ...] = ()
    """Receivers to which no path within the limits leads."""

    def path(self, node: str) -> list[str]:
        """The nodes from the source to `node`."""
        path = [node]
        while path[-1] != self.source:
            path.append(self.parents[path[-1]])
        return path[::-1]

    def children(self) -> dict[str, list[str]]:
        """The children of each node in the tree, in the order in which they joined."""
        found: dict[str, list[str]] = {self.source: []}
        for node, parent in self.parents.items():
            found.setdefault(node, [])
            found.setdefault(parent, []).append(node)
        return found

    def links(self) -> Iterator[tuple[str, str]]:
        """The links, as parent and child."""
        return ((parent, node) for node, parent in self.parents.items())


LinkCosts = Mapping[tuple[str, str], float]
"""By the two ends of a link in alphabetical order."""


def graph_of(overlay: Overlay, metric: Metric, measured: LinkCosts | None = None) -> networkx.Graph:
    """The nodes and links, with the cost of each link by `metric` as `weight`: the measured one, or else the declared one.

    Nodes and links are in alphabetical order, since networkx decides between equal paths by the order of insertion.
    """
    graph = networkx.Graph()
    graph.add_nodes_from(sorted(overlay.nodes))
    for (one, other), link in sorted(overlay.links.items()):
        weight = (measured or {}).get((one, other))
        graph.add_edge(one, other, weight=declared_cost(link, metric) if weight is None else weight)
    return graph


def declared_cost(link: OverlayLink, metric: Metric) -> float:
    """The cost of a link by the values of the topology file: hops, or milliseconds for the other metrics."""
    if metric == "hops":
        return 1.0
    if metric == "latency":
        return link.delay_ms
    return composite_ms(one_way_ms=link.delay_ms, loss=link.loss, utilisation=0.0)


def tree(graph: networkx.Graph, source: str, receivers: Iterable[str], kind: TreeKind, bound: Bound | None = None) -> Tree:
    """A tree from the source to the receivers. `steiner` is never more expensive than `shortest`: it is the cheaper of both."""
    wanted = [each for each in dict.fromkeys(receivers) if each != source]
    shortest = _Growth(graph, source, bound, along_the_tree=True).grown(wanted)
    if kind == "shortest":
        return shortest
    steiner = _Growth(graph, source, bound, along_the_tree=False).grown(wanted)
    return min(steiner, shortest, key=lambda grown: (len(grown.unreached), cost(graph, grown)))


def cost(graph: networkx.Graph, grown: Tree) -> float:
    """The sum over the links of a tree."""
    return _sum(graph, grown.links())


def _sum(graph: networkx.Graph, links: Iterable[tuple[str, str]]) -> float:
    return float(sum(graph.edges[link]["weight"] for link in links))


class _Growth:
    """A tree that grows. A search begins at all nodes of the tree that may have one more child."""

    def __init__(self, graph: networkx.Graph, source: str, bound: Bound | None, *, along_the_tree: bool) -> None:
        self._bound = bound or (lambda _node: None)
        self._along_the_tree = along_the_tree
        self._source = source
        self._parents: dict[str, str] = {}
        self._distances = {source: 0.0}
        self._free = {source: self._bound(source)}
        self._graph = graph
        self._behind = {node: [(other, link["weight"]) for other, link in graph.adj[node].items()] for node in graph.nodes}

    def grown(self, receivers: list[str]) -> Tree:
        remaining = set(receivers) - self._distances.keys()
        while remaining:
            starts = {
                node: distance if self._along_the_tree else 0.0
                for node, distance in self._distances.items()
                if self._free[node] != 0
            }
            path = nearest_path(starts, remaining, self._links)
            if not path:
                break
            self._attach(path)
            remaining -= self._distances.keys()
        return self._with_room_for(remaining)

    def _with_room_for(self, remaining: set[str]) -> Tree:
        """The tree, rearranged for receivers that found no node with room."""
        graph, parents = self._graph.to_directed(), self._parents
        before = -1
        while remaining and len(parents) != before:  # room for one receiver can be a way to another one
            before = len(parents)
            for receiver in sorted(remaining):
                parents = with_room(graph, self._source, parents, receiver, self._bound) or parents
                remaining = remaining - parents.keys()
        return Tree(source=self._source, parents=parents, unreached=tuple(sorted(remaining)))

    def _links(self, node: str) -> Iterable[tuple[str, float]]:
        """The links that a search may use behind a node: to nodes outside the tree."""
        if node not in self._distances and self._bound(node) == 0:
            return ()
        return [link for link in self._behind[node] if link[0] not in self._distances]

    def _attach(self, path: list[str]) -> None:
        for parent, child in pairwise(path):
            self._parents[child] = parent
            self._distances[child] = self._distances[parent] + self._graph.edges[parent, child]["weight"]
            self._free[child] = self._bound(child)
            free = self._free[parent]
            self._free[parent] = None if free is None else free - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """The nodes that replace failed parents."""

    parents: Mapping[str, str]
    """For each node of the tree: the neighbour that it asks when its parent has failed."""
    standbys: Mapping[str, str]
    """For each standby outside the tree: the neighbour from which it then gets the stream."""


def backups(graph: networkx.Graph, grown: Tree, bound: Bound | None = None) -> Backups:
    """The cheapest way back into the tree for each node, without its parent and all that the parent feeds.

    The children of the source have no backup; nor has a node without another way. A standby gets the stream from one neighbour
    for all nodes that may need it; a way on which it needs another neighbour is not used.
    """
    allowed, children = bound or (lambda _node: None), grown.children()
    open_nodes = {node for node in graph.nodes if _may_help(node, children, allowed)}
    parents: dict[str, str] = {}
    standbys: dict[str, str] = {}
    for node, parent in grown.parents.items():
        if parent == grown.source:
            continue
        usable = open_nodes - subtree(parent, children)
        path = _way_back(graph, node, usable, usable & children.keys(), standbys)
        if path:
            parents[node] = path[-2]
            standbys |= zip(path[1:-1], path[:-2], strict=True)
    return Backups(parents=parents, standbys=standbys)


def _may_help(node: str, children: Mapping[str, list[str]], bound: Bound) -> bool:
    """Whether a node could take another child, or one if it is not in the tree."""
    most = bound(node)
    return most is None or len(children.get(node, ())) < most


def _way_back(graph: networkx.Graph, node: str, usable: set[str], entries: set[str], standbys: Mapping[str, str]) -> list[str]:
    """A cheapest path from one of the entries to `node`, on which each standby comes after its upstream; empty if there is none."""

    def before(after: str) -> Iterable[tuple[str, float]]:
        upstream = standbys.get(after)
        found = graph.adj[after].items()
        return [(each, link["weight"]) for each, link in found if each in usable and upstream in (None, each)]

    return nearest_path({node: 0.0}, entries, before)[::-1]


def stress(paths: Iterable[list[str]]) -> dict[tuple[str, str], int]:
    """How many copies of one packet each link carries without multicast, with a copy for each path."""
    copies: dict[tuple[str, str], int] = {}
    for path in paths:
        for link in pairwise(path):
            copies[link] = copies.get(link, 0) + 1
    return copies


def stretches(graph: networkx.Graph, grown: Tree, nodes: Iterable[str]) -> dict[str, float]:
    """The cost of each node's path in the tree divided by the cost of its cheapest path; 1 is the best."""
    shortest = networkx.single_source_dijkstra_path_length(graph, grown.source)
    return {node: _sum(graph, pairwise(grown.path(node))) / shortest[node] if shortest[node] else 1.0 for node in nodes}
