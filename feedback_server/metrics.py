"""`/metrics`: the counters in Prometheus' text form, read when they are asked for."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from feedback_server.counters import Counters, Histogram

SHARED_S = 1.0
_PREFIX = "swarmscope_feedback_server_"


@dataclass(frozen=True, slots=True)
class State:
    """What is measured when it is asked for, beside what is counted."""

    ready: bool
    journal_age_s: float
    waiting_bytes: int
    journals: int
    journal_records: int
    sealed_logs: int
    sealed_log_bytes: int
    foreign_logs: int


class RoomCollector(Collector):
    """All metrics of one feedback server."""

    def __init__(self, counters: Counters, state: Callable[[], State]) -> None:
        self._counters = counters
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield from _totals(self._counters)
        yield _by_reason("batches_refused", "batches refused, by reason", self._counters.batches_refused)
        yield _by_reason("retired_for", "sealed logs removed, by the setting that removed them", self._counters.retired_for)
        yield _by_reason("refused", "requests refused, batches among them, by reason", self._counters.refused)
        yield _histogram("fsync_seconds", "time that fdatasync of a journal took", self._counters.fsync)
        yield _histogram("seal_seconds", "time that sealing a journal took", self._counters.seal)
        yield from _gauges(self._counters, self._state())


class Exposition:
    """The metrics as text, made at most once a second however many ask."""

    def __init__(self, counters: Counters, state: Callable[[], State]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RoomCollector(counters, state))
        self._text = b""
        self._made_s = -SHARED_S

    def text(self, *, fresh: bool) -> bytes:
        """A text of this second; made now if it has to be `fresh`."""
        now_s = time.monotonic()
        if fresh or now_s - self._made_s >= SHARED_S:
            self._text, self._made_s = generate_latest(self._registry), now_s
        return self._text


def _totals(counters: Counters) -> Iterator[Metric]:
    for name, meaning, value in (
        ("batches_received", "batches that have come, whatever became of them", counters.batches_received),
        ("batches", "batches stored", counters.batches),
        ("records", "records stored", counters.records),
        ("duplicates", "batches that came again and were not stored again", counters.duplicates),
        ("received_bytes", "bytes of stored batches as they came", counters.received_bytes),
        ("frames", "frames written to journals", counters.frames),
        ("written_bytes", "bytes written to journals", counters.written_bytes),
        ("write_errors", "writes to a journal that failed; nothing of them was acknowledged", counters.write_errors),
        ("recovered_records", "records that the start found in journals of an earlier run", counters.recovered_records),
        ("sealed", "journals sealed", counters.sealed),
        ("sealed_records", "records in them", counters.sealed_records),
        ("seal_errors", "attempts to seal a journal that failed; they are repeated", counters.seal_errors),
        ("quarantined", "damaged stretches put into quarantine", counters.quarantined),
        ("quarantined_bytes", "bytes in them", counters.quarantined_bytes),
        ("quarantined_records", "records that could not be read when their journal was sealed", counters.quarantined_records),
        ("retired", "sealed logs removed by --keep-days or --keep-bytes", counters.retired),
        ("retired_bytes", "bytes of them", counters.retired_bytes),
        ("downloads", "downloads of logs begun", counters.downloads),
        ("download_errors", "downloads cut off because the log could not be read to its end", counters.download_errors),
        ("downloaded_bytes", "bytes asked for in them", counters.downloaded_bytes),
    ):
        yield CounterMetricFamily(_PREFIX + name, meaning, value)


def _by_reason(name: str, meaning: str, counts: Counter[str]) -> Metric:
    refused = CounterMetricFamily(_PREFIX + name, meaning, labels=["reason"])
    for reason, count in sorted(counts.items()):
        refused.add_metric([reason], count)
    return refused


def _gauges(counters: Counters, state: State) -> Iterator[Metric]:
    for name, meaning, value in (
        ("ready", "1 while records can be stored", float(state.ready)),
        (
            "last_durable_timestamp_seconds",
            "when records last reached the disk, Unix time; 0 before the first",
            counters.last_durable_s,
        ),
        ("open_journal_age_seconds", "age of the open journal; 0 without one", state.journal_age_s),
        ("clock_behind_seconds", "how far the last records' time was ahead of a clock that was set back", counters.clock_behind_s),
        (
            "clock_skipped_seconds",
            "by how much the clock has gone on without this server's running; --keep-days does not count it",
            counters.clock_skipped_s,
        ),
        ("foreign_logs", "logs on offer that carry another server's name", state.foreign_logs),
        ("waiting_bytes", "bytes of batches that wait for the disk", state.waiting_bytes),
        ("batches_in_flight", "batches that have come and are neither stored nor refused yet", counters.batches_in_flight),
        ("connections", "open connections", counters.connections),
        ("journals", "journals on offer: the open one, and those that wait to be sealed", state.journals),
        ("journal_records", "records in them", state.journal_records),
        ("sealed_logs", "sealed logs on offer", state.sealed_logs),
        ("sealed_log_bytes", "bytes of them", state.sealed_log_bytes),
    ):
        yield GaugeMetricFamily(_PREFIX + name, meaning, value)


def _histogram(name: str, meaning: str, histogram: Histogram) -> Metric:
    bounds = [*(str(bound) for bound in histogram.bounds_s), "+Inf"]
    return HistogramMetricFamily(
        _PREFIX + name, meaning, buckets=list(zip(bounds, accumulate(histogram.counts), strict=True)), sum_value=histogram.sum_s
    )
