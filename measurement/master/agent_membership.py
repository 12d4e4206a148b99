"""The present agents. Pure: the caller passes the monotonic time.

An agent is a member from its registration until its timer ends, its stream of commands breaks, or it registers again. Each
registration has a new epoch; messages of an earlier epoch are refused. An epoch contains a random part that is new in each start of
the master, so an agent that was registered before a restart cannot continue without registering again.
"""

from dataclasses import dataclass, field

from measurement.control_messages import Keepalive, Registration
from measurement.operation import Technique


@dataclass(slots=True, kw_only=True)
class AgentMember:
    """A registered agent."""

    name: str
    epoch: str
    address: str
    tags: dict[str, str]
    techniques: frozenset[Technique]
    heard_s: float
    """When the last keep-alive arrived."""
    keepalive: int = 0
    """The number of the last keep-alive."""
    connected: bool = False
    """Whether its stream of commands is open, so that it can get work."""
    queued: int = 0
    running: int = 0
    spooled: int = 0


@dataclass(frozen=True, slots=True)
class AgentPlace:
    """The place of an agent: its address, as the master sees it, and its tags."""

    address: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class AgentMembership:
    """All members by name."""

    boot: str
    master_timer_s: float
    members: dict[str, AgentMember] = field(default_factory=dict)
    places: dict[str, AgentPlace] = field(default_factory=dict)
    """The last place of each agent, also of those that have left."""
    _registrations: int = 0

    def register(self, registration: Registration, address: str, now_s: float) -> AgentMember:
        """Begin a new epoch of this agent. An earlier one ends."""
        self._registrations += 1
        member = AgentMember(
            name=registration.name,
            epoch=f"{self.boot}-{self._registrations}",
            address=address,
            tags=dict(registration.tags),
            techniques=frozenset(registration.techniques),
            heard_s=now_s,
        )
        self.members[member.name] = member
        self.places[member.name] = AgentPlace(member.address, member.tags)
        return member

    def current(self, name: str, epoch: str) -> AgentMember | None:
        """The member, if this is its epoch."""
        member = self.members.get(name)
        return member if member is not None and member.epoch == epoch else None

    def note_keepalive(self, member: AgentMember, keepalive: Keepalive, now_s: float) -> None:
        member.heard_s, member.keepalive = now_s, keepalive.number
        member.queued, member.running, member.spooled = keepalive.queued, keepalive.running, keepalive.spooled

    def expired(self, now_s: float) -> list[AgentMember]:
        """Remove and return the members whose timer has ended."""
        gone = [each for each in self.members.values() if now_s - each.heard_s >= self.master_timer_s]
        for member in gone:
            del self.members[member.name]
        return gone

    def remove(self, member: AgentMember) -> None:
        if self.members.get(member.name) is member:
            del self.members[member.name]

    def available(self) -> list[AgentMember]:
        """The members that can get work, by name."""
        return sorted((each for each in self.members.values() if each.connected), key=lambda each: each.name)
