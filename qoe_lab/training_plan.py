"""The plan of a training: which session plays under which limit, in which order. Pure: the seed decides the order.

The sessions are divided into blocks. A block has every limit once, in random order, so that a change of the machine over time
affects all limits alike. Of N sessions and K limits, each limit gets N // K or N // K + 1 sessions.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

SOURCES = ("hls", "dash", "overlay", "twitch")
CLIENTS = ("headless", "hls.js", "dash.js", "overlay")
CONGESTION_CONTROLS = ("cubic", "reno", "bbr")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """What an operator asks for. `limits_mbps` limit the rate to the client and from it, in 10^6 bit/s."""

    name: str
    sessions: int
    limits_mbps: tuple[float, ...]
    seconds: float
    source: str = "hls"
    client: str = "headless"
    delay_ms: float = 10.0
    """Delay of each direction of the shaped link."""
    loss: float = 0.0
    queue_ms: float = 100.0
    """How long a packet may wait in the queue of the shaped link."""
    congestion_control: str = "cubic"
    trace: str | None = None
    """Path of a network trace that the rate follows, scaled so that its mean is the limit; None: a fixed rate."""
    seed: int = 1

    def __post_init__(self) -> None:
        """ValueError for a value that cannot be run."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} is not usable as a folder; use letters, digits, '.', '-' and '_', at most 64")
        if not 1 <= self.sessions <= 100_000:
            raise ValueError(f"sessions is {self.sessions}; give 1 to 100000")
        if not self.limits_mbps or len(set(self.limits_mbps)) != len(self.limits_mbps):
            raise ValueError("limits must be different numbers of Mbit/s, such as 0.25,1,2")
        for limit in self.limits_mbps:
            if not 0.05 <= limit <= 1000:
                raise ValueError(f"limit {limit:g} Mbit/s is out of range; give 0.05 to 1000")
        if not 5 <= self.seconds <= 3600:
            raise ValueError(f"seconds is {self.seconds:g}; give 5 to 3600")
        _one_of("source", self.source, SOURCES)
        _one_of("client", self.client, CLIENTS)
        _one_of("congestion control", self.congestion_control, CONGESTION_CONTROLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSession:
    """One session of the plan. `number` counts from 0 in the order of running; `block` counts from 0."""

    number: int
    block: int
    limit_mbps: float


def plan_sessions(settings: TrainingSettings) -> tuple[PlannedSession, ...]:
    """The sessions in the order in which they run. The same settings give the same plan."""
    order = random.Random(settings.seed)  # noqa: S311 - a reproducible order, not a secret
    sessions: list[PlannedSession] = []
    block = 0
    while len(sessions) < settings.sessions:
        # The last block may be incomplete: the shuffle also decides which limits it has.
        for limit in _shuffled(settings.limits_mbps, order)[: settings.sessions - len(sessions)]:
            sessions.append(PlannedSession(number=len(sessions), block=block, limit_mbps=limit))
        block += 1
    return tuple(sessions)


def _shuffled(limits: Sequence[float], order: random.Random) -> list[float]:
    shuffled = list(limits)
    order.shuffle(shuffled)
    return shuffled


def _one_of(what: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{what} {value!r} is unknown; use one of {', '.join(choices)}")
