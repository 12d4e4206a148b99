"""The spool for the event loop: one thread does everything that touches the disk, in order."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from coordinator.carriers.batch import Batch, CarrierFailed, Outcome, SpoolFull
from coordinator.carriers.blocked_batches import BlockedBatch, BlockedBatches
from coordinator.carriers.spool import Spool, SpooledBatch
from coordinator.worker_counters import WorkerCounters
from serving.durable_files import sync_folder

BLOCKED_AFTER = 3
"""Failed tries in a row after which a batch no longer delays the others. A single one may have hit a server that is stopping."""

_log = logging.getLogger(__name__)

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class SpoolCarrier:
    """The carrier of last resort. It also gives its batches out again when a feedback server is back."""

    outcome = Outcome.SPOOLED

    def __init__(self, folder: Path, max_bytes: int, stranded: Iterable[Path] = ()) -> None:
        """`stranded` are the folders of workers that no longer exist; their batches are taken over."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._spool = Spool(folder, max_bytes)
        self._blocked = BlockedBatches(folder)
        for each in stranded:
            self._spool.adopt(each)
            self._blocked.adopt(each)
        self._thread = ThreadPoolExecutor(1, "spool")
        self._failing = b""
        """The id of the oldest batch if a try to store it failed."""
        self._failures = 0
        self._full_from = max_bytes
        """The spool counts as full from this size on: its size when it last refused a batch, unless it has accepted one since."""
        if self._size_bytes + self._spool.largest_found > max_bytes:
            self._note_full()

    @property
    def full(self) -> bool:
        """Whether the spool would refuse the next batch, as far as this is known before its size is."""
        return self._size_bytes >= self._full_from

    async def carry(self, batch: Batch) -> None:
        try:
            await self._in_thread(self._append, batch)
        except OSError as error:
            raise CarrierFailed(str(error)) from error

    async def probe(self) -> None:
        """Return if the disk makes bytes durable now; CarrierFailed if it does not."""
        try:
            await self._in_thread(_probe, self._folder)
        except OSError as error:
            raise CarrierFailed(str(error)) from error

    async def oldest(self) -> SpooledBatch | None:
        return await self._in_thread(self._spool.oldest)

    async def next_blocked(self) -> BlockedBatch | None:
        """The next of the blocked batches, in turn, or None."""
        return await self._in_thread(self._blocked.next)

    async def settle(self, batch: SpooledBatch, outcome: Outcome, counters: WorkerCounters, *, tried: bool) -> bool:
        """Drop a batch that a feedback server has stored, set aside a rejected one, keep any other for the next try.

        True if the batch is blocked now: the last of BLOCKED_AFTER tries in a row failed, and it got a file of its own.
        """
        blocked = False
        if outcome is Outcome.STORED:
            await self._in_thread(self._spool.drop, batch)
            counters.drained += batch.messages
        elif outcome is Outcome.REJECTED:
            await self._in_thread(self._spool.set_aside, batch)
            counters.drain_rejected += batch.messages
        elif tried and self._fails_again(batch):
            path = await self._in_thread(self._set_blocked_aside, batch)
            counters.drain_blocked += batch.messages
            _log.warning(
                "batch %s (%d messages) was not stored in %d tries, see the feedback servers' errors above; it waits in %s and "
                "is tried again from there",
                batch.batch_id.hex(),
                batch.messages,
                BLOCKED_AFTER,
                path,
            )
            blocked = True
        else:
            await self._in_thread(self._spool.rewind)
        return blocked

    async def settle_blocked(self, batch: BlockedBatch, outcome: Outcome, counters: WorkerCounters) -> None:
        """Like `settle`, for a batch in a file of its own."""
        if outcome is Outcome.STORED:
            await self._in_thread(self._blocked.drop, batch)
            counters.drained += batch.messages
            _log.warning("batch %s is no longer blocked: its %d messages are stored", batch.batch_id.hex(), batch.messages)
        elif outcome is Outcome.REJECTED:
            await self._in_thread(self._blocked.set_aside, batch)
            counters.drain_rejected += batch.messages

    def add_gauges(self, counters: WorkerCounters) -> None:
        counters.spool_bytes += self._size_bytes
        counters.spool_messages += self._spool.messages + self._blocked.messages
        counters.spool_blocked_messages += self._blocked.messages
        counters.spool_damaged_bytes += self._spool.damaged_bytes

    def close(self) -> None:
        self._thread.shutdown()
        self._spool.close()

    def _append(self, batch: Batch) -> None:
        try:
            self._spool.append(batch.id, batch.lines, batch.messages, other_bytes=self._blocked.size_bytes)
        except SpoolFull:
            self._note_full()
            raise
        self._full_from = self._max_bytes

    @property
    def _size_bytes(self) -> int:
        return self._spool.size_bytes + self._blocked.size_bytes

    def _note_full(self) -> None:
        """The spool counts as full until something is removed from it."""
        self._full_from = min(self._max_bytes, self._size_bytes)

    def _fails_again(self, batch: SpooledBatch) -> bool:
        """Count a failed try of the oldest batch. True if it was the last of BLOCKED_AFTER in a row."""
        self._failures = self._failures + 1 if batch.batch_id == self._failing else 1
        self._failing = batch.batch_id
        return self._failures >= BLOCKED_AFTER

    def _set_blocked_aside(self, batch: SpooledBatch) -> Path:
        """Write a batch to a file of its own, and continue with the next one. On OSError it stays where it is."""
        try:
            path = self._blocked.keep(batch)
        except OSError:
            self._spool.rewind()
            raise
        self._spool.drop(batch)
        return path

    async def _in_thread(self, call: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _probe(folder: Path) -> None:
    """Make the calls that the spool needs, on a file without content. OSError if one fails."""
    path = folder / "probe"
    path.unlink(missing_ok=True)  # of a killed process
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, b"\n")
        os.fdatasync(handle)
    finally:
        os.close(handle)
        path.unlink()
    sync_folder(folder)
