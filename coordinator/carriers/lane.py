"""The messages that wait for one carrier. When the carrier is free, they are its next batch.

There is no fixed wait before a batch is sent. It would make few senders wait for nothing (64 connections with 2, 5 or 10 ms: 21, 10
and 6 thousand requests/s instead of 44), and it gains nothing with many senders. After a large batch, a short wait is useful,
because its senders are about to send again.

When more waits than one batch holds, ingest keys take turns. So 48 MiB of one key do not delay another key's first message by 48
batches, but by less than one.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable

from coordinator.carriers.batch import PART_BYTES, Batch, Carrier, Waiter
from feedback_wire.limits import BATCH_WIRE_BYTES

LARGE_BATCH = 48
GATHER_S = 0.002
PLACE_S = 8.0
"""A batch that no feedback server stored in this time goes to the spool, even if some server always seems to be up."""

TURN_BYTES = PART_BYTES
"""What a key sends in one turn. With whole parts, so that each key gets about the same share of the bytes."""


class _Parts:
    """The waiting parts of one key, in three columns, because a batch needs each column as a whole."""

    __slots__ = ("counts", "lines", "waiters")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.counts: list[int] = []
        self.waiters: list[Waiter] = []

    def move_to(self, other: "_Parts", parts: int) -> None:
        """Append the first `parts` to `other`."""
        other.lines += self.lines[:parts]
        other.counts += self.counts[:parts]
        other.waiters += self.waiters[:parts]
        del self.lines[:parts], self.counts[:parts], self.waiters[:parts]


class Lane:
    """The parts and batches that wait for one carrier."""

    def __init__(self, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self.carrier = carrier
        self.pending = 0
        """Messages waiting or under way: what the least-pending policy compares."""
        self._ready: deque[Batch] = deque()
        self._loop = loop
        self._parts: dict[Hashable, _Parts] = {}
        """By key. The first one is the next to send."""
        self._ready_was_last = False
        self._arrival: asyncio.Future[None] | None = None
        self._last_messages = 0

    def add(self, lines: bytes, messages: int, key: Hashable, waiter: Waiter) -> None:
        """Let whole lines wait for the next batch that has room for them."""
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = _Parts()
        parts.lines.append(lines)
        parts.counts.append(messages)
        parts.waiters.append(waiter)
        self.pending += messages
        if self._arrival is not None:
            self._wake()

    def add_batch(self, batch: Batch) -> None:
        """Let a batch wait that has its id already, because it failed elsewhere or was in the spool."""
        self._ready.append(batch)
        self.pending += batch.messages
        if self._arrival is not None:
            self._wake()

    async def next_batch(self) -> Batch:
        """The next batch, as soon as there is one. Batches with an id and new messages take turns."""
        if not self._ready and not self._parts:
            self._arrival = self._loop.create_future()
            await self._arrival
        if not self._ready and self._last_messages >= LARGE_BATCH:
            await asyncio.sleep(GATHER_S)
        self._ready_was_last = bool(self._ready) and not (self._ready_was_last and self._parts)
        batch = self._ready.popleft() if self._ready_was_last else self._gather()
        self._last_messages = batch.messages
        return batch

    def clear(self) -> list[Batch]:
        """Remove everything that was not sent yet, and return it as batches."""
        taken = list(self._ready)
        self._ready.clear()
        while self._parts:
            taken.append(self._gather())
        self.pending -= sum(batch.messages for batch in taken)
        return taken

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        self._arrival = None

    def _gather(self) -> Batch:
        """As many of the waiting parts as one request to a carrier may hold."""
        if len(self._parts) == 1:
            [parts] = self._parts.values()
            lines = b"".join(parts.lines)
            if len(lines) <= BATCH_WIRE_BYTES:
                self._parts.clear()
                return self._batch(lines, parts)
        elif sum(sum(map(len, parts.lines)) for parts in self._parts.values()) <= BATCH_WIRE_BYTES:
            gathered, *others = self._parts.values()
            for parts in others:
                parts.move_to(gathered, len(parts.lines))
            self._parts.clear()
            return self._batch(b"".join(gathered.lines), gathered)
        gathered = self._gather_in_turns()
        return self._batch(b"".join(gathered.lines), gathered)

    def _batch(self, lines: bytes, parts: _Parts) -> Batch:
        return Batch(lines, sum(parts.counts), parts.waiters, self._loop.time() + PLACE_S)

    def _gather_in_turns(self) -> _Parts:
        """One full batch: each key sends TURN_BYTES in its turn, then the next key has its turn."""
        gathered, room = _Parts(), BATCH_WIRE_BYTES
        while self._parts and room > 0:
            key = next(iter(self._parts))
            parts = self._parts.pop(key)
            turn = fitting(parts.lines, min(room, TURN_BYTES))
            size = sum(map(len, parts.lines[:turn]))
            if size > room and gathered.lines:
                self._parts = {key: parts, **self._parts}  # its turn comes first in the next batch
                break
            parts.move_to(gathered, turn)
            room -= size
            if parts.lines:
                self._parts[key] = parts
        return gathered


def fitting(entries: Iterable[bytes], most: int) -> int:
    """How many of the first entries fit into `most` bytes together; at least one, if there is one."""
    count = total = 0
    for entry in entries:
        total += len(entry)
        if total > most and count:
            break
        count += 1
    return count
