"""The spool counts as full from the batch that it refuses until something is removed from it, or it accepts another batch."""

import asyncio
import random
from collections.abc import Coroutine
from pathlib import Path

import pytest

from coordinator.carriers.batch import Batch, Outcome, SpoolFull
from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.worker_counters import WorkerCounters

MAX_BYTES = 4000


def batch(size: int) -> Batch:
    return Batch(random.Random(size).randbytes(size // 2).hex().encode() + b"\n", 1, [], 0)


def run(promise: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(promise, 30))


async def fill(carrier: SpoolCarrier) -> int:
    """Spool batches of one size until one is refused; how many are spooled."""
    for spooled in range(100):
        try:
            await carrier.carry(batch(1000))
        except SpoolFull:
            return spooled
    raise AssertionError("the spool refuses nothing")


async def settle_oldest(carrier: SpoolCarrier, outcome: Outcome) -> None:
    oldest = await carrier.oldest()
    assert oldest is not None
    await carrier.settle(oldest, outcome, WorkerCounters(), tried=True)


def test_a_full_spool_stays_full_until_draining_has_removed_something(tmp_path: Path):
    async def promise() -> None:
        carrier = SpoolCarrier(tmp_path, MAX_BYTES)
        assert not carrier.full
        spooled = await fill(carrier)
        assert spooled > 2
        for outcome in (Outcome.NO_SERVER, Outcome.STORED):  # the segment of the stored batch still has its size
            await settle_oldest(carrier, outcome)
            assert carrier.full
            with pytest.raises(SpoolFull):
                await carrier.carry(batch(1000))
        for _ in range(1, spooled):
            await settle_oldest(carrier, Outcome.STORED)
        assert await carrier.oldest() is None
        assert not carrier.full
        await carrier.carry(batch(1000))
        carrier.close()

    run(promise())


def test_a_full_spool_is_full_after_a_restart_and_no_longer_when_it_is_drained(tmp_path: Path):
    async def promise() -> None:
        first = SpoolCarrier(tmp_path, MAX_BYTES)
        spooled = await fill(first)
        first.close()
        second = SpoolCarrier(tmp_path, MAX_BYTES)
        assert second.full
        for _ in range(spooled):
            await settle_oldest(second, Outcome.STORED)
        assert await second.oldest() is None
        assert not second.full
        second.close()

    run(promise())


def test_a_restarted_spool_with_space_for_another_batch_is_not_full(tmp_path: Path):
    async def promise() -> None:
        first = SpoolCarrier(tmp_path, MAX_BYTES)
        await first.carry(batch(1000))
        first.close()
        second = SpoolCarrier(tmp_path, MAX_BYTES)
        assert not second.full
        second.close()

    run(promise())


def test_a_spool_that_refuses_a_large_batch_and_accepts_a_small_one_is_not_full(tmp_path: Path):
    async def promise() -> None:
        carrier = SpoolCarrier(tmp_path, MAX_BYTES)
        with pytest.raises(SpoolFull):
            await carrier.carry(batch(3 * MAX_BYTES))
        assert carrier.full
        await carrier.carry(batch(1000))
        assert not carrier.full
        carrier.close()

    run(promise())
