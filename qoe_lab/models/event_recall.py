"""Events: runs of slots in which playback was stalled, and whether a model noticed them within a second."""

from dataclasses import dataclass

import numpy as np

from qoe_lab.models.examples import Examples, Floats, Integers, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecall:
    """How many stalls were noticed, and how many alarms were about a stall; each within a slot before or after."""

    stalls: int
    noticed: int
    alarms: int
    justified: int

    @property
    def recall(self) -> float:
        return self.noticed / self.stalls if self.stalls else np.nan

    @property
    def precision(self) -> float:
        return self.justified / self.alarms if self.alarms else np.nan


def event_recall(examples: Examples, stalled: Floats, decided: Floats) -> EventRecall:
    """Compare the runs of stalled slots with the runs of slots that were decided to be stalled, session by session."""
    counts = np.zeros(4, dtype=np.int64)
    for session in np.unique(examples.sessions):
        rows = examples.sessions == session
        slots = examples.slots[rows]
        counts += _of_session(slots, stalled[rows] == 1, decided[rows] == 1)
    return EventRecall(stalls=int(counts[0]), noticed=int(counts[1]), alarms=int(counts[2]), justified=int(counts[3]))


def _of_session(slots: Integers, stalled: Mask, decided: Mask) -> tuple[int, int, int, int]:
    stalls, alarms = _runs(slots[stalled]), _runs(slots[decided])
    return len(stalls), _met(stalls, alarms), len(alarms), _met(alarms, stalls)


def _runs(slots: Integers) -> list[tuple[int, int]]:
    """The first and last slot of each run of consecutive slots."""
    ordered = np.sort(slots)
    begins = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 2) > 1)
    ends = np.append(begins[1:], len(ordered))[: len(begins)] - 1
    return [(int(ordered[begin]), int(ordered[end])) for begin, end in zip(begins, ends, strict=True)]


def _met(runs: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
    return sum(any(begin - 1 <= last and first <= end + 1 for first, last in others) for begin, end in runs)
