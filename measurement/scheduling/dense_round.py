"""PM_SYN without idle time: whenever an agent and a destination are both free and unmeasured together, they start.

All pairs of a round use one technique, so the number of pairs is the work. Among the pairs that can start, the one whose agent or
destination has the most work left comes first. Then a destination that has begun, so that its measurements follow each other. Then
the larger of the smaller works. Such a schedule takes less than twice the lower bound (open shop): an operation of agent i at
destination j ends at the latest after the work of i plus the work of j minus its own.

To prefer destinations that have begun before everything else keeps each destination's interval only 1 % shorter, and the worst
of 200 random schedules takes 1.44 instead of 1.22 times the lower bound.
"""

from collections.abc import Sequence

from measurement.scheduling.sync_round import SyncRound

_Key = tuple[int, bool, int, int, int]
"""Smaller is better. The last two are the destination and the agent."""


class DenseRound(SyncRound):
    """The default order of PM_SYN."""

    def __init__(self, agents: Sequence[str], destinations: Sequence[str]) -> None:
        super().__init__(agents, destinations)
        self._work = [len(self.destinations)] * len(self.agents)
        self._waiting = _Levels(len(self.agents), (1 << len(self.destinations)) - 1)
        """Destinations that have not begun."""
        self._begun = _Levels(len(self.agents), 0)

    def _choose(self) -> tuple[int, int] | None:
        best: _Key | None = None
        free, destinations = self._free_agents, self._free_destinations
        while free:
            lowest = free & -free
            free ^= lowest
            agent = lowest.bit_length() - 1
            possible = self._todo[agent] & destinations
            if possible:
                key = self._best(agent, possible)
                if best is None or key < best:
                    best = key
        return None if best is None else (best[4], best[3])

    def _best(self, agent: int, possible: int) -> _Key:
        work = self._work[agent]
        begun, destination = self._begun.highest(possible)
        waiting, other = self._waiting.highest(possible)
        if begun < 0 or waiting > max(begun, work):
            return (-max(waiting, work), True, -min(waiting, work), other, agent)
        return (-max(begun, work), False, -min(begun, work), destination, agent)

    def _began(self, agent: int, destination: int) -> None:
        missing, bit = self._missing[destination].bit_count(), 1 << destination
        self._work[agent] -= 1
        if not self._waiting.remove(missing + 1, bit):
            self._begun.remove(missing + 1, bit)
        self._begun.add(missing, bit)


class _Levels:
    """Destinations by the number of agents that have not begun to measure them."""

    def __init__(self, highest: int, destinations: int) -> None:
        self._at = [0] * (highest + 1)
        self._at[highest] = destinations
        self._levels = 1 << highest if destinations else 0
        """The levels that have destinations."""

    def highest(self, possible: int) -> tuple[int, int]:
        """The highest level with one of the possible destinations, and the first of these; -1 if there is none."""
        levels = self._levels
        while levels:
            level = levels.bit_length() - 1
            found = self._at[level] & possible
            if found:
                return level, (found & -found).bit_length() - 1
            levels ^= 1 << level
        return -1, -1

    def add(self, level: int, bit: int) -> None:
        self._at[level] |= bit
        self._levels |= 1 << level

    def remove(self, level: int, bit: int) -> bool:
        """Whether the destination was at this level; it is no longer."""
        if not self._at[level] & bit:
            return False
        self._at[level] ^= bit
        if not self._at[level]:
            self._levels ^= 1 << level
        return True
