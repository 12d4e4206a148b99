"""Messages that wait for a coordinator. A full buffer drops the oldest messages, because the newest are the most useful. The number
of dropped messages is sent until a coordinator has accepted it. Without it, a loss would look like a smaller audience.

A firewall or proxy on the path can block single messages, for example because of a word in them. Such a message must not block the
messages after it. A path that blocks everything must not cause the loss of a message. Therefore a blocked batch is halved until it
has one message. If this message is blocked on the path to each coordinator while the newest message passes, it becomes a suspect. A
suspect is sent again, alone, each time other messages have passed. It is given up when it was blocked everywhere `SUSPECT_TRIES`
more times.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice

from feedback_wire.limits import BATCH_WIRE_BYTES

# A coordinator can refuse each message of a batch with a reason of about 300 bytes. This limits the size of its answer.
BATCH_MESSAGES = 1000

# A path that blocks half of all requests at random blocks one message this often in a row with probability 1/4,096.
SUSPECT_TRIES = 12


class BatchKind(Enum):
    """Which messages of a buffer a batch holds."""

    OLDEST = auto()
    NEWEST = auto()
    SUSPECT = auto()


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Encoded messages for one request, and the number of dropped messages that no coordinator knows of yet."""

    lines: tuple[bytes, ...]
    forgotten: int
    kind: BatchKind = BatchKind.OLDEST


class Buffer:
    """At most `capacity` encoded messages. Only the sender's thread uses it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._suspects: deque[tuple[bytes, int]] = deque()
        self._unreported = 0
        self._batch_limit = BATCH_MESSAGES
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
        """Whether there is a message to send now. Suspects wait until other messages have passed."""
        return bool(self._lines) or (self._others_passed and bool(self._suspects))

    def add(self, line: bytes) -> None:
        if self.is_full:
            self._drop_oldest()
        self._lines.append(line)

    def batch(self) -> MessageBatch:
        """The next batch, as large as one request allows. Its messages stay in the buffer until `settle`."""
        if not self._lines and self.has_batch:
            return MessageBatch((self._suspects[0][0],), self._unreported, BatchKind.SUSPECT)
        if self._oldest_is_blocked and len(self._lines) > 1:
            return MessageBatch((self._lines[-1],), self._unreported, BatchKind.NEWEST)
        # The limit for compressed bytes is applied before compression. It is far below the limit for decompressed bytes.
        room, count = BATCH_WIRE_BYTES, 0
        for line in islice(self._lines, self._batch_limit):
            room -= len(line) + 1
            if room < 0:
                break
            count += 1
        return MessageBatch(tuple(islice(self._lines, count)), self._unreported)

    def settle(self, batch: MessageBatch, *, accepted: bool) -> None:
        """Remove `batch`, the last one that `batch()` returned. `accepted` if a coordinator accepted it, and with it
        `forgotten`.
        """
        if batch.kind is BatchKind.SUSPECT:
            self._suspects.popleft()
        elif batch.kind is BatchKind.NEWEST:
            self._lines.pop()
            self._suspects.append((self._lines.popleft(), 0))
        else:
            for _ in batch.lines:
                self._lines.popleft()
        self._oldest_is_blocked = False
        self._others_passed = True
        if accepted:
            self._unreported -= batch.forgotten
            self._batch_limit = min(2 * self._batch_limit, BATCH_MESSAGES)

    def halve(self, batch: MessageBatch) -> None:
        """Halve the size of the next batch, because `batch` was too large. After accepted batches, the size grows again."""
        self._batch_limit = max(len(batch.lines) // 2, 1)

    def blocked(self, batch: MessageBatch, *, everywhere: bool) -> int:
        """No coordinator received `batch`, the last one that `batch()` returned. Returns the number of messages that are given up.

        `everywhere` is True if the path to each coordinator was blocked, and False if one of them was only down or busy.
        """
        if batch.kind is BatchKind.NEWEST:
            self._oldest_is_blocked = False  # the path blocks all messages
        elif len(batch.lines) > 1:
            self.halve(batch)
        elif batch.kind is BatchKind.OLDEST:
            self._oldest_is_blocked = True
        else:
            return self._block_suspect(everywhere=everywhere)
        return 0

    def hurry(self) -> None:
        """Before the end of the process, send the oldest message first again, because an outage is the most likely reason."""
        self._oldest_is_blocked = False

    def _block_suspect(self, *, everywhere: bool) -> int:
        """The first suspect was blocked again. It waits until other messages have passed, or it is given up."""
        self._others_passed = False
        line, tries = self._suspects.popleft()
        tries += everywhere
        if tries >= SUSPECT_TRIES:
            return 1
        self._suspects.append((line, tries))
        return 0

    def _drop_oldest(self) -> None:
        if self._suspects:
            self._suspects.popleft()
        else:
            self._lines.popleft()
            self._oldest_is_blocked = False
        self._unreported += 1
        self.forgotten += 1
