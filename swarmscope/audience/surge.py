"""A flash crowd: many come at once, and until the swarm has room for them everybody has a worse time.

The paper saw one at 9:30 on August 7: the audience jumped and the mean opinion score dipped for a while.
"""

from dataclasses import dataclass
from math import exp, inf

LASTS_S = 20.0
"""After this time, a third (1/e) of the pressure is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """`share` of the end hosts wait for `at_s`; by default there is no flash crowd."""

    at_s: float = inf
    share: float = 0.0

    def pressure(self, at_s: float) -> float:
        """How crowded it is, from 0 to 1."""
        return exp((self.at_s - at_s) / LASTS_S) if at_s >= self.at_s else 0.0
