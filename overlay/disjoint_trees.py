"""Two trees of one stream whose paths to a player share no node, where the topology has two such paths.

The nodes get an order in which every node has a neighbour before it and one behind it (an st-order; Itai and Rodeh 1988). The
first tree only leads from earlier to later nodes, the second only from later to earlier ones. So the paths of a node share
nothing but the source. Where the graph has a node that all paths must pass, the order begins again behind it, and both paths
pass that node: the maximally redundant trees of RFC 7811.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import networkx

from overlay.overlay_file import TreeKind
from overlay.tree_room import Bound
from overlay.trees import Tree, cost, tree


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTrees:
    """Both trees of a stream."""

    first: Tree
    second: Tree

    def shared(self, node: str) -> list[str]:
        """The nodes between the source and `node` that are on both paths; their failure interrupts the stream at `node`."""
        if node not in self.first.parents or node not in self.second.parents:
            return []
        other = {*self.second.path(node)}
        return [each for each in self.first.path(node)[1:-1] if each in other]

    def children(self) -> dict[str, list[str]]:
        """The children of each node in either tree, each once."""
        found = {node: list(children) for node, children in self.first.children().items()}
        for node, children in self.second.children().items():
            known = found.setdefault(node, [])
            known.extend(each for each in children if each not in known)
        return found

    def has_two_paths(self, node: str) -> bool:
        """Whether both trees reach the node, and share no node between it and the source."""
        return node in self.first.parents and node in self.second.parents and not self.shared(node)


Block = Sequence[str]
"""Nodes in their order. All paths to them pass the first one, with which both trees begin."""


def two_trees(graph: networkx.Graph, source: str, receivers: Iterable[str], kind: TreeKind, bound: Bound | None = None) -> TwoTrees:
    """The pair of trees that gives most receivers two disjoint paths; of equal pairs the cheapest.

    `bound` limits the children that a node has in both trees together. `unreached` of a tree names the receivers that only the
    other one reaches, too.
    """
    allowed, wanted = bound or (lambda _node: None), [each for each in dict.fromkeys(receivers) if each != source]
    unavoidable, tried = {*networkx.articulation_points(graph)}, []
    for up, down in _directions(graph, source, allowed):
        made = _grown(up, down, source, wanted, kind, allowed)
        tried.append(made)
        if not made.first.unreached and not made.second.unreached and all({*made.shared(each)} <= unavoidable for each in wanted):
            return made
    return min(tried, key=lambda made: _rank(graph, made, wanted))


def _rank(graph: networkx.Graph, made: TwoTrees, wanted: list[str]) -> tuple[int, int, int, float]:
    """Smaller is better: receivers that no tree reaches, those without two paths, nodes on both paths, cost."""
    unreached = {*made.first.unreached} & {*made.second.unreached}
    once = sum(not made.has_two_paths(each) for each in wanted)
    shared = sum(len(made.shared(each)) for each in wanted)
    return len(unreached), once, shared, cost(graph, made.first) + cost(graph, made.second)


def can_have_two_paths(graph: networkx.Graph, source: str, node: str, bound: Bound | None = None) -> bool:
    """Whether two paths from the source to `node` can share no node. Of the bounds, only 0 counts: such a node is a leaf."""
    allowed = bound or (lambda _node: None)
    usable = graph.subgraph(each for each in graph.nodes if each in (source, node) or allowed(each) != 0)
    if source not in usable or node not in usable:
        return False
    return usable.has_edge(source, node) or bool(networkx.node_connectivity(usable, source, node) >= 2)


def _grown(up: networkx.DiGraph, down: networkx.DiGraph, source: str, wanted: list[str], kind: TreeKind, bound: Bound) -> TwoTrees:
    first = tree(up, source, wanted, kind, bound)
    used = first.children()

    def left(node: str) -> int | None:
        most = bound(node)
        return None if most is None else max(most - len(used.get(node, ())), 0)

    return TwoTrees(first=first, second=tree(down, source, wanted, kind, left))


def _directions(graph: networkx.Graph, source: str, bound: Bound) -> Iterator[tuple[networkx.DiGraph, networkx.DiGraph]]:
    """The graphs in which the two trees may grow, in several versions; at last the graph itself, for both."""
    leaves = {each for each in graph.nodes if each != source and bound(each) == 0}
    for backwards in (False, True):
        if leaves:
            inner = list(_ordered_blocks(graph.subgraph(graph.nodes - leaves), source, backwards=backwards))
            up, down = _directed(graph, inner)
            _add_leaves(graph, up, down, inner, leaves)
            yield up, down
        yield _directed(graph, list(_ordered_blocks(graph, source, backwards=backwards)))
    yield graph.to_directed(), graph.to_directed()


def _directed(graph: networkx.Graph, blocks: list[Block]) -> tuple[networkx.DiGraph, networkx.DiGraph]:
    """The links of the blocks upwards, and downwards."""
    up, down = networkx.DiGraph(), networkx.DiGraph()
    for directed in (up, down):
        directed.add_nodes_from(graph.nodes)
    for first, *others in blocks:
        place = {node: number for number, node in enumerate(others)}
        for one in others:
            for other in graph.adj[one]:
                if other == first or place.get(other, len(place)) < place[one]:
                    up.add_edge(other, one, **graph.edges[other, one])
                if other == first or place.get(other, -1) > place[one]:
                    down.add_edge(other, one, **graph.edges[other, one])
    return up, down


def _add_leaves(graph: networkx.Graph, up: networkx.DiGraph, down: networkx.DiGraph, blocks: list[Block], leaves: set[str]) -> None:
    """Give each node that forwards nothing its earlier neighbours in the first tree, and its later ones in the second."""
    places: dict[str, tuple[int, ...]] = {blocks[0][0]: ()} if blocks else {}
    for number, (first, *others) in enumerate(blocks):
        places |= {node: (*places[first], number, place) for place, node in enumerate(others)}
    for leaf in sorted(leaves):
        found = sorted((each for each in graph.adj[leaf] if each in places), key=places.__getitem__)
        middle = (len(found) + 1) // 2
        both = {each for each in found if places[each] == () or len(found) == 1}
        for each in {*found[:middle], *both}:
            up.add_edge(each, leaf, **graph.edges[each, leaf])
        for each in {*found[middle:], *both}:
            down.add_edge(each, leaf, **graph.edges[each, leaf])


def _ordered_blocks(graph: networkx.Graph, source: str, *, backwards: bool) -> Iterator[Block]:
    """The biconnected parts that the source reaches, each in its order, and each after the one that contains its first node."""
    parts = sorted((sorted(part, reverse=backwards) for part in networkx.biconnected_components(graph)), reverse=backwards)
    waiting = [source]
    while waiting:
        first = waiting.pop()
        here, parts = [part for part in parts if first in part], [part for part in parts if first not in part]
        for part in here:
            yield _order(graph, first, part)
            waiting += [node for node in part if node != first]


def _order(graph: networkx.Graph, first: str, part: Sequence[str]) -> Block:
    """An st-order of a biconnected part, which grows ear by ear, each between its two ends (ears: Schmidt 2013)."""
    if len(part) == 2:
        return [first, *(node for node in part if node != first)]
    block = networkx.Graph()
    block.add_nodes_from(part)
    block.add_edges_from((one, other) for one in part for other in graph.adj[one] if other in block)
    order = [first]
    for ear in networkx.chain_decomposition(block, first):
        inside = [end for _, end in ear[:-1]]
        low, high = order.index(ear[0][0]), order.index(ear[-1][1])
        if low > high:
            low, inside = high, inside[::-1]
        order[low + 1 : low + 1] = inside
    return order
