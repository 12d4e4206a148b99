"""Work that takes much memory is done one after the other, and only a few may wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from feedback_wire.problem import Problem

MOST_WAITING = 8
"""Reading an hour of a large audience from the logs takes seconds; who is behind more than this many would wait for a minute."""


class Turns:
    """One turn at a time; Problem (503) for who would have to wait behind too many."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._taken = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends."""
        if self._taken > self._most:
            raise Problem(503, "busy", f"{self._most} questions wait for logs to be read already; ask again in a few seconds")
        self._taken += 1
        try:
            async with self._lock:
                yield
        finally:
            self._taken -= 1
