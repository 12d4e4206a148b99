"""The features of a session. Those of its last slot say what has happened so far; the startup also needs those of its first slots.

The same code describes a whole session and one that is still running, so a model that is applied live sees what it was fitted to.
"""

from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats

HEAD_SLOTS = (1, 2, 3, 5, 10, 20)
"""The startup is judged by the session at the end of each of these slots; later slots say nothing about it."""


def head_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of the beginning of a session."""
    return tuple(f"{name}_at_{slot}" for slot in HEAD_SLOTS for name in names)


class SessionHead:
    """The first slots of one session. Add all of its slots."""

    def __init__(self, features: int) -> None:
        self._head = np.full((len(HEAD_SLOTS), features), np.nan)
        self.slots = 0

    def add(self, slot: Floats) -> None:
        """Add the features of the next slot."""
        self.slots += 1
        if self.slots in HEAD_SLOTS:
            self._head[HEAD_SLOTS.index(self.slots)] = slot

    def values(self) -> Floats:
        """The features named by `head_names`. Those of slots that have not ended are not known."""
        return self._head.ravel().copy()
