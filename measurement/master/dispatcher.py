"""The core of the master: requests become operations, operations go to agents, and each ends with one status.

Nothing here waits or opens a connection. The HTTP side calls the methods, `tick` is called several times a second, commands leave
through `send`, and records through `write`. All times are seconds of the monotonic `clock`.
"""

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from measurement.control_messages import Command, Receipt, Report, StopAll
from measurement.master.agent_membership import AgentMember, AgentMembership, AgentPlace
from measurement.master.agent_selection import EdgeRoutes, Selector
from measurement.master.dry_run_plan import DryRunPlan, dry_run, uses_queues
from measurement.master.leased_rounds import LeasedRounds, is_expected_end
from measurement.master.live_request import LiveRequest, RequestState
from measurement.master.operation_recorder import OperationRecorder, Pair
from measurement.master.queued_tasks import QueuedTasks, most_missed
from measurement.master.restored_operations import RestoredOperations
from measurement.master.target_rules import DestinationBudgets
from measurement.measurement_request import InvalidRequestError, MeasurementRequest
from measurement.operation import Destination, Operation, Technique
from measurement.outcome import Outcome, Status
from measurement.scheduling.next_round import next_round
from measurement.technique_parameters import planned_cost

MOST_ENDED = 1000
"""The number of ended requests that clients can still show."""

FIRST_FOLLOW_S = 10.0
"""An attached request ends unless its client follows it within this time after the submission."""


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """All requests and their operations."""

    membership: AgentMembership
    budgets: DestinationBudgets
    clock: Callable[[], float]
    wall_ms: Callable[[], int]
    send: Callable[[str, Command], None]
    """Sends a command to a connected agent."""
    write: Callable[[bytes], None]
    """Writes a record."""
    rng: random.Random = field(default_factory=random.Random)
    requests: dict[str, LiveRequest] = field(default_factory=dict)
    routes: EdgeRoutes = field(default_factory=EdgeRoutes)
    refused_outcomes: Counter[str] = field(default_factory=Counter)
    """Outcomes of agents that did not count, by reason: late (or a duplicate), unknown."""
    stopped: bool = False
    """Whether the kill switch is on."""
    rounds_begun: int = 0
    """The number of rounds that were planned, over all requests. New rounds have to be saved."""
    recorder: OperationRecorder = field(init=False)
    queues: QueuedTasks = field(init=False)
    rounds: LeasedRounds = field(init=False)
    restored: RestoredOperations = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = OperationRecorder(write=self.write, wall_ms=self.wall_ms, place_of=self._place_of)
        self.queues = QueuedTasks(recorder=self.recorder, send=self.send, within_budget=self._within_budget, clock=self.clock)
        self.restored = RestoredOperations(recorder=self.recorder)
        self.rounds = LeasedRounds(
            recorder=self.recorder,
            membership=self.membership,
            send=self.send,
            within_budget=self._within_budget,
            clock=self.clock,
            rng=self.rng,
        )

    # Requests

    def select(self, request: MeasurementRequest, destinations: Sequence[Destination], requester: str | None) -> list[str]:
        """The agents of a round; with `requester` None, they may be those of any request. InvalidRequestError if there are none."""

        def agents_of(request_id: str) -> Sequence[str] | None:
            found = self.requests.get(request_id)
            return found.agents if found is not None and requester in (None, found.requester) else None

        selector = Selector(
            members=self._able(request.technique),
            addresses=[each.address for each in destinations],
            routes=self.routes,
            rng=self.rng,
            agents_of=agents_of,
            most_agents=request.most_agents,
        )
        return selector.select(request.agents)

    def check_agents(self, technique: Technique) -> None:
        """InvalidRequestError if no connected agent can run this technique."""
        if not self._able(technique):
            raise InvalidRequestError(f"no agent that can run {technique} is connected; wait for one, or use another technique")

    def plan(self, request: MeasurementRequest, agents: Sequence[str], destinations: Sequence[Destination]) -> DryRunPlan:
        """What one round of the request would do."""
        return dry_run(request, agents, destinations, planned_cost(request.operation("dry-run", "dry-run", destinations[0])))

    def submit(
        self, request: MeasurementRequest, requester: str, agents: Sequence[str], destinations: Sequence[Destination]
    ) -> LiveRequest:
        """Accept a request and start its first round."""
        now_s = self.clock()
        live = LiveRequest(
            request_id=secrets.token_hex(6),
            requester=requester,
            request=request,
            destinations=tuple(destinations),
            agents=tuple(agents),
            submitted_ms=self.wall_ms(),
            round_start_s=now_s,
            unfollowed_s=now_s,
        )
        self.requests[live.request_id] = live
        self._start_round(live)
        self._advance()
        return live

    def restore(self, requests: Sequence[LiveRequest], lines: Iterable[bytes], until_s: float) -> None:
        """Take over the requests of the last run; `lines` are the records after they were saved."""
        self.requests |= {each.request_id: each for each in requests}
        self.restored.restore(requests, lines, until_s)

    def cancel(self, live: LiveRequest, state: RequestState, reason: str) -> None:
        """End a request: what has not ended is cancelled, and the agents stop it."""
        if live.is_live:
            self._close(live, state)
            self.queues.stop(live, reason)
            self.rounds.cancel(live, reason)
            live.notify()
            self._advance()

    def stop_all(self) -> None:
        """The kill switch: cancel every request and stop every agent; nothing starts until `resume`."""
        self.stopped = True
        for live in self._live():
            self.cancel(live, RequestState.STOPPED, "a manager stopped all probing")
        for member in self.membership.available():
            self.send(member.name, StopAll())

    def resume(self) -> None:
        """Admit requests again."""
        self.stopped = False

    # Agents

    def agent_connected(self, member: AgentMember) -> None:
        """An agent has opened its stream of commands. It has delivered its spool and runs nothing any more."""
        member.connected = True
        self._check(self.rounds.agent_connected(member.name, member.epoch))
        for live in self._live():
            if self._rejoins(live, member):
                live.state, live.next_start_s = RequestState.RUNNING, None
                live.round += 1
                self.queues.add(live, member)
        self._advance()

    def agent_gone(self, member: AgentMember) -> None:
        """An agent has left: its stream is broken, its timer has ended, or it registers again."""
        if member.connected:
            member.connected = False
            self._check(self.rounds.agent_gone(member.name, member.heard_s))
            self._check(self.queues.agent_gone(member.name))
            self._advance()

    def take_reports(self, agent: str, reports: Iterable[Report]) -> Receipt:
        """Accept outcomes from an agent, or refuse them permanently and count them."""
        accepted, refused = 0, Counter[str]()
        for report in reports:
            if reason := self._take(agent, report):
                refused[reason] += 1
            else:
                accepted += 1
        self.refused_outcomes += refused
        self._advance()
        return Receipt(accepted=accepted, refused=dict(refused))

    # Time

    def tick(self) -> None:
        """Do what is due now."""
        now_s = self.clock()
        for member in self.membership.expired(now_s):
            self.agent_gone(member)
        self._check(self.rounds.expire())
        self.restored.expire(now_s)
        for live in self._live():
            if live.next_start_s is not None and live.next_start_s <= now_s:
                self._start_next_round(live)
            elif live.request.attached and not live.followers and now_s - live.unfollowed_s >= FIRST_FOLLOW_S:
                self.cancel(live, RequestState.CLIENT_GONE, "the client does not follow its request")
        self._advance()

    def expire_queues(self) -> None:
        """End queued operations that should have run long ago. Call it once a second, because queues can be long."""
        self._check(self.queues.expire())
        self._advance()

    def do_part(self) -> bool:
        """Do the next part of what takes time: end operations, or put a new round into the queue of an agent. False if there is
        nothing to do.
        """
        touched = self.recorder.end_part()
        if touched is None:
            live = self.queues.fill_next()
            touched = None if live is None else [live]
        self._check(touched or ())
        return touched is not None

    def forget_old(self) -> None:
        """Forget old routes, budgets and requests."""
        now_s = self.clock()
        self.routes.forget_old(now_s)
        self.budgets.forget_full(now_s)
        over = sorted((each.ended_s, each.request_id) for each in self.requests.values() if each.ended_s is not None)
        for _, request_id in over[:-MOST_ENDED]:
            del self.requests[request_id]

    # Rounds

    def _start_round(self, live: LiveRequest) -> None:
        live.state, live.next_start_s = RequestState.RUNNING, None
        self.rounds_begun += 1
        if not uses_queues(live.request):
            self.rounds.add(live)
        else:
            self.queues.plan(live, [each for each in self.membership.available() if each.name in live.agents])
        self._check([live])

    def _start_next_round(self, live: LiveRequest) -> None:
        start_s = live.next_start_s
        with suppress(InvalidRequestError):  # else the agents of the last round; those that are not connected are lost
            live.agents = tuple(self.select(live.request, live.destinations, live.requester))
        live.round += 1
        live.round_start_s = self.clock() if start_s is None else start_s
        self._start_round(live)

    def _check(self, touched: Iterable[LiveRequest]) -> None:
        """Operations of these requests have ended: end their round if nothing is open."""
        for live in touched:
            if live.open or not live.is_live or live.next_start_s is not None:
                continue
            request = live.request
            if not request.period_s or (request.rounds is not None and live.round + 1 >= request.rounds):
                self._close(live, RequestState.DONE)
            elif uses_queues(request):
                live.state = RequestState.WAITING  # its agents have left: wait for them
            else:
                self._plan_next_round(live)
            live.notify()

    def _plan_next_round(self, live: LiveRequest) -> None:
        following = next_round(live.round_start_s, self.clock(), live.request.period_s)
        live.state, live.next_start_s = RequestState.WAITING, following.start_s
        last, rounds = live.round + min(following.missed, most_missed(live)), live.request.rounds
        for number in range(live.round + 1, (last if rounds is None else min(last, rounds - 1)) + 1):
            for agent in live.agents:
                live.plan(number, agent, live.all_destinations)
            self.recorder.end_many(_pairs(live, number, live.agents), Status.MISSED, "the round before was still running")
            live.round = number
        if rounds is not None and live.round + 1 >= rounds:
            self._close(live, RequestState.DONE)

    def _rejoins(self, live: LiveRequest, member: AgentMember) -> bool:
        """Whether an agent that has returned continues a periodic request of PM_RAN."""
        request = live.request
        another = request.rounds is None or live.round + 1 < request.rounds
        periodic = request.period_s > 0 and uses_queues(request)
        return periodic and another and member.name in live.agents and not self.queues.has(live, member.name)

    def _close(self, live: LiveRequest, state: RequestState) -> None:
        live.state, live.next_start_s, live.ended_s = state, None, self.clock()

    def _advance(self) -> None:
        """Start everything that can start now."""
        while not self.stopped and (touched := self.rounds.start_ready()):
            self._check(touched)

    # Outcomes

    def _take(self, agent: str, report: Report) -> str:
        """Accept one outcome; the reason if it is refused."""
        outcome = report.outcome
        lease = self.rounds.report(agent, report)
        if lease is not None:
            self._keep_route(lease.pair, outcome)
            self._check([lease.pair.live])
            return "" if is_expected_end(lease, outcome) else "late"
        pair = self.queues.report(agent, report) or self.restored.report(agent, report)
        if pair is not None:
            self._keep_route(pair, outcome)
            self._check([pair.live])
            return ""
        return "late" if self.recorder.has_ended(outcome.operation_id) else "unknown"

    def _keep_route(self, pair: Pair, outcome: Outcome) -> None:
        """Keep the end of a route, which AUTO covers."""
        if pair.live.request.technique is Technique.TRACEROUTE:
            address = pair.live.destinations[pair.destination].address
            routers = [hop.address for hop in outcome.hops if hop.address is not None and hop.address != address]
            whole = any(hop.address == address for hop in outcome.hops)
            self.routes.add(pair.agent, address, routers, self.clock(), whole=whole)

    def _live(self) -> list[LiveRequest]:
        return [each for each in self.requests.values() if each.is_live]

    def _able(self, technique: Technique) -> list[AgentMember]:
        return [each for each in self.membership.available() if technique in each.techniques]

    def _place_of(self, agent: str) -> AgentPlace:
        return self.membership.places.get(agent, AgentPlace())

    def _within_budget(self, operation: Operation) -> bool:
        cost = planned_cost(operation)
        return self.budgets.take(operation.destination.address, cost.packets, cost.size_bytes, self.clock())


def _pairs(live: LiveRequest, number: int, agents: Sequence[str]) -> Iterator[Pair]:
    """The operations of a round; the next round may have other agents."""
    for agent in agents:
        for index in range(len(live.destinations)):
            yield Pair(live, number, agent, index)
