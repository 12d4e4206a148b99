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
from itertools import combinations
from math import comb
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
    return [_explanation(paths, [each for each in groups if each.paths[0] in paths]) for paths in _connected(suspects, groups)]


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
    sets = [{path} for path in suspects]
    for group in groups:
        touched = [each for each in sets if each & set(group.paths)]
        sets = [each for each in sets if each not in touched] + [set().union(*touched)]
    return sorted(tuple(sorted(each)) for each in sets)


def _explanation(paths: tuple[PathKey, ...], groups: Sequence[SuspectGroup]) -> Explanation:
    smallest, exact = _smallest(set(paths), groups) if groups else ([], True)
    suspected = Counter(path for group in groups for path in group.paths)
    certain = frozenset(group for group in groups if any(suspected[path] == 1 for path in group.paths))
    return Explanation(paths=paths, groups=tuple(groups), smallest=tuple(smallest), exact=exact, certain=certain)


def _smallest(paths: set[PathKey], groups: Sequence[SuspectGroup]) -> tuple[list[tuple[SuspectGroup, ...]], bool]:
    for size in range(1, len(groups) + 1):
        if comb(len(groups), size) > MOST_COMBINATIONS:
            break
        found = [chosen for chosen in combinations(groups, size) if paths <= {path for each in chosen for path in each.paths}]
        if found:
            return found, True
    return [_greedy(paths, groups)], False


def _greedy(paths: set[PathKey], groups: Sequence[SuspectGroup]) -> tuple[SuspectGroup, ...]:
    left, chosen = set(paths), list[SuspectGroup]()
    while left:
        best = max(groups, key=lambda group: len(left & set(group.paths)))
        chosen.append(best)
        left -= set(best.paths)
    return tuple(chosen)
