"""A flash crowd: many end hosts join at once, and the quality is lower for all until the swarm has enough capacity.

The paper reports a flash crowd at 9:30 on August 7: the audience grew quickly, and the mean opinion score was lower for a while.
"""

from dataclasses import dataclass
from math import exp, inf

LASTS_S = 20.0
"""The pressure decays exponentially: after this time, 1/e (about a third) is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashCrowd:
    """This `share` of the end hosts joins at `at_s`. By default, there is no flash crowd."""

    at_s: float = inf
    share: float = 0.0

    def pressure(self, at_s: float) -> float:
        """The effect of the flash crowd at `at_s`, from 0 to 1."""
        return exp((self.at_s - at_s) / LASTS_S) if at_s >= self.at_s else 0.0
