"""The pairs (agent, destination) of one round of a request, and which of them may start next.

Sets of agents and destinations are integers with one bit for each index: one round can have 100,000 pairs, and a plan must take
less than a second.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence


class SyncRound(ABC):
    """Each agent measures each destination once, one destination at a time, and no two agents the same destination at a time."""

    def __init__(self, agents: Sequence[str], destinations: Sequence[str]) -> None:
        self.agents, self.destinations = tuple(agents), tuple(destinations)
        self._agent_index = {name: index for index, name in enumerate(self.agents)}
        self._destination_index = {name: index for index, name in enumerate(self.destinations)}
        if len(self._agent_index) < len(self.agents) or len(self._destination_index) < len(self.destinations):
            raise ValueError("a round names an agent or a destination twice")
        self._todo = [_bits(len(self.destinations))] * len(self.agents)
        """Of each agent: the destinations that it has not begun to measure."""
        self._missing = [_bits(len(self.agents))] * len(self.destinations)
        """Of each destination: the agents that have not begun to measure it."""
        self._free_agents = self._free_destinations = 0
        self.pending = len(self.agents) * len(self.destinations)
        """The number of pairs that have not begun."""

    @abstractmethod
    def _choose(self) -> tuple[int, int] | None:
        """The indices of the pair that starts next, among free agents and free destinations."""

    def _began(self, agent: int, destination: int) -> None:  # noqa: B027 - most orders keep no state
        """A pair begins or is dropped; for orders that keep their own state."""

    def ended(self, agent: str) -> None:  # noqa: B027
        """The operation that `agent` had begun in this round has ended."""

    def take(self) -> tuple[str, str] | None:
        """The pair that starts now, which then is no longer pending; None if no pair can start."""
        if not (self.pending and self._free_agents and self._free_destinations):
            return None
        chosen = self._choose()
        if chosen is None:
            return None
        agent, destination = chosen
        self._free_agents ^= 1 << agent
        self._free_destinations ^= 1 << destination
        self._begin(agent, destination)
        return self.agents[agent], self.destinations[destination]

    def has_agent(self, name: str) -> bool:
        return name in self._agent_index

    def set_agent(self, name: str, *, free: bool) -> None:
        """Whether an agent is free now; nothing happens if it is not one of the round's."""
        index = self._agent_index.get(name)
        if index is not None:
            self._free_agents = self._free_agents | 1 << index if free else self._free_agents & ~(1 << index)

    def set_destination(self, name: str, *, free: bool) -> None:
        bit = 1 << self._destination_index[name]
        self._free_destinations = self._free_destinations | bit if free else self._free_destinations & ~bit

    def wants(self, destination: str) -> bool:
        """Whether a pair with this destination is pending."""
        return self._missing[self._destination_index[destination]] != 0

    def drop_agent(self, name: str) -> list[tuple[str, str]]:
        """Drop the pending pairs of an agent that has left; returns them."""
        agent = self._agent_index[name]
        self._free_agents &= ~(1 << agent)
        dropped = list(_indices(self._todo[agent]))
        for destination in dropped:
            self._begin(agent, destination)
        return [(name, self.destinations[each]) for each in dropped]

    def drop_all(self) -> Iterator[tuple[str, str]]:
        """Drop all pending pairs at once; returns them, and finds each when it is read."""
        dropped, self._todo = self._todo, [0] * len(self.agents)
        self._missing = [0] * len(self.destinations)
        self.pending = 0
        return ((name, self.destinations[each]) for name, bits in zip(self.agents, dropped, strict=True) for each in _indices(bits))

    def _begin(self, agent: int, destination: int) -> None:
        self._todo[agent] ^= 1 << destination
        self._missing[destination] ^= 1 << agent
        self.pending -= 1
        self._began(agent, destination)


def _bits(count: int) -> int:
    return (1 << count) - 1


def _indices(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
