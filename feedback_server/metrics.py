"""`/metrics`: the counters and gauges of a feedback server as Prometheus text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from feedback_server.counters import Counters, DurationHistogram
from serving.metrics_text import SharedText, by_reason, histogram

_PREFIX = "swarmscope_feedback_server_"


@dataclass(frozen=True, slots=True)
class GaugeValues:
    """The values of gauges at the time of a request."""

    ready: bool
    journal_age_s: float
    waiting_bytes: int
    journals: int
    journal_records: int
    sealed_logs: int
    sealed_log_bytes: int
    foreign_logs: int


class FeedbackServerCollector(Collector):
    """All metrics of one feedback server."""

    def __init__(self, counters: Callable[[], Counters], gauges: Callable[[], GaugeValues]) -> None:
        self._read_counters = counters
        self._read_gauges = gauges

    def collect(self) -> Iterator[Metric]:
        counters = self._read_counters()
        yield from _totals(counters)
        yield by_reason(_PREFIX + "batches_refused", "refused batches, by reason", counters.batches_refused)
        yield by_reason(_PREFIX + "retired_for", "removed sealed logs, by the setting that demands it", counters.retired_for)
        yield by_reason(_PREFIX + "refused", "refused requests, including batches, by reason", counters.refused)
        yield _histogram("fsync_seconds", "duration of fdatasync of a journal", counters.fsync)
        yield _histogram("seal_seconds", "duration of sealing a journal", counters.seal)
        yield from _gauges(counters, self._read_gauges())


def shared_text(counters: Callable[[], Counters], gauges: Callable[[], GaugeValues]) -> SharedText:
    """The text of all metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FeedbackServerCollector(counters, gauges))
    return SharedText(partial(generate_latest, registry))


def _totals(counters: Counters) -> Iterator[Metric]:
    for name, meaning, value in (
        ("batches_received", "batches that have arrived, with any outcome", counters.batches_received),
        ("batches", "batches stored", counters.batches),
        ("records", "records stored", counters.records),
        ("duplicates", "batches that arrived again and were not stored again", counters.duplicates),
        ("received_bytes", "bytes of stored batches as they arrived", counters.received_bytes),
        ("frames", "frames written to journals", counters.frames),
        ("written_bytes", "bytes written to journals", counters.written_bytes),
        ("write_errors", "failed writes to a journal; their batches were not acknowledged", counters.write_errors),
        ("recovered_records", "records found at the start in journals of an earlier run", counters.recovered_records),
        ("sealed", "journals sealed", counters.sealed),
        ("sealed_records", "records in sealed journals", counters.sealed_records),
        ("seal_errors", "failed attempts to seal a journal; they are repeated", counters.seal_errors),
        ("quarantined", "damaged parts of journals put into quarantine", counters.quarantined),
        ("quarantined_bytes", "bytes put into quarantine", counters.quarantined_bytes),
        ("quarantined_records", "records that could not be read when their journal was sealed", counters.quarantined_records),
        ("retired", "sealed logs removed by --keep-days or --keep-bytes", counters.retired),
        ("retired_bytes", "bytes of removed sealed logs", counters.retired_bytes),
        ("downloads", "started downloads of logs", counters.downloads),
        ("download_errors", "incomplete downloads, because the log could not be read to its end", counters.download_errors),
        ("downloaded_bytes", "bytes requested in downloads", counters.downloaded_bytes),
    ):
        yield CounterMetricFamily(_PREFIX + name, meaning, value)


def _gauges(counters: Counters, values: GaugeValues) -> Iterator[Metric]:
    for name, meaning, value in (
        ("ready", "1 while records can be stored", float(values.ready)),
        (
            "last_durable_timestamp_seconds",
            "when records were last made durable, Unix time; 0 before the first",
            counters.last_durable_s,
        ),
        ("open_journal_age_seconds", "age of the open journal; 0 without one", values.journal_age_s),
        ("clock_behind_seconds", "how far the last record's time is ahead of a clock that was set back", counters.clock_behind_s),
        (
            "clock_skipped_seconds",
            "time by which the clock advanced while this server did not run; --keep-days does not count it",
            counters.clock_skipped_s,
        ),
        ("foreign_logs", "offered logs with the name of another server", values.foreign_logs),
        ("waiting_bytes", "bytes of batches that wait to be written", values.waiting_bytes),
        ("batches_in_flight", "batches that are neither stored nor refused yet", counters.batches_in_flight),
        ("connections", "open connections", counters.connections),
        ("journals", "offered journals: the open one, and those that wait to be sealed", values.journals),
        ("journal_records", "records in offered journals", values.journal_records),
        ("sealed_logs", "offered sealed logs", values.sealed_logs),
        ("sealed_log_bytes", "bytes of offered sealed logs", values.sealed_log_bytes),
    ):
        yield GaugeMetricFamily(_PREFIX + name, meaning, value)


def _histogram(name: str, meaning: str, durations: DurationHistogram) -> Metric:
    return histogram(_PREFIX + name, meaning, bounds_s=durations.bounds_s, counts=durations.counts, sum_s=durations.sum_s)
