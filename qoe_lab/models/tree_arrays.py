"""Decision trees as plain arrays, and their evaluation with NumPy.

Forests and boosted trees of scikit-learn become the same arrays: all nodes of all trees one after the other. The output of an
example is `base` plus `scale` times the sum of the values of the leaves that it reaches. The results equal those of scikit-learn.

Children come after their parents. This is how scikit-learn numbers nodes, and it is checked, so that no file can hold a cycle.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Floats

ROWS_AT_ONCE = 512
"""How many examples descend together: a compromise between memory and speed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trees:
    """Trees over a number of features. The arrays from `feature` to `value` have one entry per node."""

    feature: NDArray[np.int32]
    """The feature that the node compares; -1 for a leaf."""
    threshold: Floats
    """An example goes left if its feature is at most the threshold."""
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    """The children; -1 for a leaf."""
    missing_left: NDArray[np.bool_]
    """Where an example without the feature goes."""
    value: Floats
    """What a leaf adds to each output: one row per node."""
    roots: NDArray[np.int32]
    """The first node of each tree, in ascending order, beginning with 0."""
    base: Floats
    scale: float
    single_precision: bool
    """Features are rounded to 32 bits before they are compared, as the forests of scikit-learn do."""

    def check(self, features: int, outputs: int) -> None:
        """ValueError if the arrays are no trees over this number of features with this number of outputs."""
        nodes = len(self.feature)
        for name in ("threshold", "left", "right", "missing_left"):
            if len(getattr(self, name)) != nodes:
                raise ValueError(f"trees: {name} has {len(getattr(self, name))} entries and feature has {nodes}")
        if self.value.shape != (nodes, outputs) or self.base.shape != (outputs,):
            raise ValueError(f"trees: value has the shape {self.value.shape} and base {self.base.shape}, for {outputs} outputs")
        if not (np.isfinite(self.value).all() and np.isfinite(self.base).all() and np.isfinite(self.scale)):
            raise ValueError("trees: a value is not finite")
        _check_roots(self.roots, nodes)
        _check_nodes(self, features)


class TreeWalk:
    """Evaluates trees level by level, with few operations per level, because a slot of a live session is one example."""

    __slots__ = ("_children", "_features", "_levels", "_of_missing", "_threshold", "_trees")

    def __init__(self, trees: Trees, features: int) -> None:
        """`features`: how many an example has."""
        own, inner = np.arange(len(trees.feature)), trees.feature >= 0
        # A leaf leads to itself, so all examples can go down equally far.
        self._children = np.column_stack([np.where(inner, trees.right, own), np.where(inner, trees.left, own)]).ravel()
        # Each feature is there twice: unknown values are below each threshold in the first copy, and above it in the second one.
        self._of_missing = np.where(inner, trees.feature, 0) + np.where(trees.missing_left, 0, features)
        self._threshold, self._features, self._trees = trees.threshold, features, trees
        self._levels = _levels(trees)

    def outputs(self, x: Floats) -> Floats:
        """The outputs of each example: one row per example, one column per output."""
        parts = [self._outputs(x[begin : begin + ROWS_AT_ONCE]) for begin in range(0, len(x), ROWS_AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, len(self._trees.base)))

    def _outputs(self, x: NDArray[Any]) -> Floats:
        trees = self._trees
        if trees.single_precision:
            x = x.astype(np.float32)
        values = np.concatenate([np.where(np.isnan(x), -np.inf, x), x], axis=1).ravel()
        begins = 2 * self._features * np.arange(len(x))[:, None]
        node = np.repeat(trees.roots[None, :], len(x), axis=0)
        for _ in range(self._levels):
            goes_left = values[self._of_missing[node] + begins] <= self._threshold[node]
            node = self._children[2 * node + goes_left]
        added: Floats = trees.value[node].sum(axis=1)
        return trees.base + trees.scale * added


@lru_cache(maxsize=32)
def tree_walk(trees: Trees, features: int) -> TreeWalk:
    """The TreeWalk of `trees`, which is kept for the next call. A model of the lab has fewer than ten sets of trees."""
    return TreeWalk(trees, features)


def _levels(trees: Trees) -> int:
    """The most nodes between a root and a leaf. Children come after their parents."""
    at, levels = trees.roots[trees.feature[trees.roots] >= 0], 0
    while len(at):
        levels += 1
        below = np.concatenate([trees.left[at], trees.right[at]])
        at = below[trees.feature[below] >= 0]
    return levels


def _check_roots(roots: NDArray[np.int32], nodes: int) -> None:
    if len(roots) == 0 or roots[0] != 0 or roots[-1] >= nodes or (np.diff(roots) <= 0).any():
        raise ValueError("trees: the roots must ascend from 0 and be nodes")


def _check_nodes(trees: Trees, features: int) -> None:
    inner = trees.feature >= 0
    own = np.arange(len(inner))
    ends = np.append(trees.roots[1:], len(inner))[np.searchsorted(trees.roots, own, side="right") - 1]
    if (trees.feature[inner] >= features).any():
        raise ValueError(f"trees: a node compares a feature that does not exist; there are {features}")
    if np.isnan(trees.threshold[inner]).any():
        raise ValueError("trees: a threshold is not a number")
    for child in (trees.left[inner], trees.right[inner]):
        if (child <= own[inner]).any():
            raise ValueError("trees: a child comes before its parent, which would be a cycle")
        if (child >= ends[inner]).any():
            raise ValueError("trees: a child belongs to another tree, or does not exist")
