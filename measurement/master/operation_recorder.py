"""Ends operations: each planned operation is recorded once, with one outcome, in its request and in the journal."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from measurement.finished_operation import FinishedOperation
from measurement.master.agent_membership import AgentPlace
from measurement.master.live_request import LiveRequest
from measurement.operation import Operation
from measurement.outcome import Outcome, Status

_RECENT = 20_000


@dataclass(frozen=True, slots=True)
class Pair:
    """An operation of a request: its round, its agent, and the index of its destination."""

    live: LiveRequest
    round: int
    agent: str
    destination: int

    @property
    def operation_id(self) -> str:
        """The id of the operation. Under PM_RAN, the agent makes the ids of later rounds (`AddTask`)."""
        return f"{self.live.request_id}.{self.round}.{self.agent}.{self.destination}"

    @property
    def operation(self) -> Operation:
        """The operation for the agent."""
        request, destination = self.live.request, self.live.destinations[self.destination]
        return request.operation(self.operation_id, self.live.request_id, destination)


@dataclass(slots=True, kw_only=True)
class OperationRecorder:
    """Writes records; `place_of` returns where an agent measures."""

    write: Callable[[bytes], None]
    wall_ms: Callable[[], int]
    place_of: Callable[[str], AgentPlace]
    ended: Counter[Status] = field(default_factory=Counter)
    _recent: dict[str, None] = field(default_factory=dict)

    def end(self, pair: Pair, outcome: Outcome) -> None:
        """A planned operation has ended."""
        live, place = pair.live, self.place_of(pair.agent)
        finished = FinishedOperation(
            request_id=live.request_id,
            requester=live.requester,
            round=pair.round,
            agent=pair.agent,
            agent_address=place.address,
            tags=place.tags,
            technique=live.request.technique,
            destination=live.destinations[pair.destination],
            outcome=outcome,
            recorded_ms=self.wall_ms(),
        )
        line = msgspec.json.encode(finished)
        self.write(line)
        self.ended[outcome.status] += 1
        self.remember(outcome.operation_id)
        live.ended(pair.round, pair.agent, pair.destination, outcome.status, line)

    def end_unmeasured(self, pair: Pair, status: Status, reason: str) -> None:
        """A planned operation ends without a measurement."""
        now_ms = self.wall_ms()
        outcome = Outcome(operation_id=pair.operation_id, status=status, reason=reason, started_ms=now_ms, duration_ms=0.0)
        self.end(pair, outcome)

    def remember(self, operation_id: str) -> None:
        """Remember that this operation has ended."""
        self._recent[operation_id] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def has_ended(self, operation_id: str) -> bool:
        """Whether this operation ended lately, so that another outcome of it is a duplicate or late."""
        return operation_id in self._recent
