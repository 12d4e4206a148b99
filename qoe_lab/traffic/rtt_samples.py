"""Round-trip times of one direction: from a segment to the acknowledgement that covers it, at the place of the capture."""

from math import sqrt

INITIAL_TIMEOUT_NS = 900_000_000
"""Before the first round trip, a sender waits 1 s (RFC 6298). Timers of kernels and captures differ by some milliseconds."""

LEAST_VARIATION_NS = 200_000_000
"""Linux adds at least this to the smoothed round-trip time."""


class RoundTrips:
    """Samples, and what RFC 6298 derives from them. Handshakes count for the derived values only."""

    __slots__ = (
        "_square_sum",
        "_sum_ns",
        "count",
        "handshake_ns",
        "max_ns",
        "min_ns",
        "shortest_ns",
        "smoothed_ns",
        "variation_ns",
    )

    def __init__(self) -> None:
        self.count = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None
        self.handshake_ns: int | None = None
        self.shortest_ns: int | None = None
        """Of samples and handshakes."""
        self.smoothed_ns: float | None = None
        self.variation_ns = 0.0
        self._sum_ns = 0
        self._square_sum = 0

    def add(self, sample_ns: int) -> None:
        self.count += 1
        self._sum_ns += sample_ns
        self._square_sum += sample_ns * sample_ns
        if self.min_ns is None or self.max_ns is None:
            self.min_ns = self.max_ns = sample_ns
        elif sample_ns < self.min_ns:
            self.min_ns = sample_ns
        elif sample_ns > self.max_ns:
            self.max_ns = sample_ns
        self._smooth(sample_ns)

    def add_handshake(self, sample_ns: int) -> None:
        self.handshake_ns = sample_ns
        self._smooth(sample_ns)

    @property
    def mean_ns(self) -> float | None:
        return self._sum_ns / self.count if self.count else None

    @property
    def deviation_ns(self) -> float | None:
        """The standard deviation of all samples (of the population)."""
        if not self.count:
            return None
        return sqrt(max(0, self.count * self._square_sum - self._sum_ns * self._sum_ns)) / self.count

    def _smooth(self, sample_ns: int) -> None:
        if self.smoothed_ns is None or self.shortest_ns is None:
            self.smoothed_ns, self.variation_ns, self.shortest_ns = sample_ns, sample_ns / 2, sample_ns
            return
        self.variation_ns += (abs(self.smoothed_ns - sample_ns) - self.variation_ns) / 4
        self.smoothed_ns += (sample_ns - self.smoothed_ns) / 8
        self.shortest_ns = min(self.shortest_ns, sample_ns)


def timeout_ns(there: RoundTrips, back: RoundTrips) -> float:
    """About how long the sender of a segment waits for its acknowledgement before it sends the segment again.

    The capture divides the path in two: one round trip is of each part, and their sum is that of the sender.
    """
    if there.smoothed_ns is None and back.smoothed_ns is None:
        return INITIAL_TIMEOUT_NS
    smoothed = (there.smoothed_ns or 0) + (back.smoothed_ns or 0)
    return smoothed + max(LEAST_VARIATION_NS, 4 * (there.variation_ns + back.variation_ns))


def shortest_ns(there: RoundTrips, back: RoundTrips) -> int | None:
    """The shortest round trip of the whole path; None if the capture has none."""
    if there.shortest_ns is None and back.shortest_ns is None:
        return None
    return (there.shortest_ns or 0) + (back.shortest_ns or 0)
