"""The hops and links of a path.

A node is the text of an address, `agent NAME`, or None for a hop that did not answer. A path begins with its agent and ends with
its destination.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Node: TypeAlias = str | None


@dataclass(frozen=True, slots=True, order=True)
class PathPart:
    """A hop (`before` and `after` are the same) or the link between two hops."""

    before: str
    after: str
    """Empty: a silent hop, the one after `silent - 1` other silent hops."""
    silent: int = 0
    """How many silent hops there are between the two, at least."""

    @property
    def is_hop(self) -> bool:
        """Whether it is a hop, not a link."""
        return self.before == self.after


def parts_of(nodes: Sequence[Node]) -> tuple[PathPart, ...]:
    """The parts of a path in their order. A part that touches a silent hop has `silent` above 0."""
    parts: list[PathPart] = []
    last, silent = "", 0
    for node in nodes:
        if node is None:
            silent += 1
            parts.append(PathPart(last, "", silent))
            continue
        parts += [PathPart(last, node, silent)] if parts else []
        parts.append(PathPart(node, node))
        last, silent = node, 0
    return tuple(parts)


def by_node(paths: Iterable[Sequence[Node]]) -> Mapping[Node, Sequence[Sequence[Node]]]:
    """The paths over each node."""
    found: dict[Node, list[Sequence[Node]]] = defaultdict(list)
    for nodes in paths:
        for node in dict.fromkeys(nodes):
            found[node].append(nodes)
    return found


def possible_parts(nodes: Sequence[Node], others: Mapping[Node, Sequence[Sequence[Node]]]) -> frozenset[PathPart]:
    """All parts that a path may have. A silent hop may be any hop that another path has at such a place. `others`: by node."""
    found = set(parts_of(nodes))
    for part in list(found):
        if part.silent and part.after:
            for other in others.get(part.before, ()):
                found |= _parts_between(other, part)
    return frozenset(found)


def _parts_between(other: Sequence[Node], blurred: PathPart) -> set[PathPart]:
    """The parts of another path after the first end of a link with silent hops, up to its second end if the path reaches it."""
    if blurred.before not in other[:-1]:
        return set()
    start = other.index(blurred.before)
    reaches = blurred.after in other[start:]
    end = other.index(blurred.after, start) + 1 if reaches else len(other) - 1
    return set(parts_of(other[start:end])) - {PathPart(blurred.before, blurred.before)}


def text_of(parts: Sequence[PathPart]) -> str:
    """Consecutive parts, for people."""
    first, last = parts[0], parts[-1]
    end = last.after or "a silent hop"
    if first.before == end:
        return end
    return f"{'from' if first.is_hop else 'after'} {first.before} {'up to' if last.is_hop else 'on the way to'} {end}"
