"""What a model is fitted to: a matrix of features, the truth, and where each example comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Texts = NDArray[np.str_]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Examples of one task, one per row. A feature that is not known is NaN."""

    names: tuple[str, ...]
    """The features, in the order of the columns of `x`."""
    x: Floats
    y: Floats
    """The number of the class, or the value."""
    classes: tuple[str, ...] = ()
    """The classes; empty if the task asks for a number."""
    sessions: Texts
    slots: Integers
    """The slot of the example; of an example of a session, the last slot that it covers."""
    whole: Mask
    """False for an example that covers only the beginning of its session. Such examples are fitted to, but not judged."""
    limits: Floats
    """The limit of the session in Mbit/s. It is a feature of the baseline `limit alone` only."""
    lengths: Floats = field(default_factory=lambda: np.empty(0))
    """The length of the session's segments, as index in SEGMENT_S; NaN where it is not known. Empty: known nowhere."""
    places: Mapping[str, Texts] = field(default_factory=dict)
    """The training, client, source and content of each example."""

    def __len__(self) -> int:
        return len(self.y)

    def at(self, rows: NDArray[Any]) -> "Examples":
        """The examples at `rows`, which are indices or a mask."""
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            sessions=self.sessions[rows],
            slots=self.slots[rows],
            whole=self.whole[rows],
            limits=self.limits[rows],
            lengths=self.lengths[rows] if len(self.lengths) else self.lengths,
            places={name: place[rows] for name, place in self.places.items()},
        )

    def with_truth(self, y: Floats) -> "Examples":
        return replace(self, y=y)

    def of_limit(self) -> "Examples":
        """The same examples with the limit as their only feature."""
        return replace(self, names=("limit_mbps",), x=self.limits[:, None])

    def of_feature(self, name: str) -> "Examples":
        """The same examples with only one of their features."""
        return replace(self, names=(name,), x=self.x[:, [self.names.index(name)]])
