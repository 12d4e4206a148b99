"""Nodes that find their neighbours themselves: candidates in, measured costs in, links out. The bootstrapper owns it.

A node that joins gets five candidates at random, and links to them at once. When the links are measured, it keeps the three
cheapest. From then on it tries one more candidate each minute, so it finds nearer neighbours over time. No node has more links
than it may, and a link that the streams need to reach a node is not taken away.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from overlay.overlay_file import DISCOVER, DescribedNode, Overlay, OverlayLink, pair

CANDIDATES, KEPT = 5, 3
MOST_NEIGHBORS = 12
"""The most neighbours of a node without `max_neighbors` in the file."""
MEASURED_AFTER_S = 20.0
"""A node without a stream reports its links each 15 s. A link without a report by then counts as the worst."""
SEEK_AGAIN_S = 5.0
"""The time until a node that got too few candidates gets others."""
TRY_EVERY_S = 60.0
MOST_UNLISTED = 10_000
"""The most present nodes that the file does not name."""


@dataclass(slots=True)
class _Found:
    """A link that a node has found."""

    seeker: str
    since_s: float


class Discovery:
    """The overlay of the file, with the nodes and links that have been found. `overlay` is a new value after each change."""

    def __init__(self, described: Overlay, chance: random.Random | None = None) -> None:
        self.overlay = self._described = described
        self._chance = chance or random.Random()  # noqa: S311 - no secret
        self._found: dict[tuple[str, str], _Found] = {}
        self._tried_s: dict[str, float] = {}
        """For each present node that needs neighbours: when it last got candidates."""

    def admits(self, node: str) -> bool:
        """Whether a node with the right key may join."""
        if node in self._described.nodes:
            return True
        unlisted = len(self.overlay.nodes) - len(self._described.nodes)
        return self._described.others is not None and node.isprintable() and unlisted < MOST_UNLISTED

    def joined(self, node: str, present: Collection[str], now_s: float) -> set[str]:
        """A node has joined. Returns the nodes whose neighbours change."""
        others = self._described.others
        if node not in self.overlay.nodes and others is not None:
            self._change(nodes={**self.overlay.nodes, node: others})
        if self.overlay.nodes[node].neighbors != DISCOVER:
            return set()
        return self._seek(node, present, CANDIDATES, now_s)

    def left(self, node: str) -> None:
        """A node has left: forget its links, and the node itself if the topology file does not name it."""
        self._tried_s.pop(node, None)
        gone = [link for link in self._found if node in link]
        for link in gone:
            del self._found[link]
        nodes = {name: each for name, each in self.overlay.nodes.items() if name != node or name in self._described.nodes}
        if gone or len(nodes) < len(self.overlay.nodes):
            self._change(nodes=nodes)

    def improve_links(self, present: Collection[str], costs: Mapping[tuple[str, str], float], now_s: float) -> set[str]:
        """Each second: keep the best links, and add some where there are too few. Returns the nodes whose neighbours change."""
        changed: set[str] = set()
        sought: dict[str, list[tuple[str, str]]] = {}
        for link, found in self._found.items():
            sought.setdefault(found.seeker, []).append(link)
        reached = self._reached(present)
        for node, tried_s in list(self._tried_s.items()):
            own = [link for link in sought.get(node, ()) if link in self._found]
            if len(own) > KEPT and all(link in costs or now_s - self._found[link].since_s > MEASURED_AFTER_S for link in own):
                changed |= self._drop_worst(own, costs, present)
            elif (len(own) < KEPT or node not in reached) and now_s - tried_s > SEEK_AGAIN_S:
                changed |= self._seek(node, present, max(CANDIDATES - len(own), 1), now_s)
            elif now_s - tried_s > TRY_EVERY_S:
                changed |= self._seek(node, present, 1, now_s)
        return changed

    # Links

    def _seek(self, node: str, present: Collection[str], count: int, now_s: float) -> set[str]:
        """Link a node to candidates. At least one of them can feed it, if there is such a node with room for a link."""
        self._tried_s[node] = now_s
        reached, known = self._reached(present), {*self._neighbors(node)}
        possible = [each for each in sorted(present) if each not in known and each != node]
        room = [each for each in possible if self._has_room(each)]
        feeding = [each for each in room if each in reached and self._forwards(each)]
        changed: set[str] = set()
        if not feeding and node not in reached:
            full = [each for each in possible if each in reached and self._forwards(each)]
            feeding, changed = self._made_room(full, present)
        chosen = self._chance.sample(feeding, min(count, len(feeding)))
        if self._forwards(node):  # it can feed others
            others = [each for each in room if each not in chosen]
            chosen += self._chance.sample(others, min(count - len(chosen), len(others)))
        free = self._most(node) - len(known)
        for other in chosen[: max(free, 0)]:
            self._found[pair(node, other)] = _Found(node, now_s)
            changed |= {node, other}
        if changed:
            self._change()
        return changed

    def _made_room(self, full: list[str], present: Collection[str]) -> tuple[list[str], set[str]]:
        """Remove a link of a full node, so that it can get another. Returns this node, and the nodes whose neighbours change."""
        for other in self._chance.sample(full, len(full)):
            for link in [each for each in self._found if other in each]:
                if len(self._neighbors(self._found[link].seeker)) > 1 and self._is_spare(link, present):
                    self._remove(link)
                    return [other], {*link}
        return [], set()

    def _drop_worst(self, own: list[tuple[str, str]], costs: Mapping[tuple[str, str], float], present: Collection[str]) -> set[str]:
        changed: set[str] = set()
        left = len(own)
        for link in sorted(own, key=lambda each: costs.get(each, float("inf")), reverse=True):
            if left > KEPT and self._is_spare(link, present):
                self._remove(link)
                left -= 1
                changed |= {*link}
        return changed

    def _is_spare(self, link: tuple[str, str], present: Collection[str]) -> bool:
        """Whether the sources reach as many nodes without the link."""
        return len(self._reached(present, without=link)) == len(self._reached(present))

    def _remove(self, link: tuple[str, str]) -> None:
        del self._found[link]
        self._change()

    def _change(self, nodes: Mapping[str, DescribedNode] | None = None) -> None:
        links = {**self._described.links, **{link: OverlayLink(between=link) for link in self._found}}
        self.overlay = msgspec.structs.replace(self.overlay, nodes=self.overlay.nodes if nodes is None else nodes, links=links)

    # What a node may do

    def _neighbors(self, node: str) -> list[str]:
        return [other for link in self.overlay.links if node in link for other in link if other != node]

    def _most(self, node: str) -> int:
        most = self.overlay.nodes[node].max_neighbors
        return MOST_NEIGHBORS if most is None else most

    def _has_room(self, node: str) -> bool:
        return len(self._neighbors(node)) < self._most(node)

    def _forwards(self, node: str) -> bool:
        return self.overlay.most_children(node, stream_kbps=0.001) != 0

    def _reached(self, present: Collection[str], without: tuple[str, str] | None = None) -> set[str]:
        """The present nodes to which a path of forwarding nodes leads from a source."""
        neighbors: dict[str, list[str]] = {}
        for link in self.overlay.links:
            if link != without and link[0] in present and link[1] in present:
                for one, other in (link, link[::-1]):
                    neighbors.setdefault(one, []).append(other)
        sources = sorted({stream.source for stream in self.overlay.streams.values()} & {*present})
        return _spread(sources, neighbors, self._forwards)


def _spread(sources: Iterable[str], neighbors: Mapping[str, list[str]], forwards: Callable[[str], bool]) -> set[str]:
    waiting = list(sources)
    found = {*waiting}
    origin = {*waiting}
    for node in waiting:
        if node in origin or forwards(node):
            new = [each for each in neighbors.get(node, ()) if each not in found]
            found.update(new)
            waiting += new
    return found
