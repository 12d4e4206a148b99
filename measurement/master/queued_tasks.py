"""PM_RAN at the master: the operations in the queues of the agents, which decide when to run them."""

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec import Struct

from measurement.control_messages import AddTask, Command, Report, SkipRound, StopTask
from measurement.master.agent_membership import AgentMember
from measurement.master.live_request import LiveRequest
from measurement.master.operation_recorder import OperationRecorder, Pair
from measurement.operation import Operation
from measurement.outcome import Status

OVER_BUDGET = "the budget of this destination for packets or bytes per minute is used up; measure it later, or less often"
AGENT_GONE = "the agent disconnected before it delivered an outcome"

_SPARE_S = 60.0
"""An operation expires this long after the sum of the time limits of all operations before it in the queue."""

_MOST_MISSED_ROUNDS = 100
_MOST_MISSED_OPERATIONS = 10_000


def most_missed(live: LiveRequest) -> int:
    """How many missed rounds of one gap are recorded, at least one. Further ones are not planned at all.

    Large rounds are as large as a request may be, so their number is limited by their operations: each gets a record.
    """
    operations = len(live.agents) * len(live.destinations)
    return max(1, min(_MOST_MISSED_ROUNDS, _MOST_MISSED_OPERATIONS // max(1, operations)))


class QueuedOperation(Struct, frozen=True, gc=False):
    """One operation in an agent's queue, in no cycle of references (`Pair`)."""

    pair: Pair
    lease_id: str
    expires_s: float


@dataclass(slots=True, kw_only=True)
class QueuedTasks:
    """All operations in queues, by their id."""

    recorder: OperationRecorder
    send: Callable[[str, Command], None]
    within_budget: Callable[[Operation], bool]
    clock: Callable[[], float]
    queued: dict[str, QueuedOperation] = field(default_factory=dict)
    _unfilled: deque[tuple[LiveRequest, AgentMember, int]] = field(default_factory=deque)
    """Planned rounds, by request, agent and number."""

    def plan(self, live: LiveRequest, members: Iterable[AgentMember]) -> None:
        """Plan the current round of the request for these agents. `fill_next` puts it into their queues, which takes time."""
        for member in members:
            live.plan(live.round, member.name, live.all_destinations)
            self._unfilled.append((live, member, live.round))

    def fill_next(self) -> LiveRequest | None:
        """Put a planned round into the queue of the next agent; returns its request, None if there is none."""
        if not self._unfilled:
            return None
        live, member, number = self._unfilled.popleft()
        if live.is_live and member.connected:
            self._fill(live, member, number)
            return live
        status, reason = (Status.AGENT_LOST, AGENT_GONE) if live.is_live else (Status.CANCELLED, "its request has ended")
        self.recorder.end_many((Pair(live, number, member.name, index) for index in range(len(live.destinations))), status, reason)
        return live

    def add(self, live: LiveRequest, member: AgentMember) -> None:
        """Put the request into the agent's queue at once, from the request's current round on."""
        live.plan(live.round, member.name, live.all_destinations)
        self._fill(live, member, live.round)

    def _fill(self, live: LiveRequest, member: AgentMember, number: int) -> None:
        lease_id, operations = secrets.token_hex(8), list[Operation]()
        count = len(live.destinations)
        expires_s = self.clock() + _SPARE_S + (member.queued + count) * (live.request.time_limit_s + 5.0)
        for index in range(count):
            pair = Pair(live, number, member.name, index)
            if self._affordable(pair):
                operations.append(pair.operation)
                self.queued[pair.operation_id] = QueuedOperation(pair, lease_id, expires_s)
        if operations:
            command = AddTask(
                task_id=live.request_id,
                lease_id=lease_id,
                operations=operations,
                period_s=live.request.period_s,
                rounds=live.request.rounds,
                first_round=number,
            )
            self.send(member.name, command)

    def report(self, agent: str, report: Report) -> Pair | None:
        """An outcome from a queue; returns its operation, None if no such operation is open under this lease."""
        entry = self.queued.get(report.outcome.operation_id)
        if entry is None or entry.pair.agent != agent or entry.lease_id != report.lease_id:
            return None
        del self.queued[report.outcome.operation_id]
        self.recorder.end(entry.pair, report.outcome)
        if report.next_round is not None and entry.pair.live.is_live:
            self._plan_next(entry, report.next_round)
        return entry.pair

    def stop(self, live: LiveRequest, reason: str) -> None:
        """Cancel all queued operations of a request (client-stop)."""
        agents = {entry.pair.agent for entry in self.queued.values() if entry.pair.live is live}
        self._end_all(lambda entry: entry.pair.live is live, Status.CANCELLED, reason)
        for agent in sorted(agents):
            self.send(agent, StopTask(task_id=live.request_id))

    def agent_gone(self, agent: str) -> list[LiveRequest]:
        """An agent has left, and has cleared its queue; returns the requests that lost operations."""
        return self._end_all(lambda entry: entry.pair.agent == agent, Status.AGENT_LOST, AGENT_GONE)

    def expire(self) -> list[LiveRequest]:
        """End the operations that should have ended long ago. Returns their requests."""
        now_s = self.clock()
        return self._end_all(lambda entry: entry.expires_s <= now_s, Status.EXPIRED, "the agent delivered no outcome in time")

    def has(self, live: LiveRequest, agent: str) -> bool:
        """Whether the agent's queue has an operation of the request."""
        return any(each.pair.live is live and each.pair.agent == agent for each in self.queued.values())

    def _plan_next(self, entry: QueuedOperation, next_round: int) -> None:
        """Plan the agent's next round of this operation, and record the rounds that it has missed."""
        pair = entry.pair
        live, rounds = pair.live, pair.live.request.rounds
        last = next_round if rounds is None else min(next_round, rounds)
        most = most_missed(live)
        for number in range(max(pair.round + 1, last - most), last):
            live.plan(number, pair.agent, 1 << pair.destination)
            reason = "an earlier round was still running when this one should have ended"
            self.recorder.end_unmeasured(self._in_round(pair, number), Status.MISSED, reason)
        while rounds is None or next_round < rounds:
            following = self._in_round(pair, next_round)
            live.plan(next_round, pair.agent, 1 << pair.destination)
            live.round = max(live.round, next_round)
            if self._affordable(following):
                expires_s = max(self.clock(), entry.expires_s) + (next_round - pair.round) * live.request.period_s
                self.queued[following.operation_id] = QueuedOperation(following, entry.lease_id, expires_s)
                return
            self.send(pair.agent, SkipRound(operation_id=following.operation_id))
            next_round += 1
            if next_round - pair.round > most:
                return

    def _affordable(self, pair: Pair) -> bool:
        if self.within_budget(pair.operation):
            return True
        self.recorder.end_unmeasured(pair, Status.RATE_LIMITED, OVER_BUDGET)
        return False

    def _in_round(self, pair: Pair, number: int) -> Pair:
        return Pair(pair.live, number, pair.agent, pair.destination)

    def _end_all(self, ends: Callable[[QueuedOperation], bool], status: Status, reason: str) -> list[LiveRequest]:
        found = [operation_id for operation_id, entry in self.queued.items() if ends(entry)]
        pairs = [self.queued.pop(operation_id).pair for operation_id in found]
        self.recorder.end_many(pairs, status, reason)
        return list({pair.live.request_id: pair.live for pair in pairs}.values())
