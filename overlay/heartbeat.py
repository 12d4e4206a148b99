"""How often a node sends PING to a neighbour, and after which time a neighbour counts as silent. Times in, decisions out.

As in BFD (RFC 5880), a sender announces its interval, and three of them without a sign of life are a failure. A link that carries
a stream has a short interval. Without streams, an interval of 15 seconds keeps the control traffic of a node small.
"""

from collections import deque
from dataclasses import dataclass, field

IN_USE_S = 0.1
"""For a link over which the node sends a stream. Media are signs of life too, so PINGs at `WITH_MEDIA_S` are sufficient."""
WITH_MEDIA_S = 1.0
"""For a link over which the node receives a stream, or sends enough media. These PINGs only measure the round trip."""
NEAR_USE_S = 2.0
"""For the other links of a node that has a stream: a stream may change to them."""
IDLE_S = 15.0
INTERVALS = 3
"""After so many intervals without a sign of life, a neighbour has failed. One late or lost PING is no failure."""
FIRST_PING_S = 3.0
"""Time for the first PING on a new connection."""
BEGIN_S = 1.0
"""Time for the first sign of life after a stream was requested from a neighbour, whose interval may have been long."""
PATIENCE = 2.0
"""On a link in use, so many times the longest recent gap between two signs of life are no failure either: on a busy machine, a
neighbour sends late without having failed."""
MOST_PATIENT_S = 1.0
GAP_HALVES_S = 10.0
MEASURED = 16
"""How many PINGs may wait for their answers."""


def interval_s(*, feeds: bool, link_in_use: bool, node_in_use: bool) -> float:
    """The time between two PINGs to a neighbour."""
    if link_in_use:
        return IN_USE_S if feeds else WITH_MEDIA_S
    return NEAR_USE_S if node_in_use else IDLE_S


@dataclass(frozen=True, slots=True)
class DuePing:
    """A PING that is due."""

    number: int
    interval_ms: int
    on_tcp: bool
    """Also on TCP: without media, because a lost PING matters then, and when the interval changes."""


@dataclass(slots=True)
class Heartbeat:
    """The PINGs between a node and one neighbour."""

    heard_s: float = 0.0
    """The last sign of life of the neighbour: any message or packet."""
    _silent_after_s: float = FIRST_PING_S
    _number: int = 0
    _interval_s: float = 0.0
    _next_s: float = 0.0
    _sent: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MEASURED))
    """Number and time of the latest PINGs."""
    _heard_number: int = -1
    _longest: tuple[float, float] = 0.0, 0.0
    """The longest gap on a link in use, and when it was found. Every ten seconds, it counts half as much."""

    def connected(self, now_s: float) -> None:
        """A connection was opened."""
        self.heard_s, self._silent_after_s, self._heard_number = now_s, FIRST_PING_S, -1
        self._longest = 0.0, now_s
        self._interval_s = self._next_s = 0.0

    def due(self, interval_s: float, now_s: float, media_s: float = 0.0) -> DuePing | None:
        """The PING that has to be sent now; a changed interval is announced at once. `media_s` is when media was sent last."""
        changed, with_media = interval_s != self._interval_s, now_s - media_s < interval_s
        if not changed and (now_s < self._next_s or (with_media and self._sent and now_s - self._sent[-1][1] < WITH_MEDIA_S)):
            return None
        self._interval_s, self._next_s = interval_s, max(self._next_s, now_s - interval_s) + interval_s
        if changed:
            self._next_s = now_s + interval_s
        self._number += 1
        self._sent.append((self._number, now_s))
        return DuePing(self._number, round(interval_s * 1000), changed or (interval_s == IN_USE_S and not with_media))

    def announced(self, number: int, interval_ms: int) -> None:
        """The neighbour has sent a PING. The newest one counts: datagrams can overtake each other."""
        if number > self._heard_number:
            self._heard_number = number
            self._silent_after_s = max(interval_ms / 1000, IN_USE_S) * INTERVALS

    def note_sign_of_life(self, now_s: float) -> None:
        """The neighbour has shown a sign of life."""
        self._note_gap(now_s - self.heard_s, now_s)
        self.heard_s = max(now_s, self.heard_s)

    def stopped(self, late_s: float, now_s: float) -> None:
        """This node did not run for a while, so it has received nothing. Its neighbours may be as late as it was."""
        self.heard_s = min(self.heard_s + late_s, now_s)
        self._note_gap(IN_USE_S + late_s, now_s)

    def _note_gap(self, gap_s: float, now_s: float) -> None:
        if gap_s > IN_USE_S and self._silent_after_s <= IN_USE_S * INTERVALS and gap_s > self._longest_s(now_s):
            self._longest = gap_s, now_s

    def _longest_s(self, now_s: float) -> float:
        gap_s, found_s = self._longest
        return float(gap_s * 0.5 ** ((now_s - found_s) / GAP_HALVES_S))

    def asked(self, now_s: float) -> None:
        """A stream was requested from the neighbour. From now on, its silence would interrupt the stream."""
        if self._silent_after_s > BEGIN_S:
            self._silent_after_s, self.heard_s = BEGIN_S, now_s

    def announce(self) -> None:
        """Send the next PING at once: the neighbour has begun to wait for a sign of life."""
        self._interval_s = 0.0

    def is_silent(self, now_s: float) -> bool:
        patience_s = min(PATIENCE * self._longest_s(now_s), MOST_PATIENT_S)
        return now_s - self.heard_s > max(self._silent_after_s, patience_s)

    def round_trip_s(self, number: int, now_s: float) -> float | None:
        """The time until the answer to a PING; None for an answer to one that was sent too long ago."""
        return next((now_s - at_s for sent, at_s in self._sent if sent == number), None)
