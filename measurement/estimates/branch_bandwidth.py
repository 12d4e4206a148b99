"""The bandwidth between two end nodes that never measured each other, from the branches of their trees (BRoute, Hu 2006).

The source tree of a node joins its paths to landmarks, its sink tree the paths from landmarks to it, both as paths of autonomous
systems (AS). A source tree and a sink tree usually meet in an AS near the top. The bandwidth from one node to the other is then
the smaller one of the bandwidths of the two branches that meet there, because bottlenecks are mostly near the ends of a path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePath:
    """One measured path: the AS of each part, and the bandwidth that Pathneck found there in kbit/s. None: not known."""

    as_path: Sequence[int | None]
    """In the direction of the packets."""
    bandwidth_kbps: Sequence[float | None]
    """One for each AS of `as_path`."""

    def __post_init__(self) -> None:
        if len(self.as_path) != len(self.bandwidth_kbps):
            raise ValueError(f"{len(self.as_path)} ASes need as many bandwidths, not {len(self.bandwidth_kbps)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEstimate:
    """What connects two nodes. `bandwidth_kbps` is None if no part of a branch has a known bandwidth."""

    common_as: int
    as_path: Sequence[int | None]
    source_branch_kbps: float | None
    sink_branch_kbps: float | None
    bandwidth_kbps: float | None


def estimate_pair(source_tree: Sequence[TreePath], sink_tree: Sequence[TreePath]) -> PairEstimate | None:
    """The estimate from the root of `source_tree` to the root of `sink_tree`; None if the trees have no AS in common.

    Of several common ASes, the one with the shortest AS path is taken; among these, the one that most paths of both trees pass,
    then the one with the lowest number.
    """
    source = {asn: _shortest(_up_to(path, asn) for path in source_tree if asn in path.as_path) for asn in _ases(source_tree)}
    sink = {asn: _shortest(_down_from(path, asn) for path in sink_tree if asn in path.as_path) for asn in _ases(sink_tree)}
    common = source.keys() & sink.keys()
    if not common:
        return None

    def cost(asn: int) -> tuple[int, int, int]:
        passing = sum(asn in path.as_path for path in chain(source_tree, sink_tree))
        return len(source[asn].as_path) + len(sink[asn].as_path), -passing, asn

    best = min(common, key=cost)
    first, last = _least(source[best].bandwidth_kbps), _least(sink[best].bandwidth_kbps)
    return PairEstimate(
        common_as=best,
        as_path=[*source[best].as_path, *sink[best].as_path[1:]],
        source_branch_kbps=first,
        sink_branch_kbps=last,
        bandwidth_kbps=None if first is None or last is None else min(first, last),
    )


def _ases(tree: Iterable[TreePath]) -> set[int]:
    return {asn for path in tree for asn in path.as_path if asn is not None}


def _up_to(path: TreePath, asn: int) -> TreePath:
    end = list(path.as_path).index(asn) + 1
    return TreePath(as_path=path.as_path[:end], bandwidth_kbps=path.bandwidth_kbps[:end])


def _down_from(path: TreePath, asn: int) -> TreePath:
    first = len(path.as_path) - 1 - list(path.as_path)[::-1].index(asn)
    return TreePath(as_path=path.as_path[first:], bandwidth_kbps=path.bandwidth_kbps[first:])


def _shortest(branches: Iterable[TreePath]) -> TreePath:
    """The shortest branch; among these, one with a known bandwidth, and the largest one."""
    return min(branches, key=lambda branch: (len(branch.as_path), -(_least(branch.bandwidth_kbps) or 0.0)))


def _least(bandwidths_kbps: Iterable[float | None]) -> float | None:
    return min((each for each in bandwidths_kbps if each is not None), default=None)
