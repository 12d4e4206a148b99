"""Ends operations: each planned operation is recorded once, with one outcome, in its request and in the journal."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from measurement.finished_operation import FinishedOperation
from measurement.master.agent_membership import AgentPlace
from measurement.master.live_request import LiveRequest
from measurement.operation import Operation
from measurement.outcome import Outcome, Status

_RECENT = 20_000
AT_ONCE = 500
"""So many operations end together: about 5 ms."""


class Pair(msgspec.Struct, frozen=True, gc=False):
    """An operation of a request: its round, its agent, and the index of its destination.

    Nothing below refers to it, so Python's collector of cycles, which would stop the master for 50 ms, need not visit it.
    """

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
    _ending: deque[tuple[Iterator[Pair], Status, str]] = field(default_factory=deque)
    """Operations that end in later parts."""
    _left: int = AT_ONCE
    """So many operations may still end in the present part."""

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

    def end_many(self, pairs: Iterable[Pair], status: Status, reason: str) -> None:
        """Planned operations end without a measurement: some at once, the others in parts (`end_part`), because it takes time."""
        self._ending.append((iter(pairs), status, reason))
        if len(self._ending) == 1:
            self._end_some()

    def end_part(self) -> list[LiveRequest] | None:
        """End the next part of these operations; returns their requests, None if nothing is left."""
        self._left = AT_ONCE
        return self._end_some() if self._ending else None

    def _end_some(self) -> list[LiveRequest]:
        touched = dict[str, LiveRequest]()
        while self._ending and self._left:
            pairs, status, reason = self._ending[0]
            part = list(islice(pairs, self._left))
            for pair in part:
                self.end_unmeasured(pair, status, reason)
                touched[pair.live.request_id] = pair.live
            if len(part) < self._left:
                self._ending.popleft()
            self._left -= len(part)
        return list(touched.values())

    def remember(self, operation_id: str) -> None:
        """Remember that this operation has ended."""
        self._recent[operation_id] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def has_ended(self, operation_id: str) -> bool:
        """Whether this operation ended lately, so that another outcome of it is a duplicate or late."""
        return operation_id in self._recent
