"""`/metrics` of the master."""

from collections.abc import Iterator
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from measurement.master.master_context import MasterContext
from measurement.outcome import Status
from serving.metrics_text import SharedText, by_reason

_PREFIX = "swarmscope_measurement_master_"


class MasterCollector(Collector):
    """All metrics of one master."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        dispatcher = self._context.dispatcher
        ended = CounterMetricFamily(_PREFIX + "operations", "operations that have ended, by status", labels=["status"])
        for status in Status:
            ended.add_metric([status], dispatcher.recorder.ended[status])
        yield ended
        late = "outcomes of agents that did not count, by reason"
        yield by_reason(_PREFIX + "outcomes_refused", late, dispatcher.refused_outcomes)
        yield by_reason(_PREFIX + "refused", "refused requests, by reason", self._context.refused)
        if (forwarder := self._context.forwarder) is not None:
            yield CounterMetricFamily(_PREFIX + "forwarded", "operations that the coordinator accepted", forwarder.accepted)
            refused = "operations that the coordinator refused permanently, by reason"
            yield by_reason(_PREFIX + "forward_refused", refused, forwarder.refused)
            failing = float(bool(forwarder.failure))
            yield GaugeMetricFamily(_PREFIX + "forward_failing", "1 while no operation can be forwarded", failing)
        dropped = "records that were removed before they were forwarded, because all records were too large together"
        yield CounterMetricFamily(_PREFIX + "records_dropped", dropped, self._context.journal.dropped)
        for name, meaning, value in self._gauges():
            yield GaugeMetricFamily(_PREFIX + name, meaning, value)

    def _gauges(self) -> Iterator[tuple[str, str, float]]:
        dispatcher = self._context.dispatcher
        live = [each for each in dispatcher.requests.values() if each.is_live]
        yield "agents", "connected agents", len(dispatcher.membership.available())
        yield "requests", "requests that have not ended", len(live)
        yield "operations_open", "planned operations that have not ended", sum(each.open for each in live)
        yield "operations_running", "operations that agents run under a lease", len(dispatcher.rounds.leases)
        yield "stopped", "1 while the kill switch is on", float(dispatcher.stopped)
        yield "records_waiting_bytes", "bytes of records that have not been forwarded", self._context.journal.waiting_bytes


def master_metrics(context: MasterContext) -> SharedText:
    """The text of all metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MasterCollector(context))
    return SharedText(partial(generate_latest, registry))
