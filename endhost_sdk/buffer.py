"""Messages that wait for a coordinator. When there are too many the oldest go, because the newest tell more; their number is kept
until a coordinator has really taken it, for a loss that nobody hears of would look like a quiet audience.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from feedback_wire.limits import BATCH_WIRE_BYTES

# A coordinator may refuse every message of a batch and say why, in some 300 bytes each; its answer should not grow with our buffer.
BATCH_MESSAGES = 1000


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest messages of a buffer, encoded, and how many went before them untold."""

    lines: tuple[bytes, ...]
    forgotten: int


class Buffer:
    """At most `capacity` encoded messages; used by the sender's thread alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._untold = 0
        self._most = BATCH_MESSAGES
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: bytes) -> None:
        if len(self._lines) == self._capacity:
            self._lines.popleft()
            self._untold += 1
            self.forgotten += 1
        self._lines.append(line)

    def batch(self) -> Batch:
        """The oldest messages, as many as one request may carry; they stay until `settle`."""
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
        for _ in batch.lines:
            self._lines.popleft()
        if told:
            self._untold -= batch.forgotten
            self._most = min(2 * self._most, BATCH_MESSAGES)

    def halve(self, batch: Batch) -> None:
        """`batch`, the last one taken, was too large: the next one has half as many messages, and those after it grow again."""
        self._most = max(len(batch.lines) // 2, 1)
