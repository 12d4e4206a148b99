"""Makes room in a tree whose limits leave a receiver out: nodes change parents until one has room for the receiver."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import networkx

Bound = Callable[[str], int | None]
"""To how many children a node may forward; None: no limit."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A new path into the tree for a node: from a node of the tree, over nodes outside it."""

    path: list[str]
    before: "_Step | None"
    """The next step, for which the first node of this path needs room."""


def with_room(
    graph: networkx.DiGraph, source: str, parents: Mapping[str, str], receiver: str, bound: Bound
) -> dict[str, str] | None:
    """The parents of a tree that also reaches `receiver`; None if no chain of changes makes room for it.

    A full node gives one of its children to another node of the tree. If that one is full, it gives a child away too, and so on
    (breadth first, so the fewest nodes change). Links of `graph` lead from a parent to a child.
    """
    children = _children(source, parents)
    seen: set[str] = set()
    waiting = [_Step(path, None) for path in _paths(graph, children, receiver, bound)]
    for step in waiting:
        full = step.path[0]
        if full in seen:
            continue
        seen.add(full)
        most = bound(full)
        if most is None or len(children[full]) < most:
            changed = _changed(source, parents, step, bound)
            if changed is not None:
                return changed
        for child in children[full]:
            below = subtree(child, children)
            paths = _paths(graph, children, child, bound)
            waiting += [_Step(path, step) for path in paths if path[0] not in seen and path[0] not in below]
    return None


def _paths(graph: networkx.DiGraph, children: Mapping[str, list[str]], node: str, bound: Bound) -> Iterator[list[str]]:
    """A path to `node` from each node of the tree that leads there over nodes outside the tree, the shortest first."""
    paths, waiting = {node: [node]}, [node]
    for each in waiting:
        for before in sorted(graph.predecessors(each)):
            if before in paths or bound(before) == 0:
                continue
            paths[before] = [before, *paths[each]]
            if before in children:
                yield paths[before]
            else:
                waiting.append(before)


def _changed(source: str, parents: Mapping[str, str], last: _Step, bound: Bound) -> dict[str, str] | None:
    """The parents after all steps; None if two steps need the same node, so that it has too many children, or make a circle."""
    changed, step = dict(parents), last
    while True:
        changed |= dict(zip(step.path[1:], step.path[:-1], strict=True))
        if step.before is None:
            break
        step = step.before
    children, ordered, waiting = _children(source, changed), dict[str, str](), [source]
    for node in waiting:
        most = bound(node)
        if most is not None and len(children[node]) > most:
            return None
        ordered |= dict.fromkeys(children[node], node)
        waiting += children[node]
    return ordered if len(ordered) == len(changed) else None


def _children(source: str, parents: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {source: [], **{node: [] for node in parents}}
    for node, parent in parents.items():
        found[parent].append(node)
    return found


def subtree(node: str, children: Mapping[str, list[str]]) -> set[str]:
    """A node and all nodes below it."""
    found = [node]
    for each in found:
        found += children[each]
    return {*found}
