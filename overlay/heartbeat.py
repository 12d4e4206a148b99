"""How often a node sends PING to a neighbour, and after which time a neighbour counts as silent. Times in, decisions out.

As in BFD (RFC 5880), a sender announces its interval, and three of them without a sign of life are a failure. A link that carries
a stream has a short interval. Without streams, an interval of 15 seconds keeps the control traffic of a node small.
"""

from dataclasses import dataclass

IN_USE_S = 0.1
"""For a link over which a stream flows."""
NEAR_USE_S = 2.0
"""For the other links of a node that has a stream: a stream may have to change to them."""
IDLE_S = 15.0
INTERVALS = 3
"""So many without a sign of life are a failure: one PING that is late or lost means nothing yet."""
FIRST_PING_S = 3.0
"""Time for the first PING on a new connection."""
BEGIN_S = 1.0
"""Time for the first sign of life after a neighbour was asked for a stream; until then its interval may have been long."""
PATIENCE = 2.0
"""On a link in use, so many times the longest recent gap between two signs of life are no failure either: on a busy machine, a
neighbour sends late without having failed."""
MOST_PATIENT_S = 1.0
GAP_HALVES_S = 10.0
ANSWER_EVERY = 10
"""On links in use, only each tenth PING is answered."""


def interval_s(*, link_in_use: bool, node_in_use: bool) -> float:
    """The time between two PINGs to a neighbour."""
    return IN_USE_S if link_in_use else NEAR_USE_S if node_in_use else IDLE_S


def is_answered(number: int, interval_ms: int) -> bool:
    """Whether a PING gets an answer, which measures the round trip."""
    return interval_ms > IN_USE_S * 1000 or number % ANSWER_EVERY == 0


@dataclass(frozen=True, slots=True)
class Beat:
    """A PING that is due."""

    number: int
    interval_ms: int
    on_tcp: bool
    """Besides UDP: on a link in use, where a lost PING matters, and when the interval changes, which the neighbour must learn."""


@dataclass(slots=True)
class Heartbeat:
    """The PINGs between a node and one neighbour."""

    heard_s: float = 0.0
    """The last sign of life of the neighbour: any message or packet."""
    _silent_after_s: float = FIRST_PING_S
    _number: int = 0
    _interval_s: float = 0.0
    _next_s: float = 0.0
    _measured: tuple[int, float] = -1, 0.0
    """Number and time of the latest PING that gets an answer."""
    _heard_number: int = -1
    _longest: tuple[float, float] = 0.0, 0.0
    """The longest gap on a link in use, and when it was found. It counts half as much each ten seconds."""

    def connected(self, now_s: float) -> None:
        """There is a new connection."""
        self.heard_s, self._silent_after_s, self._heard_number = now_s, FIRST_PING_S, -1
        self._longest = 0.0, now_s
        self._interval_s = self._next_s = 0.0

    def due(self, interval_s: float, now_s: float) -> Beat | None:
        """The PING that has to be sent now; a changed interval is announced at once."""
        changed = interval_s != self._interval_s
        if not changed and now_s < self._next_s:
            return None
        self._interval_s, self._next_s = interval_s, max(self._next_s, now_s - interval_s) + interval_s
        if changed:
            self._next_s = now_s + interval_s
        self._number += 1
        beat = Beat(self._number, round(interval_s * 1000), changed or interval_s == IN_USE_S)
        if is_answered(beat.number, beat.interval_ms):
            self._measured = beat.number, now_s
        return beat

    def announced(self, number: int, interval_ms: int) -> None:
        """The neighbour has sent a PING. The newest one counts: datagrams can overtake each other."""
        if number > self._heard_number:
            self._heard_number = number
            self._silent_after_s = max(interval_ms / 1000, IN_USE_S) * INTERVALS

    def heard(self, now_s: float) -> None:
        """A sign of life."""
        self._note_gap(now_s - self.heard_s, now_s)
        self.heard_s = max(now_s, self.heard_s)

    def stopped(self, late_s: float, now_s: float) -> None:
        """This node did not run for a while, so it has heard nothing meanwhile. Its neighbours may be as late as it was."""
        self.heard_s = min(self.heard_s + late_s, now_s)
        self._note_gap(IN_USE_S + late_s, now_s)

    def _note_gap(self, gap_s: float, now_s: float) -> None:
        if self._silent_after_s <= IN_USE_S * INTERVALS and gap_s > self._longest_s(now_s):
            self._longest = gap_s, now_s

    def _longest_s(self, now_s: float) -> float:
        gap_s, found_s = self._longest
        return float(gap_s * 0.5 ** ((now_s - found_s) / GAP_HALVES_S))

    def asked(self, now_s: float) -> None:
        """The neighbour was asked for a stream. From now on, its silence would interrupt the stream."""
        if self._silent_after_s > BEGIN_S:
            self._silent_after_s, self.heard_s = BEGIN_S, now_s

    def announce(self) -> None:
        """Send the next PING at once: the neighbour has begun to wait for a sign of life."""
        self._interval_s = 0.0

    def is_silent(self, now_s: float) -> bool:
        patience_s = min(PATIENCE * self._longest_s(now_s), MOST_PATIENT_S)
        return now_s - self.heard_s > max(self._silent_after_s, patience_s)

    def round_trip_s(self, number: int, now_s: float) -> float | None:
        """The time until the answer to a PING; None for an answer to an older one."""
        measured, at_s = self._measured
        return now_s - at_s if number == measured else None
