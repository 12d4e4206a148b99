"""The plan of a stream: its tree or two trees, and the place of each node in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import networkx

from overlay.disjoint_trees import TwoTrees, two_trees
from overlay.overlay_file import Overlay, Stream
from overlay.tree_room import Bound
from overlay.trees import Tree, backups, tree


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """The parents of a node, and its children."""

    parent: str | None = None
    second_parent: str | None = None
    """The parent in the second of two trees."""
    children: tuple[str, ...] = ()
    """The children in both trees, each once."""
    backup: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """The trees of one stream, and the place of each node that they need."""

    first: Tree
    two: TwoTrees | None
    places: Mapping[str, NodePlace]


def planned(overlay: Overlay, stream: Stream, graph: networkx.Graph, players: Iterable[str]) -> StreamPlan:
    """The plan of a stream for its present players. `graph` has the present nodes, and links with costs."""
    bound = partial(overlay.most_children, stream_kbps=stream.rate_kbps)
    if stream.redundancy == "two_trees":
        return _with_two_trees(graph, two_trees(graph, stream.source, players, stream.tree, bound), bound)
    grown = tree(graph, stream.source, players, stream.tree, bound)
    helped = backups(graph, grown, bound)
    places = {
        node: NodePlace(parent=grown.parents.get(node), children=tuple(children), backup=helped.parents.get(node))
        for node, children in grown.children().items()
    }
    places |= {node: NodePlace(backup=upstream) for node, upstream in helped.standbys.items()}
    return StreamPlan(first=grown, two=None, places=places)


def _with_two_trees(graph: networkx.Graph, two: TwoTrees, bound: Bound) -> StreamPlan:
    """A node that only one tree reaches gets a backup in the first one, as in a stream with one tree."""
    first, second = two.first.children(), two.second.children()

    def left(node: str) -> int | None:
        most = bound(node)
        return None if most is None else max(most - len({*second.get(node, ())} - {*first.get(node, ())}), 0)

    helped = backups(graph, two.first, left)
    places, standbys = {}, dict(helped.standbys)
    for node, children in two.children().items():
        parents = [*dict.fromkeys(each.parents[node] for each in (two.first, two.second) if node in each.parents)]
        places[node] = NodePlace(
            parent=parents[0] if parents else None,
            second_parent=parents[1] if len(parents) > 1 else None,
            children=tuple(children),
            backup=helped.parents.get(node) if len(parents) == 1 else None,
        )
        standbys.pop(node, None)
    return StreamPlan(
        first=two.first, two=two, places=places | {node: NodePlace(backup=upstream) for node, upstream in standbys.items()}
    )
