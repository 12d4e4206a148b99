"""Boolean tomography: the smallest set of hops and links that explains all lossy paths and lies on no clean path.

A path is lossy if at least one of its parts is bad. So the parts of clean paths are good, and each lossy path has a bad part among
its others, the suspects. Suspects that lie on the same lossy paths form a group, because no measurement distinguishes them. Lossy
paths without a common suspect are explained separately.

Finding the smallest set is the hitting set problem. It is solved exactly up to 20,000 combinations of a size; above, the greedy
answer has at most ln(paths) + 1 times as many groups as the smallest.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from math import comb
from operator import or_
from typing import TypeAlias

from feedback_analysis.diagnosis.path_parts import PathPart

MOST_COMBINATIONS = 20_000


@dataclass(frozen=True, slots=True, order=True)
class PathKey:
    """A path: who measures what address."""

    agent: str
    address: str


Suspects: TypeAlias = Mapping[PathKey, frozenset[PathPart]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectGroup:
    """Suspects that lie on the same lossy paths."""

    paths: tuple[PathKey, ...]
    parts: tuple[PathPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What explains some lossy paths that have suspects in common."""

    paths: tuple[PathKey, ...]
    groups: tuple[SuspectGroup, ...]
    smallest: tuple[tuple[SuspectGroup, ...], ...]
    """All smallest sets if `exact`, otherwise one set. Empty if a path has no suspects."""
    exact: bool
    certain: frozenset[SuspectGroup]
    """Groups outside of which a lossy path has no suspects: one of their parts is bad, without any doubt."""


def explain(lossy: Suspects, clean: Iterable[frozenset[PathPart]]) -> list[Explanation]:
    """One explanation for each set of lossy paths that have suspects in common, in the order of their first paths.

    A part with silent hops is never cleared: another path may have other silent hops at this place.
    """
    cleared = {part for parts in clean for part in parts if not part.silent}
    suspects = {path: lossy[path] - cleared for path in sorted(lossy)}
    groups = _groups(suspects)
    groups_on: dict[PathKey, list[SuspectGroup]] = defaultdict(list)
    connected = _connected(suspects, groups)
    first = {path: paths[0] for paths in connected for path in paths}
    for group in groups:
        groups_on[first[group.paths[0]]].append(group)
    return [_explanation(paths, groups_on[paths[0]]) for paths in connected]


def _groups(suspects: Suspects) -> list[SuspectGroup]:
    paths_of: dict[PathPart, list[PathKey]] = defaultdict(list)
    for path, parts in suspects.items():
        for part in parts:
            paths_of[part].append(path)
    parts_on: dict[tuple[PathKey, ...], list[PathPart]] = defaultdict(list)
    for part, paths in paths_of.items():
        parts_on[tuple(paths)].append(part)
    return [SuspectGroup(paths=paths, parts=tuple(sorted(parts))) for paths, parts in sorted(parts_on.items())]


def _connected(suspects: Suspects, groups: Sequence[SuspectGroup]) -> list[tuple[PathKey, ...]]:
    """The lossy paths, divided into sets that share suspects."""
    sets = {path: [path] for path in suspects}
    for group in groups:
        largest = max((sets[path] for path in group.paths), key=len)
        for path in group.paths:
            if sets[path] is not largest:
                largest += sets[path]
                sets |= dict.fromkeys(sets[path], largest)
    return sorted({id(each): tuple(sorted(each)) for each in sets.values()}.values())


def _explanation(paths: tuple[PathKey, ...], groups: Sequence[SuspectGroup]) -> Explanation:
    smallest, exact = _smallest(paths, groups) if groups else ([], True)
    suspected = Counter(path for group in groups for path in group.paths)
    certain = frozenset(group for group in groups if any(suspected[path] == 1 for path in group.paths))
    return Explanation(paths=paths, groups=tuple(groups), smallest=tuple(smallest), exact=exact, certain=certain)


def _smallest(paths: Sequence[PathKey], groups: Sequence[SuspectGroup]) -> tuple[list[tuple[SuspectGroup, ...]], bool]:
    """Sets of groups are compared as numbers with one bit for each path, which is fast."""
    bit = {path: 1 << number for number, path in enumerate(paths)}
    covered = [sum(bit[path] for path in group.paths) for group in groups]
    everything = (1 << len(paths)) - 1
    for size in range(1, len(groups) + 1):
        if comb(len(groups), size) > MOST_COMBINATIONS:
            break
        found = [chosen for chosen in combinations(range(len(groups)), size) if _union(covered, chosen) == everything]
        if found:
            return [tuple(groups[each] for each in chosen) for chosen in found], True
    return [tuple(groups[each] for each in _greedy(everything, covered))], False


def _union(covered: Sequence[int], chosen: Iterable[int]) -> int:
    return reduce(or_, (covered[each] for each in chosen))


def _greedy(left: int, covered: Sequence[int]) -> list[int]:
    chosen: list[int] = []
    while left:
        best = max(range(len(covered)), key=lambda each: (left & covered[each]).bit_count())
        chosen.append(best)
        left &= ~covered[best]
    return chosen
