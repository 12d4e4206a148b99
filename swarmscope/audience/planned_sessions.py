"""The planned sessions of an end host: arrival, channels, channel switches and pauses. A switch ends a session and begins the next.

Sessions are much shorter than the paper's 40 minutes, so that a demo shows changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from random import Random

from swarmscope.audience.channels import choose_channel
from swarmscope.audience.flash_crowd import FlashCrowd

LONGEST_RAMP_S = 15.0
CROWD_ARRIVES_S = 2.0
"""Mean time from the start of the flash crowd to the arrival of an end host."""

SURFING_SHARE, SURFING_S = 0.3, 12.0
"""Share of short sessions (channel surfing), and their mean length."""
STAYS_S = 180.0
"""Median length of the other sessions."""
SWITCHES, AWAY_S = 0.75, 60.0
"""Share of sessions that end with a channel switch; mean pause after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSession:
    """One channel, watched from `begins_s` to `ends_s`, in seconds since the simulation began."""

    channel: str
    begins_s: float
    ends_s: float


def ramp_s(duration_s: float | None) -> float:
    """Seconds until the whole audience has arrived: a quarter of the duration, at most `LONGEST_RAMP_S`."""
    return LONGEST_RAMP_S if duration_s is None else min(duration_s / 4, LONGEST_RAMP_S)


def arrives_s(rng: Random, *, ramp_s: float, crowd: FlashCrowd) -> float:
    """When an end host arrives: with the flash crowd, or during the ramp (half of them in its first quarter)."""
    if rng.random() < crowd.share:
        return crowd.at_s + rng.expovariate(1 / CROWD_ARRIVES_S)
    return ramp_s * rng.random() ** 2


def planned_sessions(rng: Random, *, arrives_s: float) -> Iterator[PlannedSession]:
    """The sessions of one end host in order, without an end."""
    session = PlannedSession(channel=choose_channel(rng), begins_s=arrives_s, ends_s=arrives_s + _length_s(rng))
    while True:
        yield session
        switches = rng.random() < SWITCHES
        begins_s = session.ends_s if switches else session.ends_s + rng.expovariate(1 / AWAY_S)
        channel = choose_channel(rng, not_again=session.channel if switches else "")
        session = PlannedSession(channel=channel, begins_s=begins_s, ends_s=begins_s + _length_s(rng))


def _length_s(rng: Random) -> float:
    return rng.expovariate(1 / SURFING_S) if rng.random() < SURFING_SHARE else rng.lognormvariate(log(STAYS_S), 0.8)
