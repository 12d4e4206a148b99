"""The text of `/metrics`, and the metric families that more than one server exports."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

SHARED_S = 1.0


class SharedText:
    """A text that is made at most once per second for all clients, because making it takes a while."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._text = b""
        self._made_s = -SHARED_S

    def text(self, *, fresh: bool) -> bytes:
        """The text, at most a second old, or a new one if it must be `fresh`."""
        now_s = time.monotonic()
        if fresh or now_s - self._made_s >= SHARED_S:
            self._text, self._made_s = self._make(), now_s
        return self._text


def by_reason(name: str, meaning: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    """A counter with the label `reason`."""
    family = CounterMetricFamily(name, meaning, labels=["reason"])
    for reason, count in sorted(counts.items()):
        family.add_metric([reason], count)
    return family


def histogram(name: str, meaning: str, *, bounds_s: Sequence[float], counts: Sequence[int], sum_s: float) -> HistogramMetricFamily:
    """A histogram of durations. `counts` has one number per upper bound and one for longer durations, not accumulated."""
    bounds = [*map(str, bounds_s), "+Inf"]
    return HistogramMetricFamily(name, meaning, buckets=list(zip(bounds, accumulate(counts), strict=True)), sum_value=sum_s)
