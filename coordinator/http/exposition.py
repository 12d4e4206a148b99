"""The text of /metrics: the counters in the format of Prometheus, for clients with the token."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from coordinator.worker_counters import LATENCY_BOUNDS_S, KeyCounters, Latency, ServerCounters, WorkerCounters
from feedback_wire.kinds import RecordKind
from feedback_wire.problem import Problem
from serving.metrics_text import SharedText, by_reason, histogram
from serving.tokens import require_token

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Kinds = tuple[tuple[str, str, type[CounterMetricFamily] | type[GaugeMetricFamily], str], ...]
"""For each metric: the name of the counter, of the metric, its type, its meaning."""

_PREFIX = "swarmscope_coordinator_"
_EVENTS = (
    ("requests", "requests", "requests with a feedback body"),
    ("received", "messages_received", "messages in requests"),
    ("stored", "messages_forwarded", "messages that a feedback server stored before the answer"),
    ("spooled", "messages_spooled", "messages stored in the spool before the answer"),
    (
        "sampled_out",
        "messages_sampled_out",
        "messages accepted but not kept: their end host is not in the sample, or is left out under load",
    ),
    ("drained", "messages_drained", "spooled messages that a feedback server stored later"),
    ("drain_rejected", "messages_drain_rejected", "spooled messages that the feedback server refused; kept aside in the spool"),
    (
        "drain_blocked",
        "messages_drain_blocked",
        "spooled messages that moved to a file of their own after several tries; they are tried again",
    ),
    ("forgotten", "messages_forgotten_by_senders", "messages that end hosts dropped because their buffers were full"),
    ("quarantined", "messages_quarantined", "refused messages that were kept in the quarantine"),
    ("quarantine_dropped", "messages_quarantine_dropped", "refused messages that did not fit into the quarantine"),
    (
        "connections_dropped",
        "connections_dropped",
        "connections closed without an answer, because even refusals had reached their limit",
    ),
    ("handshakes_failed", "tls_handshakes_failed", "connections that ended before their TLS handshake was complete"),
    ("spool_damaged_bytes", "spool_damaged_bytes", "bytes in the spool that were not a batch; kept aside in the spool"),
)
_GAUGES = (
    ("in_flight", "messages_in_flight", "messages received and not durable yet"),
    ("workers_shedding", "workers_shedding", "workers that keep fewer end hosts now because of load"),
    ("connections", "connections", "open connections of end hosts"),
    ("waiting", "requests_waiting", "requests that wait to be checked: large, compressed or unusual"),
    ("held_bytes", "held_bytes", "bytes in memory that are not durable yet"),
    ("spool_bytes", "spool_bytes", "size of the spool on disk"),
    ("spool_messages", "spool_messages", "messages that wait in the spool"),
    ("spool_blocked_messages", "spool_blocked_messages", "messages in the spool's blocked-*.spool files, of spool_messages"),
    ("quarantine_bytes", "quarantine_bytes", "size of the quarantine on disk"),
)
_SERVER: Kinds = (
    ("batches", "batches", CounterMetricFamily, "batches that this feedback server stored"),
    ("messages", "messages", CounterMetricFamily, "messages that this feedback server stored"),
    ("errors", "errors", CounterMetricFamily, "batches that this feedback server did not store"),
)
_KEY: Kinds = (
    ("messages", "messages", CounterMetricFamily, "messages in requests with this key"),
    ("charged", "charged", CounterMetricFamily, "messages charged to this key; a large one counts as several"),
    ("rate_limited", "requests_rate_limited", CounterMetricFamily, "requests refused because the key exceeded its rate"),
    ("held_bytes", "held_bytes", GaugeMetricFamily, "bytes in memory that came with this key and are not durable yet"),
)


class Exposition(SharedText):
    """The counters as Prometheus text, made at most once a second for all clients: summing workers and keys takes a while."""

    def __init__(self, total: Callable[[], WorkerCounters], token: str, *, insecure: bool) -> None:
        super().__init__(lambda: exposition(total()))
        self._token = token
        self._insecure = insecure

    def require(self, authorization: str) -> None:
        """Problem (401, 403) unless the client may see the names of keys and the addresses of feedback servers."""
        if not self._token and not self._insecure:
            raise Problem(403, "metrics_closed", "start the coordinator with --metrics-token, then send it as bearer token")
        require_token(self._token, authorization=authorization, flag="--metrics-token")


def exposition(counters: WorkerCounters) -> bytes:
    """The counters as Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(counters))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, counters: WorkerCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Family]:
        counters = self._counters
        for name, metric, meaning in _EVENTS:
            yield CounterMetricFamily(_PREFIX + metric, meaning, value=getattr(counters, name))
        for name, metric, meaning in _GAUGES:
            yield GaugeMetricFamily(_PREFIX + metric, meaning, value=getattr(counters, name))
        accepted = counters.stored + counters.spooled + counters.sampled_out
        yield CounterMetricFamily(f"{_PREFIX}messages_accepted", "messages forwarded, spooled or sampled out", value=accepted)
        yield by_reason(_PREFIX + "messages_refused", "messages refused, by reason", counters.refused)
        yield by_reason(_PREFIX + "requests_refused", "requests answered with a problem, by reason", counters.requests_refused)
        yield by_reason(
            _PREFIX + "senders_unknown",
            "requests of a trusted proxy without a readable sender, by reason",
            counters.senders_unknown,
        )
        yield by_reason(_PREFIX + "corrections", "corrections of simple workers' messages, by name", counters.corrections)
        yield _servers_up(counters.servers)
        yield from _labelled("feedback_server", "server", _SERVER, counters.servers)
        yield from _labelled("key", "key", _KEY, counters.keys)
        yield _latency(counters.latency)


def _servers_up(servers: Mapping[str, ServerCounters]) -> Family:
    meaning = "workers that send messages of this kind to this feedback server now"
    family = GaugeMetricFamily(f"{_PREFIX}feedback_server_up", meaning, labels=["server", "kind"])
    for url, counted in sorted(servers.items()):
        for kind in RecordKind:
            family.add_metric([url, kind.value], getattr(counted, f"up_{kind}"))
    return family


def _labelled(
    subject: str, label: str, kinds: Kinds, counted: Mapping[str, ServerCounters] | Mapping[str, KeyCounters]
) -> Iterator[Family]:
    for name, metric, kind, meaning in kinds:
        family = kind(f"{_PREFIX}{subject}_{metric}", meaning, labels=[label])
        for which, counters in sorted(counted.items()):
            family.add_metric([which], getattr(counters, name))
        yield family


def _latency(latency: Latency) -> Family:
    return histogram(
        f"{_PREFIX}answer_seconds",
        "from a request's last byte to its 202 answer",
        bounds_s=LATENCY_BOUNDS_S,
        counts=latency.buckets,
        sum_s=latency.sum_s,
    )
