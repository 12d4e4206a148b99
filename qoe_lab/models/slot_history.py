"""What came before a slot, as further features of it: the picture of a slot was downloaded earlier, by as much as was buffered."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats
from qoe_lab.models.segment_sizes import LARGEST, SegmentSizes, size_names

ALL_CHUNKS, ELAPSED, RATE = "total_chunks", "elapsed_s", "down_kbps"
PAST_CHUNKS = 10
PAST_RATES = ((5, 10), (10, 20))
"""Slots before this one, from and to, over which a mean rate is taken."""


LARGEST_VALUE = 1e15
"""A larger value is no count of bytes and no time."""


def known_values(values: Floats) -> Floats:
    """The values of slots as features. NaN: not known, which also holds for a value that cannot be true."""
    with np.errstate(invalid="ignore"):
        possible = np.abs(values) <= LARGEST_VALUE
    return np.where(possible, values, np.nan)


def slot_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of a slot with its history, of slots with the features `names`."""
    found: list[str] = []
    if LARGEST in names:
        found += [f"past_chunk_{number}_bytes" for number in range(1, PAST_CHUNKS + 1)]
    if RATE in names:
        found += [f"past_{begin}_to_{end}_kbps" for begin, end in PAST_RATES]
    if ALL_CHUNKS in names and ELAPSED in names:
        found.append("chunks_per_s")
    return (*names, *found, *size_names(names))


class SlotHistory:
    """The slots of one session until now."""

    def __init__(self, names: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(names)}
        self._largest, self._rate = places.get(LARGEST), places.get(RATE)
        self._chunks, self._elapsed = places.get(ALL_CHUNKS), places.get(ELAPSED)
        self._sizes: deque[float] = deque(maxlen=PAST_CHUNKS)
        self._rates: deque[float] = deque(maxlen=max(end for _, end in PAST_RATES))
        self._segments = SegmentSizes(names) if size_names(names) else None

    def add(self, slot: Floats) -> Floats:
        """Add the next slot; the features named by `slot_names`."""
        found: list[float] = []
        if self._largest is not None:
            found += self._past_chunks(float(slot[self._largest]))
        if self._rate is not None:
            found += self._past_rates(float(slot[self._rate]))
        if self._chunks is not None and self._elapsed is not None:
            found.append(float(slot[self._chunks]) / max(1.0, float(slot[self._elapsed])))
        if self._segments is not None:
            found += self._segments.add(slot)
        return np.concatenate([slot, found])

    def _past_chunks(self, largest: float) -> list[float]:
        """The largest chunk of each of the last slots in which one was complete, the latest first."""
        if largest > 0:
            self._sizes.appendleft(largest)
        return [*self._sizes, *[np.nan] * (PAST_CHUNKS - len(self._sizes))]

    def _past_rates(self, rate: float) -> list[float]:
        self._rates.appendleft(0.0 if np.isnan(rate) else rate)
        past = list(self._rates)
        return [float(np.mean(past[begin:end])) if len(past) > begin else np.nan for begin, end in PAST_RATES]
