"""A player that exists only here: it gets the chunks that were seen and plays them. Its picture is close to what viewers see.

The packets show when a segment arrived and how large it was. The picture is that of an earlier segment, because a player buffers.
So the virtual player counts what has arrived, plays one second of it per second, and stalls when nothing is left. The segment that
it shows, and its buffer, are features: a model learns how far a real player agrees with it.

The length of segments cannot be seen. There is a virtual player for each usual length, and the model learns which of them to trust.
"""

from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats

SEGMENT_S = (1, 2, 4)
"""The lengths of segments for which there is a virtual player."""
LEAST_SEGMENT_BYTES = 3500
"""Smaller chunks are playlists and headers."""
CHUNKS, MEAN, LARGEST = "chunks", "chunk_bytes", "chunk_max_bytes"
_OF_EACH = ("buffer_s", "stalled", "before_bytes", "shown_bytes", "next_bytes", "shown_share")


def virtual_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of the virtual players, of slots with the features `names`; none if these do not have the chunks."""
    if not {CHUNKS, MEAN, LARGEST} <= {*names}:
        return ()
    return (
        *(f"virtual_{seconds}s_{part}" for seconds in SEGMENT_S for part in _OF_EACH),
        "segment_median_bytes",
        "segment_least_bytes",
        "segment_most_bytes",
        "segment_first_bytes",
        "segment_spread",
        "segments",
    )


class VirtualPlayers:
    """The virtual players of one session."""

    def __init__(self, names: Sequence[str]) -> None:
        self._chunks, self._mean, self._largest = (names.index(name) for name in (CHUNKS, MEAN, LARGEST))
        self._sizes: list[float] = []
        self._played_s = dict.fromkeys(SEGMENT_S, 0.0)
        self._playing = dict.fromkeys(SEGMENT_S, False)
        self._started = False

    def add(self, slot: Floats) -> list[float]:
        """Add the next slot; the features named by `virtual_names`."""
        self._sizes += _segments(float(slot[self._chunks]), float(slot[self._mean]), float(slot[self._largest]))
        median = float(np.median(self._sizes)) if self._sizes else np.nan
        found: list[float] = []
        for seconds in SEGMENT_S:
            found += self._play(seconds, median)
        self._started = self._started or bool(self._sizes)
        return [*found, median, *self._of_all()]

    def _of_all(self) -> list[float]:
        """The smallest, the largest and the first segment, how far they differ, and their number."""
        if not self._sizes:
            return [np.nan] * 4 + [0.0]
        return [min(self._sizes), max(self._sizes), self._sizes[0], float(np.std(np.log(self._sizes))), float(len(self._sizes))]

    def _play(self, seconds: int, median: float) -> list[float]:
        """Play for one second."""
        arrived_s = float(seconds * len(self._sizes))
        if self._playing[seconds]:
            self._played_s[seconds] = min(self._played_s[seconds] + 1, arrived_s)
        buffer_s = arrived_s - self._played_s[seconds]
        self._playing[seconds] = buffer_s > 0
        shown = min(int(self._played_s[seconds] // seconds), len(self._sizes) - 1)
        sizes = [self._sizes[place] if 0 <= place < len(self._sizes) else np.nan for place in (shown - 1, shown, shown + 1)]
        return [buffer_s, float(self._started and buffer_s <= 0), *sizes, sizes[1] / median]


def _segments(chunks: float, mean: float, largest: float) -> list[float]:
    """The sizes of the segments that were complete in a slot. Of several, only the mean and the largest size are known."""
    if not chunks > 0:
        return []
    others = [(chunks * mean - largest) / (chunks - 1)] * int(chunks - 1) if chunks > 1 else []
    return [size for size in (*others, largest) if size >= LEAST_SEGMENT_BYTES]
