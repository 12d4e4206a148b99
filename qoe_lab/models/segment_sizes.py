"""The sizes of all segments of a session so far, and how the one on screen compares with them."""

from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats
from qoe_lab.traffic.virtual_playback import SEGMENT_S

CHUNKS, MEAN, LARGEST = "chunks", "chunk_bytes", "chunk_max_bytes"
SHOWN = tuple(f"virtual_{seconds}s_shown_bytes" for seconds in SEGMENT_S)


def size_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of the sizes, of slots with the features `names`; none if these do not have the chunks."""
    if not {CHUNKS, MEAN, LARGEST, *SHOWN} <= {*names}:
        return ()
    return (
        *(f"virtual_{seconds}s_shown_share" for seconds in SEGMENT_S),
        "segment_median_bytes",
        "segment_least_bytes",
        "segment_most_bytes",
        "segment_first_bytes",
        "segment_spread",
        "segments",
    )


class SegmentSizes:
    """The segments of one session."""

    def __init__(self, names: Sequence[str]) -> None:
        self._chunks, self._mean, self._largest = (names.index(name) for name in (CHUNKS, MEAN, LARGEST))
        self._shown = [names.index(name) for name in SHOWN]
        self._sizes: list[float] = []

    def add(self, slot: Floats) -> list[float]:
        """Add the next slot; the features named by `size_names`."""
        self._sizes += _segments(float(slot[self._chunks]), float(slot[self._mean]), float(slot[self._largest]))
        if not self._sizes:
            return [np.nan] * (len(self._shown) + 5) + [0.0]
        median = float(np.median(self._sizes))
        shares = [float(slot[place]) / median for place in self._shown]
        spread = float(np.std(np.log(self._sizes)))
        return [*shares, median, min(self._sizes), max(self._sizes), self._sizes[0], spread, float(len(self._sizes))]


def _segments(chunks: float, mean: float, largest: float) -> list[float]:
    """The sizes of the segments that were complete in a slot. Of several, only the mean and the largest size are known."""
    if not chunks > 0:
        return []
    others = [(chunks * mean - largest) / (chunks - 1)] * int(chunks - 1) if chunks > 1 else []
    return [*others, largest]
