"""PM_RAN of techniques that need a destination for themselves: random orders, but under the master's locks.

Each agent has its own random order of the destinations and measures the first one in it that is free. Agents run the other
techniques of PM_RAN from their own queues (`agent_queue.py`).
"""

import random
from collections.abc import Sequence

from measurement.scheduling.sync_round import SyncRound


class ShuffledRound(SyncRound):
    """A random order for each agent."""

    def __init__(self, agents: Sequence[str], destinations: Sequence[str], rng: random.Random) -> None:
        super().__init__(agents, destinations)
        indices = range(len(self.destinations))
        self._orders = [rng.sample(indices, len(indices)) for _ in self.agents]

    def _choose(self) -> tuple[int, int] | None:
        for agent, order in enumerate(self._orders):
            possible = self._todo[agent] & self._free_destinations
            if possible and self._free_agents >> agent & 1:
                return agent, next(each for each in order if possible >> each & 1)
        return None
