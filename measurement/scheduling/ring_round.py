"""PM_SYN as in the Emodis paper (section 4, Figure 3): the agents go around the destinations in a ring.

With n destinations, n agents at a time form a phase. In a phase, agent i starts at destination i and goes on to i+1, i+2, …; it
waits until the agent before it has left. The next phase begins when the whole phase has ended. An agent that waits holds no
destination, so there is no deadlock. With equal durations the ring is optimal if there are at most as many agents as
destinations; one agent more costs a whole second phase.
"""

from collections.abc import Sequence

from measurement.scheduling.sync_round import SyncRound


class RingRound(SyncRound):
    """The order of the paper."""

    def __init__(self, agents: Sequence[str], destinations: Sequence[str]) -> None:
        super().__init__(agents, destinations)
        self._phase = 0
        self._running: set[int] = set()

    def _choose(self) -> tuple[int, int] | None:
        while True:
            count = len(self.destinations)
            members = range(self._phase * count, min((self._phase + 1) * count, len(self.agents)))
            for agent in members:
                if self._free_agents >> agent & 1 and agent not in self._running and self._todo[agent]:
                    destination = self._next(agent)
                    if self._free_destinations >> destination & 1:
                        return agent, destination
            if self._running or not members or any(self._todo[agent] for agent in members):
                return None
            self._phase += 1

    def _next(self, agent: int) -> int:
        """The first destination on the agent's way around the ring that it has not begun to measure."""
        count = len(self.destinations)
        start = agent % count
        behind = self._todo[agent] >> start
        ahead = behind or self._todo[agent]
        lowest = (ahead & -ahead).bit_length() - 1
        return start + lowest if behind else lowest

    def take(self) -> tuple[str, str] | None:
        pair = super().take()
        if pair is not None:
            self._running.add(self._agent_index[pair[0]])
        return pair

    def ended(self, agent: str) -> None:
        self._running.discard(self._agent_index[agent])
