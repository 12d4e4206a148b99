"""The plan of a training: which session plays under which limit, in which order. Pure: the seed decides the order.

The sessions are divided into blocks. A block has every limit once, in random order, so that a change of the machine over time
affects all limits alike. Of N sessions and K limits, each limit gets N // K or N // K + 1 sessions. A block also has one content
and one player, each in turn.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

from feedback_wire.trainings import CLIENTS, CONGESTION_CONTROLS, SOURCES, MediaPlayer, TrainingSettings

__all__ = ["CLIENTS", "CONGESTION_CONTROLS", "SOURCES", "PlannedSession", "TrainingSettings", "plan_sessions", "player_of_block"]


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


def player_of_block(players: Sequence[MediaPlayer], block: int, contents: int) -> MediaPlayer:
    """Of B blocks and K players, each player gets B // K or B // K + 1 blocks.

    Block b plays content b % `contents`. Without the shift after each common period, a player would only ever meet some contents.
    """
    return players[(block + block // lcm(len(players), contents)) % len(players)]


def _shuffled(limits: Sequence[float], order: random.Random) -> list[float]:
    shuffled = list(limits)
    order.shuffle(shuffled)
    return shuffled
