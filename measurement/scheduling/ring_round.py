"""PM_SYN as in the Emodis paper (section 4, Figure 3): the agents go around the destinations in a ring.

With n destinations, n agents at a time form a phase. In a phase, agent i starts at destination i and continues with i+1, i+2, …; it
waits until the agent before it has left. The next phase begins when the whole phase has ended. An agent that waits holds no
destination, so there is no deadlock. With equal durations the ring is optimal if there are at most as many agents as
destinations; one agent more costs a whole second phase.
"""

from collections.abc import Sequence

from measurement.scheduling.sync_round import SyncRound


class RingRound(SyncRound):
    """The order of the Emodis paper."""

    def __init__(self, agents: Sequence[str], destinations: Sequence[str]) -> None:
        super().__init__(agents, destinations)
        self._phase = 0
        self._members = self._members_of_phase()
        self._running = 0
        """Agents that measure a destination of this round."""
        self._unfinished = (1 << len(self.agents)) - 1 if destinations else 0
        """Agents that have not begun to measure every destination."""

    def _choose(self) -> tuple[int, int] | None:
        while True:
            waiting = self._members & self._unfinished & self._free_agents & ~self._running
            while waiting:
                lowest = waiting & -waiting
                waiting ^= lowest
                agent = lowest.bit_length() - 1
                destination = self._next(agent)
                if self._free_destinations >> destination & 1:
                    return agent, destination
            if self._running or not self._members or self._members & self._unfinished:
                return None
            self._phase += 1
            self._members = self._members_of_phase()

    def _members_of_phase(self) -> int:
        count = len(self.destinations)
        first, last = self._phase * count, min((self._phase + 1) * count, len(self.agents))
        return ((1 << max(last - first, 0)) - 1) << first

    def _next(self, agent: int) -> int:
        """The first destination on the agent's way around the ring that it has not begun to measure."""
        todo = self._todo[agent]
        start = agent % len(self.destinations)
        behind = todo >> start
        if behind:
            return start + (behind & -behind).bit_length() - 1
        return (todo & -todo).bit_length() - 1

    def _began(self, agent: int, destination: int) -> None:
        if not self._todo[agent]:
            self._unfinished &= ~(1 << agent)

    def take(self) -> tuple[str, str] | None:
        pair = super().take()
        if pair is not None:
            self._running |= 1 << self._agent_index[pair[0]]
        return pair

    def ended(self, agent: str) -> None:
        self._running &= ~(1 << self._agent_index[agent])
