"""PM_SYN at the master: operations on the board, and the leases under which agents run them.

A lease ends with the outcome. Without one it ends when the agent has certainly stopped: at its deadline, or, if the agent is gone,
when the master's timer for the agent ends, because the agent's own timer is shorter. Only then is the destination free.
"""

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from measurement.control_messages import Cancel, Command, Report, Start
from measurement.master.agent_membership import AgentMembership
from measurement.master.dry_run_plan import sync_round, waves_of
from measurement.master.live_request import LiveRequest
from measurement.master.operation_recorder import OperationRecorder, Pair
from measurement.master.queued_tasks import AGENT_GONE, OVER_BUDGET
from measurement.operation import Operation
from measurement.outcome import Outcome, Status
from measurement.scheduling.board import Board, Slot

LEASE_SPARE_S = 5.0
"""How much longer a lease is than the time limit of its operation: the command takes time, and so does the end of a process."""


@dataclass(slots=True, kw_only=True)
class RunningLease:
    """An operation that an agent may be running."""

    pair: Pair
    lease_id: str
    epoch: str
    slot: Slot
    ends_s: float
    """When the agent has certainly stopped."""
    recorded: bool = False
    """Whether its operation has ended, for example by a cancel, and only the destination is still locked."""
    agent_gone: bool = False


@dataclass(frozen=True, slots=True)
class _Wave:
    """A part of a round in which each address occurs once."""

    live: LiveRequest
    round: int
    index: dict[str, int]
    """The index of the destination of each address."""

    def pair(self, slot: Slot) -> Pair:
        return Pair(self.live, self.round, slot.agent, self.index[slot.destination])


@dataclass(slots=True, kw_only=True)
class LeasedRounds:
    """All operations under the master's locks. Methods return the requests whose operations have ended."""

    recorder: OperationRecorder
    membership: AgentMembership
    send: Callable[[str, Command], None]
    within_budget: Callable[[Operation], bool]
    clock: Callable[[], float]
    rng: random.Random
    board: Board = field(default_factory=Board)
    leases: dict[str, RunningLease] = field(default_factory=dict)
    """The running leases, by the id of the operation."""
    _waves: dict[str, _Wave] = field(default_factory=dict)
    """By the key of the round on the board."""

    def add(self, live: LiveRequest) -> None:
        """Plan the current round of the request; agents that are not connected are lost at once."""
        for agent in live.agents:
            live.plan(live.round, agent, live.all_destinations)
        available = {each.name for each in self.membership.available()}
        for agent in sorted(set(live.agents) - available):
            pairs = [Pair(live, live.round, agent, index) for index in range(len(live.destinations))]
            self.recorder.end_many(pairs, Status.AGENT_LOST, "the agent is not connected")
        present = [agent for agent in live.agents if agent in available]
        for number, wave in enumerate(waves_of(live.destinations) if present else []):
            key = f"{live.request_id}.{live.round}.{number}"
            self._waves[key] = _Wave(live, live.round, wave)
            self.board.add_round(key, sync_round(live.request, present, list(wave), self.rng), priority=live.request.priority)

    def start_ready(self) -> list[LiveRequest]:
        """Start everything that can start now."""
        touched: list[LiveRequest] = []
        while ready := self.board.start_ready():
            for slot in ready:
                touched += self._start(slot)
        return touched

    def report(self, agent: str, report: Report) -> RunningLease | None:
        """An outcome under a lease, which ends with it; None if no such lease is open."""
        lease = self.leases.get(report.outcome.operation_id)
        if lease is None or lease.lease_id != report.lease_id or lease.pair.agent != agent:
            return None
        if not lease.recorded:
            self.recorder.end(lease.pair, report.outcome)
        self._end_lease(lease)
        return lease

    def cancel(self, live: LiveRequest, reason: str) -> None:
        """Cancel everything of a request; the destinations stay locked until the agents have stopped."""
        for key, wave in [(key, wave) for key, wave in self._waves.items() if wave.live is live]:
            self.recorder.end_many(map(wave.pair, self.board.cancel(key)), Status.CANCELLED, reason)
            self._forget_if_done(key)
        for lease in [each for each in self.leases.values() if each.pair.live is live and not each.recorded]:
            lease.recorded = True
            self.recorder.end_unmeasured(lease.pair, Status.CANCELLED, reason)
            self.send(lease.pair.agent, Cancel(operation_id=lease.pair.operation_id))

    def agent_connected(self, name: str, epoch: str) -> list[LiveRequest]:
        """The agent can get work. It has stopped what it ran in earlier epochs, and has delivered all outcomes of them."""
        old = [each for each in self.leases.values() if each.pair.agent == name and each.epoch != epoch]
        touched = [live for lease in old for live in self._give_up(lease, Status.AGENT_LOST, AGENT_GONE)]
        self.board.add_agent(name)
        return touched

    def agent_gone(self, name: str, heard_s: float) -> list[LiveRequest]:
        """The agent gets no more work. What it runs may still be running until the master's timer ends."""
        for lease in self.leases.values():
            if lease.pair.agent == name and not lease.agent_gone:
                lease.agent_gone = True
                lease.ends_s = min(lease.ends_s, heard_s + self.membership.master_timer_s)
        return self._end_slots(self.board.remove_agent(name), Status.AGENT_LOST, AGENT_GONE)

    def expire(self) -> list[LiveRequest]:
        """End the leases whose agents have certainly stopped."""
        now_s, touched = self.clock(), list[LiveRequest]()
        for lease in [each for each in self.leases.values() if each.ends_s <= now_s]:
            status = Status.AGENT_LOST if lease.agent_gone else Status.EXPIRED
            touched += self._give_up(lease, status, AGENT_GONE if lease.agent_gone else "the lease ended without an outcome")
        return touched

    def _start(self, slot: Slot) -> list[LiveRequest]:
        wave = self._waves[slot.round_key]
        pair = wave.pair(slot)
        operation, member, now_s = pair.operation, self.membership.members[slot.agent], self.clock()
        if not self.within_budget(operation):
            self.recorder.end_unmeasured(pair, Status.RATE_LIMITED, OVER_BUDGET)
            self._finish(slot)
            return [wave.live]
        lease = RunningLease(
            pair=pair,
            lease_id=secrets.token_hex(8),
            epoch=member.epoch,
            slot=slot,
            ends_s=now_s + operation.time_limit_s + LEASE_SPARE_S,
        )
        self.leases[pair.operation_id] = lease
        lease_s = lease.ends_s - member.heard_s
        self.send(slot.agent, Start(operation=operation, lease_id=lease.lease_id, keepalive=member.keepalive, lease_s=lease_s))
        return []

    def _give_up(self, lease: RunningLease, status: Status, reason: str) -> list[LiveRequest]:
        self._end_lease(lease)
        if lease.recorded:
            return []
        self.recorder.end_unmeasured(lease.pair, status, reason)
        return [lease.pair.live]

    def _end_lease(self, lease: RunningLease) -> None:
        del self.leases[lease.pair.operation_id]
        self._finish(lease.slot)

    def _finish(self, slot: Slot) -> None:
        self.board.finish(slot)
        self._forget_if_done(slot.round_key)

    def _end_slots(self, slots: Sequence[Slot], status: Status, reason: str) -> list[LiveRequest]:
        self.recorder.end_many([self._waves[slot.round_key].pair(slot) for slot in slots], status, reason)
        touched = {slot.round_key: self._waves[slot.round_key].live for slot in slots}
        for key in touched:
            self._forget_if_done(key)
        return list(touched.values())

    def _forget_if_done(self, key: str) -> None:
        if self.board.is_done(key):
            self._waves.pop(key, None)


def is_expected_end(lease: RunningLease, outcome: Outcome) -> bool:
    """Whether an outcome under this lease counts: its operation was open, or the agent confirms the cancel."""
    return not lease.recorded or outcome.status is Status.CANCELLED
