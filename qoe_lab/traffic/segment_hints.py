"""What sizes and requests hint at the length of the segments, which no header states. Pure, and of constant memory.

A player whose buffer is full asks for one segment per length of a segment, so the gap between two requests that both came after a
pause is the length. It never pauses for longer than that. The first segment of an encoding with a limited rate may spend bits in
advance, some tenths of a second of them, which is a larger share of a short segment. In a long segment, details average out, so its
size varies less.
"""

from collections import deque
from collections.abc import Iterator
from math import log
from statistics import median

from qoe_lab.traffic.chunk_detector import Chunk
from qoe_lab.traffic.traffic_column import TrafficColumn

PAUSE_NS = 200_000_000
"""Between the end of a chunk and the next request. A player that does not wait needs less."""
PACED_GAPS = 9
"""Of so many, the median is taken."""
SAME_RUNG = 0.35
"""By so much, at most, the logarithm of the size differs between two segments that seem to be of one rung."""

HINTS = (
    TrafficColumn("segment_pace_ms", "ms", "median of the last 9 gaps between requests after a pause; null before"),
    TrafficColumn("segment_pause_ms", "ms", "longest pause, at least 200 ms, from a chunk to the next request; null before"),
    TrafficColumn("segment_first_share", "", "size of the first chunk divided by that of the second, if these are alike"),
    TrafficColumn("segment_wobble", "", "mean difference of the logarithms of the sizes of neighbours that are alike"),
)
"""Name, unit and meaning of each value of `SegmentHints.values`, in order."""


class SegmentHints:
    """The hints in the chunks of one session. Add the chunks when they are known to be complete."""

    def __init__(self) -> None:
        self._last: Chunk | None = None
        self._paused = False
        """Whether the last request came after a pause."""
        self._gaps_ns: deque[int] = deque(maxlen=PACED_GAPS)
        self._longest_ns = 0
        self._chunks = self._alike = 0
        self._first_share: float | None = None
        self._differences = 0.0

    def arrive(self, chunk: Chunk) -> None:
        last, self._last = self._last, chunk
        self._chunks += 1
        if last is None:
            return
        self._compare(last, chunk)
        waited_ns = chunk.begin_ns - last.end_ns
        pauses = waited_ns >= PAUSE_NS
        if pauses:
            self._longest_ns = max(self._longest_ns, waited_ns)
            if self._paused:
                self._gaps_ns.append(chunk.begin_ns - last.begin_ns)
        self._paused = pauses

    def values(self) -> Iterator[float | None]:
        """Of the session so far, in the order of HINTS."""
        yield median(self._gaps_ns) / 1e6 if self._gaps_ns else None
        yield self._longest_ns / 1e6 if self._longest_ns else None
        yield self._first_share
        yield self._differences / self._alike if self._alike else None

    def _compare(self, last: Chunk, chunk: Chunk) -> None:
        difference = abs(log(chunk.bytes / last.bytes))
        if difference > SAME_RUNG:
            return
        self._alike += 1
        self._differences += difference
        if self._chunks == 2:
            self._first_share = last.bytes / chunk.bytes
