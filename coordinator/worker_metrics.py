"""The counters that a worker shows: its own, with gauges brought up to date, or the sum over all workers.

`worker_counters` defines the numbers, `shared_counters` the memory that the workers share, `http/exposition` their text.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from coordinator.carriers.outbox import Outbox
from coordinator.http.sliced_work import SlicedWork
from coordinator.ingest_keys import IngestKeys
from coordinator.quarantine import Quarantine
from coordinator.shared_counters import CounterPage, SharedCounters
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind


@dataclass(slots=True, kw_only=True)
class WorkerMetrics:
    """The sources of one worker's counters. A single worker shares them with no other: `shared` and `page` are None."""

    counters: WorkerCounters
    outboxes: Mapping[RecordKind, Outbox]
    keys: IngestKeys
    sliced_work: SlicedWork
    quarantine: Quarantine | None
    connections: Set[object]
    shared: SharedCounters | None
    page: CounterPage | None

    def publish(self) -> None:
        """Bring the gauges up to date and show them to the other workers; called ten times a second."""
        self.counters.begin_gauges()
        for kind, outbox in self.outboxes.items():
            outbox.add_gauges(kind)
        if self.quarantine is not None:
            self.quarantine.count(self.counters)
        self.counters.waiting = self.sliced_work.waiting
        self.counters.connections = len(self.connections)
        if self.page is not None:
            self.page.publish(self.counters)

    def publish_keys(self) -> None:
        """Called once a second only, as there may be many keys."""
        if self.page is not None:
            self.page.publish_keys(self.keys.counted())

    def total(self) -> WorkerCounters:
        """Over all workers, with the processes that were killed."""
        self.publish()
        self.publish_keys()
        if self.shared is not None:
            return self.shared.total()
        total = WorkerCounters(keys=self.keys.counted())
        total.add(self.counters)
        return total
