"""What a viewer watches, and when: arrival, views, zaps, absences. A zap is the end of one view and the begin of the next.

Views are far shorter than the paper's 40 minutes: whoever looks at a simulated audience wants to see it move.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from random import Random

from swarmscope.audience.channels import choose_channel
from swarmscope.audience.surge import Surge

LONGEST_RAMP_S = 15.0
CROWD_ARRIVES_S = 2.0
"""Mean time that one of a flash crowd comes after its begin."""

SURFS, SURFING_S = 0.3, 12.0
"""Share of views in which somebody only looks what is on, and their mean length."""
STAYS_S = 180.0
"""Median length of the other views."""
ZAPS, AWAY_S = 0.75, 60.0
"""Share of views after which another channel follows at once; mean absence after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One channel, watched from `begins_s` to `ends_s`, in seconds since the simulation began."""

    channel: str
    begins_s: float
    ends_s: float


def ramp_s(duration_s: float | None) -> float:
    """How long the audience takes to come: a quarter of the time there is, and never long."""
    return LONGEST_RAMP_S if duration_s is None else min(duration_s / 4, LONGEST_RAMP_S)


def arrives_s(dice: Random, *, ramp_s: float, surge: Surge) -> float:
    """When an end host comes: half of them in the first quarter of the ramp, or with the flash crowd."""
    if dice.random() < surge.share:
        return surge.at_s + dice.expovariate(1 / CROWD_ARRIVES_S)
    return ramp_s * dice.random() ** 2


def views(dice: Random, *, arrives_s: float) -> Iterator[View]:
    """All that a viewer watches, one view after the other, without end."""
    view = View(channel=choose_channel(dice), begins_s=arrives_s, ends_s=arrives_s + _length_s(dice))
    while True:
        yield view
        zaps = dice.random() < ZAPS
        begins_s = view.ends_s if zaps else view.ends_s + dice.expovariate(1 / AWAY_S)
        channel = choose_channel(dice, not_again=view.channel if zaps else "")
        view = View(channel=channel, begins_s=begins_s, ends_s=begins_s + _length_s(dice))


def _length_s(dice: Random) -> float:
    return dice.expovariate(1 / SURFING_S) if dice.random() < SURFS else dice.lognormvariate(log(STAYS_S), 0.8)
