"""Reading logs takes much memory and seconds, so it is done for one query at a time, and only a few queries may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from feedback_wire.problem import Problem

MOST_WAITING = 8
"""An hour of a large audience takes seconds to read. Behind more queries than this, a query would wait for a minute."""


class OneAtATime:
    """Runs one block at a time; Problem (503) instead of a wait behind more than `most` others."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._entered = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the blocks that began to wait earlier."""
        if self._entered > self._most:
            raise Problem(503, "busy", f"{self._most} queries already wait for logs to be read; try again in a few seconds")
        self._entered += 1
        try:
            async with self._lock:
                yield
        finally:
            self._entered -= 1
