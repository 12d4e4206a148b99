"""Natural group commit: a batch departs when its carrier is free, and what arrives meanwhile is the next batch.

There is no fixed linger: it makes few senders wait for nobody (64 connections, 2/5/10 ms: 21/10/6 thousand requests/s instead of
44), and gains nothing with many. Only behind a large batch a short wait pays, because its senders are about to send again.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice

from coordinator.carriers.batch import Batch, Carrier, Waiter
from feedback_wire.limits import BATCH_WIRE_BYTES

LARGE_BATCH = 48
GATHER_S = 0.002
PLACE_S = 8.0
"""A batch that no feedback server took for so long goes to the spool, even if one always seems to be up."""


class Lane:
    """The parts and batches that wait for one carrier."""

    def __init__(self, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self.carrier = carrier
        self.pending = 0
        """Messages waiting or under way: what the least-pending policy compares."""
        self.ready: deque[Batch] = deque()
        self._loop = loop
        self._lines: list[bytes] = []
        self._counts: list[int] = []
        self._waiters: list[Waiter] = []
        self._arrival: asyncio.Future[None] | None = None
        self._last = 0

    def add(self, lines: bytes, messages: int, waiter: Waiter) -> None:
        self._lines.append(lines)
        self._counts.append(messages)
        self._waiters.append(waiter)
        self.pending += messages
        if self._arrival is not None:
            self._wake()

    def add_batch(self, batch: Batch) -> None:
        """A batch that has its name already, because it failed elsewhere or lay in the spool; it departs first."""
        self.ready.append(batch)
        self.pending += batch.messages
        if self._arrival is not None:
            self._wake()

    async def departure(self) -> Batch:
        """The next batch, as soon as there is one."""
        if not self.ready and not self._lines:
            self._arrival = self._loop.create_future()
            await self._arrival
        if not self.ready and self._last >= LARGE_BATCH:
            await asyncio.sleep(GATHER_S)
        batch = self.ready.popleft() if self.ready else self._gather()
        self._last = batch.messages
        return batch

    def clear(self) -> list[Batch]:
        """All that has not departed, taken out, as batches."""
        taken = list(self.ready)
        self.ready.clear()
        while self._lines:
            taken.append(self._gather())
        self.pending -= sum(batch.messages for batch in taken)
        return taken

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        self._arrival = None

    def _gather(self) -> Batch:
        """As many of the waiting parts as one request may carry."""
        parts = len(self._lines)
        lines = b"".join(self._lines)
        if len(lines) > BATCH_WIRE_BYTES:
            parts = fitting(self._lines, BATCH_WIRE_BYTES)
            lines = b"".join(islice(self._lines, parts))
        batch = Batch(lines, sum(self._counts[:parts]), self._waiters[:parts], self._loop.time() + PLACE_S)
        self._lines, self._counts, self._waiters = self._lines[parts:], self._counts[parts:], self._waiters[parts:]
        return batch


def fitting(entries: Iterable[bytes], most: int) -> int:
    """How many of the first entries fit into `most` bytes together; at least one, if there is one."""
    count = total = 0
    for entry in entries:
        total += len(entry)
        if total > most and count:
            break
        count += 1
    return count
