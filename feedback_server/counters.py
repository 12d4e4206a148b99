"""The counters of a feedback server: one set for requests, and one for each kind of records. metrics.py exports their sums.

Only one thread changes each counter of a set, so plain integers suffice.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import reduce
from operator import add

# fsync takes 0.3 to 1.8 ms at the median and 7 to 11 ms at p99 on the measured disks; a failing disk takes seconds.
FSYNC_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
# A minute of 13,000 records seals in well under a second, a full part of 64 MiB in several.
SEAL_BOUNDS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class DurationHistogram:
    """Durations, counted by upper bound."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.sum_s += seconds

    def __add__(self, other: "DurationHistogram") -> "DurationHistogram":
        """Both together; their bounds must be equal."""
        both = DurationHistogram(self.bounds_s)
        both.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        both.sum_s = self.sum_s + other.sum_s
        return both

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Count the duration of the block, also if it fails."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.observe(time.monotonic() - began_s)


@dataclass(slots=True, kw_only=True)
class Counters:
    """Counts since the start of the process."""

    batches_received: int = 0
    batches_in_flight: int = 0
    batches: int = 0
    records: int = 0
    duplicates: int = 0
    batches_refused: Counter[str] = field(default_factory=Counter)
    received_bytes: int = 0

    frames: int = 0
    written_bytes: int = 0
    write_errors: int = 0
    last_durable_s: float = 0.0
    clock_behind_s: float = 0.0
    fsync: DurationHistogram = field(default_factory=lambda: DurationHistogram(FSYNC_BOUNDS_S))

    recovered_records: int = 0
    sealed: int = 0
    sealed_records: int = 0
    seal_errors: int = 0
    seal: DurationHistogram = field(default_factory=lambda: DurationHistogram(SEAL_BOUNDS_S))
    retired: int = 0
    retired_bytes: int = 0
    retired_for: Counter[str] = field(default_factory=Counter)
    clock_skipped_s: int = 0

    quarantined: int = 0
    quarantined_bytes: int = 0
    quarantined_records: int = 0

    connections: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    downloads: int = 0
    downloaded_bytes: int = 0
    download_errors: int = 0


_LARGEST = frozenset({"last_durable_s", "clock_behind_s", "clock_skipped_s"})
"""Times, of which the largest one counts, not the sum."""


def summed(sets: Sequence[Counters]) -> Counters:
    """Several sets of counters together."""
    total = Counters()
    for each in fields(Counters):
        values = [getattr(one, each.name) for one in (total, *sets)]
        setattr(total, each.name, max(values) if each.name in _LARGEST else reduce(add, values))
    return total
