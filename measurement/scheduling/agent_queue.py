"""PM_RAN: the queue of one agent (Emodis, section 4).

The entries are sorted by their start time. The agent always works on the first one. When it has run, its next start is computed and
it goes back into the queue. An entry is one destination of a task; the destinations of a task start together, in a random order
that is new in each round. An entry that is late keeps its place before all entries that are due later, so a slow task delays
others but never shuts them out.
"""

import random
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from measurement.scheduling.next_round import next_round


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTask:
    """A request at one agent: `destinations` are measured once, or every `period_s` seconds, `rounds` times (None: until
    stopped)."""

    task_id: str
    destinations: tuple[str, ...]
    period_s: float = 0.0
    rounds: int | None = None
    first_round: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """One destination of a task, to be measured not before `start_s`."""

    task: QueueTask
    destination: str
    round: int
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinserted:
    """An entry after it ran: the rounds that are left out, the number of its next round, and the entry of that round."""

    missed: tuple[int, ...]
    next_round: int | None
    again: QueueEntry | None


class AgentQueue:
    """Entries by start time; entries with the same start time in random order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._heap: list[tuple[float, float, int, QueueEntry]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, task: QueueTask, now_s: float) -> None:
        """Add all destinations of a task to the queue. They are due now."""
        for destination in task.destinations:
            self._push(QueueEntry(task=task, destination=destination, round=task.first_round, start_s=now_s))

    def remove(self, task_id: str) -> list[QueueEntry]:
        """Take a task out (client-stop); returns its entries."""
        return self._take_out({task_id})

    def clear(self) -> list[QueueEntry]:
        """Remove all entries, because the master is gone."""
        return self._take_out({item[3].task.task_id for item in self._heap})

    def due_s(self) -> float | None:
        """When the first entry starts; None if the queue is empty."""
        return self._heap[0][0] if self._heap else None

    def pop(self, now_s: float) -> QueueEntry | None:
        """The first entry if it is due. The caller runs it, then calls `reinsert`, or `put_back` if it was interrupted."""
        if not self._heap or self._heap[0][0] > now_s:
            return None
        return heappop(self._heap)[3]

    def put_back(self, entry: QueueEntry) -> None:
        """Put an interrupted entry back, with the start time that it had."""
        self._push(entry)

    def reinsert(self, entry: QueueEntry, now_s: float) -> Reinserted:
        """An entry has run until `now_s`: put its next round into the queue, if there is one."""
        task = entry.task
        if task.period_s <= 0:
            return Reinserted(missed=(), next_round=None, again=None)
        following = next_round(entry.start_s, now_s, task.period_s)
        number = entry.round + 1 + following.missed
        last = number if task.rounds is None else min(number, task.rounds)
        missed = tuple(range(entry.round + 1, last))
        if task.rounds is not None and number >= task.rounds:
            return Reinserted(missed=missed, next_round=number, again=None)
        again = QueueEntry(task=task, destination=entry.destination, round=number, start_s=following.start_s)
        self._push(again)
        return Reinserted(missed=missed, next_round=number, again=again)

    def _push(self, entry: QueueEntry) -> None:
        self._count += 1
        heappush(self._heap, (entry.start_s, self._rng.random(), self._count, entry))

    def _take_out(self, task_ids: set[str]) -> list[QueueEntry]:
        taken = [item[3] for item in self._heap if item[3].task.task_id in task_ids]
        self._heap = [item for item in self._heap if item[3].task.task_id not in task_ids]
        heapify(self._heap)
        return taken
