"""Metrics of logins and refusals. No label has a user name, because people type passwords in the wrong field."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor_platform.access.gate import Gate
from monitor_platform.access.listener import Connections
from serving.metrics_text import by_reason


class AccessMetrics(Collector):
    """Metrics of the gate and of the connections."""

    def __init__(self, gate: Gate, connections: Connections) -> None:
        self._gate = gate
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("swarmscope_monitor_logins_total", "Logins that succeeded.", self._gate.logins)
        yield by_reason("swarmscope_monitor_turned_away_total", "Refused requests, by reason.", self._gate.refusals)
        yield by_reason(
            "swarmscope_monitor_senders_unknown_total",
            "Logins through a trusted proxy without a readable sender address.",
            self._gate.senders_unknown,
        )
        yield by_reason(
            "swarmscope_monitor_dropped_connections_total",
            "Connections that the platform closed, by reason.",
            self._connections.dropped,
        )
