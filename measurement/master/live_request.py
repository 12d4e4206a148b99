"""One accepted request: its operations, how they ended, and what a client that follows it has not seen yet."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from measurement.measurement_request import MeasurementRequest
from measurement.operation import Destination
from measurement.outcome import Status

MOST_KEPT_LINES = 10_000
"""The number of outcomes that are kept for clients. Earlier ones are only in the records."""


class RequestState(StrEnum):
    """The state of a request."""

    RUNNING = "running"
    WAITING = "waiting"
    """It waits for its next round, or for its agents."""
    DONE = "done"
    CANCELLED = "cancelled"
    CLIENT_GONE = "client_gone"
    STOPPED = "stopped"
    """The kill switch ended it."""
    LOST = "lost"
    """The master restarted, and the request was not kept."""


LIVE = (RequestState.RUNNING, RequestState.WAITING)


@dataclass(slots=True, kw_only=True)
class LiveRequest:
    """An accepted request. `planned` always equals the sum of `tally` plus the operations that have not ended."""

    request_id: str
    requester: str
    request: MeasurementRequest
    destinations: tuple[Destination, ...]
    agents: tuple[str, ...]
    """The agents of the current round."""
    submitted_ms: int
    state: RequestState = RequestState.RUNNING
    planned: int = 0
    open_pairs: dict[tuple[int, str], int] = field(default_factory=dict)
    """The operations that have not ended: for each round and agent, one bit for each destination."""
    open: int = 0
    """The number of operations that have not ended."""
    tally: Counter[Status] = field(default_factory=Counter)
    round: int = 0
    round_start_s: float = 0.0
    """When the current round was to start, on the monotonic clock."""
    next_start_s: float | None = None
    """When its next round starts, while it waits."""
    ended_s: float | None = None
    followers: int = 0
    unfollowed_s: float = 0.0
    """When the last client stopped following it."""
    lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=MOST_KEPT_LINES))
    count: int = 0
    """The number of all lines so far."""
    changed: set[Callable[[], None]] = field(default_factory=set)
    """Called after each new line and at the end."""

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def plan(self, number: int, agent: str, destinations: int) -> None:
        """Operations of an agent in a round are planned; `destinations` has one bit for each."""
        count = destinations.bit_count()
        self.planned += count
        self.open += count
        self.open_pairs[number, agent] = self.open_pairs.get((number, agent), 0) | destinations

    @property
    def all_destinations(self) -> int:
        """One bit for each destination."""
        return (1 << len(self.destinations)) - 1

    def is_open(self, number: int, agent: str, destination: int) -> bool:
        """Whether this operation is planned and has not ended."""
        return bool(self.open_pairs.get((number, agent), 0) >> destination & 1)

    def close(self, number: int, agent: str, destination: int, status: Status) -> None:
        """One planned operation has ended."""
        left = self.open_pairs[number, agent] & ~(1 << destination)
        if left:
            self.open_pairs[number, agent] = left
        else:
            del self.open_pairs[number, agent]
        self.open -= 1
        self.tally[status] += 1

    def ended(self, number: int, agent: str, destination: int, status: Status, line: bytes) -> None:
        """One planned operation has ended, with this record."""
        self.close(number, agent, destination, status)
        self.lines.append(line)
        self.count += 1
        self.notify()

    def lines_after(self, number: int) -> tuple[list[bytes], int]:
        """The lines from line `number` on that are still kept, and how many before them are no longer kept."""
        first = self.count - len(self.lines)
        skipped = max(0, first - number)
        return list(self.lines)[max(0, number - first) :], skipped

    def notify(self) -> None:
        for each in list(self.changed):
            each()

    def to_json(self) -> dict[str, Any]:
        """What its requester may see."""
        return {
            "id": self.request_id,
            "requester": self.requester,
            "state": self.state,
            "technique": self.request.technique,
            "schedule": self.request.schedule,
            "destinations": [{"name": each.name, "address": each.address, "port": each.port} for each in self.destinations],
            "agents": list(self.agents),
            "round": self.round,
            "planned": self.planned,
            "open": self.open,
            "statuses": {str(status): count for status, count in sorted(self.tally.items())},
            "submitted_ms": self.submitted_ms,
        }
