"""Repair of one link: the receiver asks for packets that a gap in the link sequence shows, the sender sends them again.

A gap shows a loss on this link only. A packet that was lost on an earlier link arrives later with a new link sequence number, so
the nodes below do not ask for it as well. Numbers in, numbers out; packets, sockets and clocks are elsewhere.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

NUMBERS = 2**32
MOST_REQUESTS = 6
"""How often a packet is requested. At 20 % loss each way, all six attempts fail for 1 packet in 460."""
MOST_MISSING = 512
"""A larger gap means that the sender began again, or that the link was down; GRAFT then asks for the packets."""
MOST_IN_ONE_REQUEST = 64
LEAST_RETRY_S = 0.02
RETRIES_PER_ROUND_TRIP = 1.5

REPEATED_SHARE = 0.5
"""For each packet, half a packet may be sent again, so that a child cannot multiply its parent's traffic with requests."""
FIRST_BUDGET, LARGEST_BUDGET = 64.0, 512.0
KEPT = 2048
"""Link sequence numbers that a request may name: 2 s at 10 Mbit/s."""


def ranges_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as the first and last of each run."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] + 1 == number:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


@dataclass(slots=True)
class SentOnLink:
    """The packets that were sent to one child: the RTP sequence number of each link sequence number."""

    last: int = 0
    budget: float = FIRST_BUDGET
    _rtp: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))

    def next(self, rtp_sequence: int) -> int:
        """The link sequence number of the next packet."""
        self.last = (self.last + 1) % NUMBERS
        self.budget = min(self.budget + REPEATED_SHARE, LARGEST_BUDGET)
        self._rtp.append(rtp_sequence)
        return self.last

    def rtp_sequence(self, number: int) -> int | None:
        """None for a number that was not sent, or too long ago."""
        back = (self.last - number) % NUMBERS
        return self._rtp[-1 - back] if back < len(self._rtp) else None

    def may_repeat(self) -> bool:
        """Whether the budget permits one more repeat, which it then pays for."""
        if self.budget < 1:
            return False
        self.budget -= 1
        return True


@dataclass(slots=True)
class _Missing:
    ask_s: float
    requests: int = 0


@dataclass(slots=True)
class ReceivedOnLink:
    """The packets that have arrived from one sender. `counts` has the number of events by name."""

    counts: Counter[str]
    highest: int | None = None
    expected: int = 0
    """Packets that the sender has sent so far, by their numbers."""
    lost: int = 0
    """Packets that did not arrive in their place. A repair does not change this number."""
    _missing: dict[int, _Missing] = field(default_factory=dict)

    def arrived(self, number: int, now_s: float, *, wait_s: float = 0.0) -> None:
        """A packet has arrived, perhaps not for the first time. The packets missing before it are requested after `wait_s`."""
        if self.highest is None:
            self.highest, self.expected = number, 1
            return
        ahead = (number - self.highest + NUMBERS // 2) % NUMBERS - NUMBERS // 2
        if ahead <= 0:
            if self._missing.pop(number, None) is not None:
                self.counts["packets_repaired"] += 1
            elif ahead < -MOST_MISSING:
                self._begin_again(number)
            return
        if ahead > MOST_MISSING:
            self._begin_again(number)
            return
        for back in range(ahead - 1, 0, -1):
            self._missing[(number - back) % NUMBERS] = _Missing(ask_s=now_s + wait_s)
        self.counts["packets_missing"] += ahead - 1
        self.expected += ahead
        self.lost += ahead - 1
        self.highest = number

    def sent_until(self, number: int) -> None:
        """The sender has sent all packets up to this number, which a parity packet shows: request those that are missing."""
        ahead = 0 if self.highest is None else (number - self.highest + NUMBERS // 2) % NUMBERS - NUMBERS // 2
        if 0 < ahead <= MOST_MISSING:
            for back in range(ahead - 1, -1, -1):
                self._missing[(number - back) % NUMBERS] = _Missing(ask_s=0.0)
            self.counts["packets_missing"] += ahead
            self.expected += ahead
            self.lost += ahead
            self.highest = number

    def due(self, now_s: float, round_trip_s: float) -> list[int]:
        """The numbers to request now. A packet that was requested too often is given up."""
        if not self._missing:
            return []
        due: list[int] = []
        for number, missing in list(self._missing.items()):
            if missing.ask_s > now_s:
                continue
            if missing.requests == MOST_REQUESTS:
                del self._missing[number]
                self.counts["packets_given_up"] += 1
            elif len(due) < MOST_IN_ONE_REQUEST:
                missing.requests += 1
                missing.ask_s = now_s + max(LEAST_RETRY_S, RETRIES_PER_ROUND_TRIP * round_trip_s)
                due.append(number)
        return due

    def arrived_elsewhere(self) -> None:
        """The packets missing on this link have come on another one."""
        self.counts["packets_from_other_parent"] += len(self._missing)
        self._missing.clear()

    def ask_now(self, numbers: Iterable[int]) -> None:
        """Do not wait any longer for missing packets."""
        for number in numbers:
            if number in self._missing:
                self._missing[number].ask_s = 0.0

    @property
    def missing(self) -> int:
        """The number of packets that are requested now."""
        return len(self._missing)

    def _begin_again(self, number: int) -> None:
        self.counts["link_sequence_jumped"] += 1
        self.highest = number
        self.expected += 1
        self._missing.clear()
