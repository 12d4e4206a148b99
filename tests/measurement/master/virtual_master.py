"""A dispatcher in virtual time, with agents that are plain lists of the commands that they got."""

import random
from collections import Counter, defaultdict

import msgspec

from measurement.control_messages import AddTask, Cancel, Keepalive, Registration, Report, SkipRound, Start, StopAll, StopTask
from measurement.finished_operation import FinishedOperation
from measurement.master.agent_membership import AgentMembership
from measurement.master.dispatcher import Dispatcher
from measurement.master.target_rules import DestinationBudgets
from measurement.measurement_request import MeasurementRequest
from measurement.operation import Destination, Technique
from measurement.outcome import Outcome, Status

TECHNIQUES = [Technique.PING, Technique.IGI, Technique.TRACEROUTE]


class VirtualMaster:
    """`now_s` is the monotonic clock, `wall_ahead_s` what the other one is ahead of it; `lines` are the records."""

    def __init__(self, *, packets=1e9, size=1e12, seed=1):
        self.now_s, self.wall_ahead_s = 1000.0, 0.0
        self.commands = defaultdict(list)
        self.lines = []
        self.members = {}
        self.keepalives = Counter()
        self.dispatcher = Dispatcher(
            membership=AgentMembership("boot", 20.0),
            budgets=DestinationBudgets(packets=packets, bytes=size),
            clock=lambda: self.now_s,
            wall_ms=lambda: int((self.now_s + self.wall_ahead_s) * 1000),
            send=lambda agent, command: self.commands[agent].append(command),
            write=self.lines.append,
            rng=random.Random(seed),
        )

    @property
    def records(self):
        return [msgspec.json.decode(line, type=FinishedOperation) for line in self.lines]

    def join(self, *names, **tags):
        for name in names:
            old = self.members.get(name)
            if old is not None:
                self.dispatcher.agent_gone(old)
            registration = Registration(name=name, tags=tags, techniques=TECHNIQUES)
            member = self.dispatcher.membership.register(registration, "192.0.2.9", self.now_s)
            self.members[name] = member
            self.commands[name].clear()
            self.dispatcher.agent_connected(member)

    def submit(self, *names, technique=Technique.PING, destinations=("d1",), requester="alice", **fields):
        request = MeasurementRequest(technique=technique, agents=list(names), **fields)
        found = [Destination(name=name, address=f"203.0.113.{int(name[1:])}") for name in destinations]
        agents = self.dispatcher.select(request, found, requester)
        live = self.dispatcher.submit(request, requester, agents, found)
        self.fill_queues()
        return live

    def fill_queues(self):
        while self.dispatcher.do_part():
            pass

    def keep_alive(self, *names):
        for name in names:
            self.keepalives[name] += 1
            member = self.members[name]
            self.dispatcher.membership.note_keepalive(
                member, Keepalive(epoch=member.epoch, number=self.keepalives[name]), self.now_s
            )

    def advance(self, seconds, *, alive=()):
        """Let time pass, a second at a time; the agents `alive` send keep-alives."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 1.0)
            self.keep_alive(*alive)
            self.dispatcher.tick()
            self.fill_queues()

    def starts(self, name):
        return [each for each in self.commands[name] if isinstance(each, Start)]

    def answer(self, name, command, status=Status.OK, **more):
        """The agent delivers the outcome of a command."""
        operation = getattr(command, "operation", None) or command.operations[0]
        outcome = Outcome(operation_id=operation.operation_id, status=status, reason="", started_ms=1, duration_ms=1.0)
        return self.dispatcher.take_reports(name, [Report(lease_id=command.lease_id, outcome=outcome, **more)])


def statuses(live):
    return {str(status): count for status, count in live.tally.items()}


def assert_conserved(master, live):
    """Planned operations are the sum of the statuses and the open ones, and each ended one has exactly one record."""
    assert live.planned == sum(live.tally.values()) + live.open
    mine = [each for each in master.records if each.request_id == live.request_id]
    assert len(mine) == sum(live.tally.values())
    assert len({each.outcome.operation_id for each in mine}) == len(mine)


__all__ = ["AddTask", "Cancel", "SkipRound", "StopAll", "StopTask", "VirtualMaster", "assert_conserved", "statuses"]
