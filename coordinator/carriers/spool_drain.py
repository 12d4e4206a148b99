"""Drains the spool: batches go to the feedback servers, oldest first, and blocked batches are tried in parallel.

A batch keeps its id through all of this. A feedback server that answered too late may have stored it; another server then stores it
again, and readers, which count every (session_id, seq) once, see it once.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from coordinator.carriers.batch import Batch, Outcome
from coordinator.carriers.destinations import FIRST_PAUSE_S, LONGEST_PAUSE_S, Destinations
from coordinator.carriers.lane import PLACE_S
from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.worker_counters import WorkerCounters

LONGEST_BLOCKED_PAUSE_S = 60.0

_log = logging.getLogger(__name__)


def blocked_pause_s(failures: int, roll: float) -> float:
    """How long to wait before a blocked batch is tried, after so many tries in a row that stored none; `roll` is from [0, 1)."""
    longest = min(LONGEST_BLOCKED_PAUSE_S, FIRST_PAUSE_S * (1 << min(failures, 10)))
    return longest * (1 + roll) / 2


class SpoolDrain:
    """Drains one worker's spool; `place` hands a batch to the lane of some feedback server that is up."""

    def __init__(
        self, spool: SpoolCarrier, destinations: Destinations, counters: WorkerCounters, place: Callable[[Batch], None]
    ) -> None:
        self._spool = spool
        self._destinations = destinations
        self._counters = counters
        self._place = place
        self._loop = asyncio.get_running_loop()
        self.something_spooled = asyncio.Event()
        self._something_blocked = asyncio.Event()
        self._something_blocked.set()  # an earlier run may have left blocked batches

    async def drain(self) -> None:
        """Send the batches of the spool to the feedback servers, oldest first, one at a time."""
        while True:
            await self._destinations.some_up.wait()
            self.something_spooled.clear()
            try:
                if not await self._drain_one():
                    await self.something_spooled.wait()
            except OSError:
                _log.exception("the spool cannot be read, or cannot keep a blocked batch; next try in %g s", LONGEST_PAUSE_S)
                await asyncio.sleep(LONGEST_PAUSE_S)

    async def retry_blocked(self) -> None:
        """Try blocked batches, one server and one batch at a time, with pauses that grow while none is stored."""
        failures = turn = 0
        while True:
            await self._something_blocked.wait()
            if failures:
                await asyncio.sleep(blocked_pause_s(failures, random.random()))  # noqa: S311 — no secret
            await self._destinations.some_up.wait()
            turn += 1
            try:
                stored = await self._retry_one_blocked(turn)
            except OSError:
                _log.exception("a blocked batch in the spool cannot be read or removed; trying again later")
                stored = False
            failures = 0 if stored else failures + 1

    async def _drain_one(self) -> bool:
        """Whether there was a batch to drain."""
        batch = await self._spool.oldest()
        if batch is None:
            return False
        waiter = _OutcomeWaiter(self._loop)
        until_s = self._loop.time() + PLACE_S
        sent = Batch(batch.lines, batch.messages, [waiter], until_s, batch.batch_id, from_spool=True)
        self._place(sent)
        if await self._spool.settle(batch, await waiter.outcome, self._counters, tried=sent.failures > 0):
            self._something_blocked.set()
        return True

    async def _retry_one_blocked(self, turn: int) -> bool:
        """Whether the next blocked batch is no longer blocked, or there is none."""
        self._something_blocked.clear()
        batch = await self._spool.next_blocked()
        if batch is None:
            return True
        self._something_blocked.set()
        up = self._destinations.up
        if not up:
            return False
        waiter = _OutcomeWaiter(self._loop)
        sent = Batch(batch.lines, batch.messages, [waiter], self._loop.time(), batch.batch_id, from_spool=True, blocked=True)
        up[turn % len(up)].lane.add_batch(sent)
        outcome = await waiter.outcome
        await self._spool.settle_blocked(batch, outcome, self._counters)
        return outcome is not Outcome.NO_SERVER


class _OutcomeWaiter:
    """Waits for one batch from the spool."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.outcome: asyncio.Future[Outcome] = loop.create_future()

    def settled(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)
