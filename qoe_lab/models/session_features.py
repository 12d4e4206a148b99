"""The features of a session from those of its slots: the session so far, at the end of each slot.

The same code describes a whole session and one that is still running, so a model that is applied live sees what it was fitted to.
"""

from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats

AGGREGATES = ("mean", "sd", "min", "max")
"""Of the features that describe the slot or the last few slots. Of the others, which describe the session so far, the last value
says everything."""
HEAD_SLOTS = (1, 2, 3, 5, 10, 20)
"""The startup is judged by the session at the end of each of these slots; later slots say nothing about it."""


_OF_SESSION = ("total_", "chunk_1_", "chunk_2_", "chunk_4_", "elapsed_", "handshake_", "past_", "chunks_per_", "segment")


def is_of_session(name: str) -> bool:
    """Whether a feature of a slot describes the session so far."""
    return name.startswith(_OF_SESSION)


def so_far_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of a session, of the slots so far."""
    of_slot = [name for name in names if not is_of_session(name)]
    return (*(f"{name}_{aggregate}" for aggregate in AGGREGATES for name in of_slot), *names)


def head_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of the beginning of a session."""
    return tuple(f"{name}_at_{slot}" for slot in HEAD_SLOTS for name in names)


class SessionSoFar:
    """The slots of one session until now. Values that are not known do not count."""

    def __init__(self, names: Sequence[str]) -> None:
        features = len(names)
        self._of_slot = np.array([not is_of_session(name) for name in names], dtype=bool)
        self._count = np.zeros(features)
        self._mean = np.zeros(features)
        self._squares = np.zeros(features)
        self._least = np.full(features, np.inf)
        self._most = np.full(features, -np.inf)
        self._last = np.full(features, np.nan)
        self._head = np.full((len(HEAD_SLOTS), features), np.nan)
        self.slots = 0

    def add(self, slot: Floats) -> None:
        """Add the features of the next slot."""
        known = ~np.isnan(slot)
        value = np.where(known, slot, 0.0)
        self._count += known
        step = np.where(known, value - self._mean, 0.0)
        # Welford's sums: a sum of squares would lose the deviation of large counters.
        self._mean += step / np.maximum(self._count, 1)
        self._squares += step * np.where(known, value - self._mean, 0.0)
        self._least = np.where(known, np.minimum(self._least, value), self._least)
        self._most = np.where(known, np.maximum(self._most, value), self._most)
        self._last = slot
        self.slots += 1
        if self.slots in HEAD_SLOTS:
            self._head[HEAD_SLOTS.index(self.slots)] = slot

    def so_far(self) -> Floats:
        """The features named by `so_far_names`."""
        seen = self._count > 0
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        parts = [np.where(seen, part, np.nan)[self._of_slot] for part in (self._mean, deviation, self._least, self._most)]
        return np.concatenate([*parts, self._last])

    def head(self) -> Floats:
        """The features named by `head_names`. Those of slots that have not ended are not known."""
        return self._head.ravel().copy()
