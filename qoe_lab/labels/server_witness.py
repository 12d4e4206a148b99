"""What the content server saw of a session: a second witness beside the player. Pure.

The server knows when each segment had arrived, so it knows when a player ran out of video that it could play. It does not know
how long a player takes to show what it has, or whether it waits for more than one segment: both make the player later than
the server says. It sees nothing of the picture, and nothing of a client whose requests it does not get.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qoe_lab.labels.session_labels import SessionLabels, Stall

_SEGMENT = re.compile(r"/[^/]+/[^/]+/(\d+)\.m4s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWitness:
    """Times are ms since the navigation start of the player."""

    startup_ms: float | None
    """When the first segment had arrived."""
    stalls: tuple[Stall, ...]
    """When all segments that had arrived were played, until the next one had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the player and the server differ."""

    startup_ms: float | None
    """Player minus server; None if one of them has no startup."""
    stall_ms: tuple[float, ...]
    """Length in the player minus length at the server, of each stall that both have."""
    only_player: int
    only_server: int
    """Stalls that the other one does not have at this time."""


def server_witness(requests: Iterable[Mapping[str, Any]], *, wall_ms: float, until_ms: float) -> ServerWitness:
    """What the request log shows about a session that began at `wall_ms` and was watched for `until_ms`."""
    arrivals: dict[int, float] = {}
    media_ms: dict[int, float] = {}
    for request in requests:
        match = _SEGMENT.fullmatch(str(request["path"]))
        if match is None:
            continue
        if request["arrived"] and request["status"] == 200:
            arrived_ms = float(request["wall_ms"]) + float(request["took_ms"]) - wall_ms
            number = int(match[1])
            arrivals[number] = min(arrived_ms, arrivals.get(number, arrived_ms))
            media_ms[number] = float(request["media_ms"])
    return ServerWitness(startup_ms=arrivals.get(0), stalls=_stalls(arrivals, media_ms, until_ms))


def _stalls(arrivals: Mapping[int, float], media_ms: Mapping[int, float], until_ms: float) -> tuple[Stall, ...]:
    if 0 not in arrivals:
        return ()
    stalls: list[Stall] = []
    played_until_ms, number = arrivals[0] + media_ms[0], 1
    while played_until_ms < until_ms:
        arrived_ms = arrivals.get(number)
        if arrived_ms is None or arrived_ms >= until_ms:
            stalls.append(Stall(begin_ms=played_until_ms, end_ms=until_ms, open=True))
            break
        if arrived_ms > played_until_ms:
            stalls.append(Stall(begin_ms=played_until_ms, end_ms=arrived_ms))
        played_until_ms = max(played_until_ms, arrived_ms) + media_ms[number]
        number += 1
    return tuple(stalls)


def agreement(labels: SessionLabels, witness: ServerWitness, *, near_ms: float = 500.0) -> Agreement:
    """Compare the two. Stalls are the same if their times overlap, or are at most `near_ms` apart."""
    unmatched = list(witness.stalls)
    differences: list[float] = []
    for stall in labels.stalls:
        same = next((each for each in unmatched if _apart_ms(stall, each) <= near_ms), None)
        if same is not None:
            unmatched.remove(same)
            differences.append(stall.length_ms - same.length_ms)
    startup = None
    if labels.startup_ms is not None and witness.startup_ms is not None:
        startup = labels.startup_ms - witness.startup_ms
    return Agreement(
        startup_ms=startup,
        stall_ms=tuple(differences),
        only_player=len(labels.stalls) - len(differences),
        only_server=len(unmatched),
    )


def _apart_ms(one: Stall, other: Stall) -> float:
    return max(one.begin_ms, other.begin_ms) - min(one.end_ms, other.end_ms)
