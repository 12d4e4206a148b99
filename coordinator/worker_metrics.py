"""What the coordinator has counted, for whichever worker is asked: its own counts as they are, the others' as they noted them."""

from collections.abc import Set
from dataclasses import dataclass

from coordinator.carriers.outbox import Outbox
from coordinator.counters import Counters
from coordinator.http.sliced_work import SlicedWork
from coordinator.keys import Keys
from coordinator.quarantine import Quarantine
from coordinator.shared_counters import Page, SharedCounters


@dataclass(slots=True, kw_only=True)
class WorkerMetrics:
    """One worker's; `books` and `page` are None for a single one, who shares its counts with nobody."""

    counters: Counters
    outbox: Outbox
    keys: Keys
    sliced_work: SlicedWork
    quarantine: Quarantine | None
    connections: Set[object]
    books: SharedCounters | None
    page: Page | None

    def note(self) -> None:
        """Bring the states up to date, for the others to see; called ten times a second."""
        self.outbox.count()
        if self.quarantine is not None:
            self.quarantine.count(self.counters)
        self.counters.waiting = self.sliced_work.waiting
        self.counters.connections = len(self.connections)
        if self.page is not None:
            self.page.note(self.counters)

    def note_keys(self) -> None:
        """There may be many, so only once a second."""
        if self.page is not None:
            self.page.note_keys(self.keys.counted())

    def total(self) -> Counters:
        """Over all workers, the dead ones too."""
        self.note()
        self.note_keys()
        if self.books is not None:
            return self.books.total()
        total = Counters(keys=self.keys.counted())
        total.add(self.counters)
        return total
