"""The true measures of a simulation, computed from the acknowledged messages, in the form of a summary (docs/measures.md).

The module uses no code of the monitoring platform. Two independent computations that agree are probably correct. There is no
sampling, so each message has weight 1.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

from feedback_wire.message import Message

GROUPED_BY = ("channel", "isp")
RATES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity")
FIELDS = ("session_id", "seq", "peer_id", "sent_ms", "startup_ms", *RATES, *GROUPED_BY)
"""The fields that the measures need."""

COSTS = ("duplicates", "conflicts", "unreadable", "lost", "late", "implausible")
"""Counts of reading problems. They are 0 for acknowledged messages."""

Measures = dict[str, Any]


class GroundTruth:
    """Collects the acknowledged messages."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def add(self, message: Message) -> None:
        """Add an acknowledged message. Called once for each message."""
        self._messages.append({name: message[name] for name in FIELDS if name in message})

    def measures(self) -> Measures:
        """The summary of all messages, with a group per channel and per ISP. `from` and `to` are the first and last `sent_ms`."""
        sent_ms = [message["sent_ms"] for message in self._messages]
        span = {"from": min(sent_ms, default=None), "to": max(sent_ms, default=None)}
        total = _measures(self._messages) | dict.fromkeys(COSTS, 0)
        return span | total | {"groups": [group for column in GROUPED_BY for group in self._groups(column)]}

    def _groups(self, column: str) -> list[Measures]:
        """One group per value of `column`, the largest first."""
        groups = _by(self._messages, lambda message: message.get(column, "unknown"))
        measures = [{"by": {column: value}} | _measures(messages) for value, messages in groups.items()]
        return sorted(measures, key=lambda group: (-group["messages"], group["by"][column]))


def mos(playback_kbps: float, continuity: float) -> float:
    """Equation 1 of the paper, shifted by -1 so that its maximum is 5, and limited to the range 1 to 5."""
    return min(5.0, max(1.0, -5 * (1 - continuity) + 4 * (1 - math.exp(-0.0015 * playback_kbps)) + 2 - 1))


def quantile(values: Iterable[float], share: Fraction) -> float | None:
    """The smallest value that is greater than or equal to `share` of the values; None if there are no values."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def _measures(messages: Sequence[Message]) -> Measures:
    sessions = _by(messages, lambda message: message["session_id"])
    both = [message for message in messages if "upload_kbps" in message and "download_kbps" in message]
    return {
        "messages": len(messages),
        # Duplicates and damage are known for all logs together, not per group. The platform returns null for groups as well.
        **dict.fromkeys(COSTS),
        "peers": len({message["peer_id"] for message in messages}),
        "sessions": len(sessions),
        "contribution_ratio": _ratio(math.fsum(_known(both, "upload_kbps")), math.fsum(_known(both, "download_kbps"))),
        **{rate: _distribution(_known(messages, rate)) for rate in RATES},
        "startup_ms": _distribution([ms for session in sessions.values() if (ms := _last_known_startup(session)) is not None]),
        "mos": _distribution(
            [
                mos(message["playback_kbps"], message["continuity"])
                for message in messages
                if {"playback_kbps", "continuity"} <= message.keys()
            ]
        ),
    }


def _distribution(values: Sequence[float]) -> Measures:
    return {
        "mean": _ratio(math.fsum(values), len(values)),
        "p50": quantile(values, Fraction(1, 2)),
        "p95": quantile(values, Fraction(19, 20)),
    }


def _last_known_startup(session: Iterable[Message]) -> float | None:
    known = [message for message in session if "startup_ms" in message]
    return max(known, key=lambda message: message["seq"])["startup_ms"] if known else None


def _known(messages: Iterable[Message], name: str) -> list[float]:
    return [message[name] for message in messages if name in message]


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def _by(messages: Iterable[Message], key: Callable[[Message], str]) -> dict[str, list[Message]]:
    groups: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        groups[key(message)].append(message)
    return groups
