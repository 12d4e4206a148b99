"""Who was let in and who was not, as Prometheus figures; never a name, for people type passwords where names belong."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor_platform.access.gate import Gate
from monitor_platform.access.listener import Connections


class AccessMetrics(Collector):
    """Metrics of the gate and of the connections."""

    def __init__(self, gate: Gate, connections: Connections) -> None:
        self._gate = gate
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("swarmscope_monitor_logins_total", "Logins that succeeded.", self._gate.logins)
        yield _by_reason("swarmscope_monitor_turned_away_total", "Requests that were not let in.", self._gate.refusals)
        yield _by_reason(
            "swarmscope_monitor_senders_unknown_total",
            "Logins through a trusted proxy that name no sender who can be read.",
            self._gate.senders_unknown,
        )
        yield _by_reason("swarmscope_monitor_dropped_connections_total", "Connections closed by us.", self._connections.dropped)


def _by_reason(name: str, meaning: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=["reason"])
    for reason, count in sorted(counts.items()):
        family.add_metric([reason], count)
    return family
