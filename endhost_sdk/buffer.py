"""Messages that wait for a coordinator. When there are too many the oldest go, because the newest tell more; their number is kept
until a coordinator has really taken it, for a loss that nobody hears of would look like a quiet audience.

A message that nothing on the way to any coordinator lets through (a firewall dislikes a word in it) must not stop those behind it,
and a way that is closed to everything must not cost a message. So a blocked batch is halved down to one message. If that one is
blocked everywhere while the newest message passes, it is set aside as a suspect. A suspect is tried again, alone, each time other
messages have passed, and is given up when it was blocked everywhere `SUSPECT_TRIES` times more.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice

from feedback_wire.limits import BATCH_WIRE_BYTES

# A coordinator may refuse every message of a batch and say why, in some 300 bytes each; its answer should not grow with our buffer.
BATCH_MESSAGES = 1000

# A way that blocks every second request at random blocks one message so often in a row once in 4,096 times.
SUSPECT_TRIES = 12


class Place(Enum):
    """Which messages of a buffer a batch holds."""

    OLDEST = auto()
    NEWEST = auto()
    SUSPECT = auto()


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of a buffer for one request, encoded, and how many went before them untold."""

    lines: tuple[bytes, ...]
    forgotten: int
    place: Place = Place.OLDEST


class Buffer:
    """At most `capacity` encoded messages; used by the sender's thread alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._suspects: deque[tuple[bytes, int]] = deque()
        self._untold = 0
        self._most = BATCH_MESSAGES
        self._oldest_is_blocked = False
        self._others_passed = False
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._lines) + len(self._suspects)

    @property
    def is_full(self) -> bool:
        return len(self) >= self._capacity

    @property
    def has_batch(self) -> bool:
        """Whether there is anything to send now: suspects wait until other messages pass."""
        return bool(self._lines) or (self._others_passed and bool(self._suspects))

    def add(self, line: bytes) -> None:
        if self.is_full:
            self._forget_one()
        self._lines.append(line)

    def batch(self) -> Batch:
        """What to send next, as much as one request may carry; it stays here until `settle`."""
        if not self._lines and self.has_batch:
            return Batch((self._suspects[0][0],), self._untold, Place.SUSPECT)
        if self._oldest_is_blocked and len(self._lines) > 1:
            return Batch((self._lines[-1],), self._untold, Place.NEWEST)
        # Within the limit on the wire before compression, a batch is within it after, and far within the one on inflated bytes.
        room, count = BATCH_WIRE_BYTES, 0
        for line in islice(self._lines, self._most):
            room -= len(line) + 1
            if room < 0:
                break
            count += 1
        return Batch(tuple(islice(self._lines, count)), self._untold)

    def settle(self, batch: Batch, *, told: bool) -> None:
        """`batch`, the last one taken, is done with; `told` if it was accepted, and with it the number of the forgotten."""
        if batch.place is Place.SUSPECT:
            self._suspects.popleft()
        elif batch.place is Place.NEWEST:
            self._lines.pop()
            self._suspects.append((self._lines.popleft(), 0))
        else:
            for _ in batch.lines:
                self._lines.popleft()
        self._oldest_is_blocked = False
        self._others_passed = True
        if told:
            self._untold -= batch.forgotten
            self._most = min(2 * self._most, BATCH_MESSAGES)

    def halve(self, batch: Batch) -> None:
        """`batch`, the last one taken, was too large: the next one has half as many messages, and those after it grow again."""
        self._most = max(len(batch.lines) // 2, 1)

    def blocked(self, batch: Batch, *, everywhere: bool) -> int:
        """No coordinator got `batch`, the last one taken; how many messages are given up for it.

        `everywhere` if the way to each coordinator was blocked, and none of them was only down or busy.
        """
        if batch.place is Place.NEWEST:
            self._oldest_is_blocked = False  # the way is closed to all
        elif len(batch.lines) > 1:
            self.halve(batch)
        elif batch.place is Place.OLDEST:
            self._oldest_is_blocked = True
        else:
            return self._strike(everywhere=everywhere)
        return 0

    def hurry(self) -> None:
        """There is no later: an outage is the likelier reason for what was blocked, so the oldest message goes first once more."""
        self._oldest_is_blocked = False

    def _strike(self, *, everywhere: bool) -> int:
        """The first suspect was blocked again: it has to wait until other messages pass, or is given up."""
        self._others_passed = False
        line, tries = self._suspects.popleft()
        tries += everywhere
        if tries >= SUSPECT_TRIES:
            return 1
        self._suspects.append((line, tries))
        return 0

    def _forget_one(self) -> None:
        if self._suspects:
            self._suspects.popleft()
        else:
            self._lines.popleft()
            self._oldest_is_blocked = False
        self._untold += 1
        self.forgotten += 1
