"""How long segments are, as far as requests show it: a player whose buffer is full asks for one segment per length of a segment.

A player with room in its buffer asks for the next segment at once, and then the gap between two requests is only the time of a
download. So only gaps after a pause count.
"""

from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats

LEAST_PAUSE_MS = 200.0
"""Between the end of a chunk and the next request. A player that does not wait needs less."""
REQUESTS, GAP, DURATION = "requests", "request_gap_ms", "chunk_ms"


def pacing_names(names: Sequence[str]) -> tuple[str, ...]:
    """The features of the pacing, of slots with the features `names`; none if these do not have the requests."""
    return ("paced_gap_ms", "paced_requests") if {REQUESTS, GAP, DURATION} <= {*names} else ()


class RequestPacing:
    """The requests of one session that came after a pause."""

    def __init__(self, names: Sequence[str]) -> None:
        self._requests, self._gap, self._duration = (names.index(name) for name in (REQUESTS, GAP, DURATION))
        self._chunk_ms = np.nan
        self._gaps: list[float] = []

    def add(self, slot: Floats) -> list[float]:
        """Add the next slot; the features named by `pacing_names`."""
        if not np.isnan(slot[self._duration]):
            self._chunk_ms = float(slot[self._duration])
        # Of several requests in one slot, only the mean gap is known.
        if slot[self._requests] == 1 and slot[self._gap] - self._chunk_ms >= LEAST_PAUSE_MS:
            self._gaps.append(float(slot[self._gap]))
        return [float(np.median(self._gaps)) if self._gaps else np.nan, float(len(self._gaps))]
