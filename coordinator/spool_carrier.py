"""The spool as the event loop sees it: every touch of the disk happens in one thread, in order."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from coordinator.batch import Batch, CarrierFailed, Fate, SpoolFull
from coordinator.counters import Counters
from coordinator.disk_probe import probe
from coordinator.spool import Spool, Spooled

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class SpoolCarrier:
    """A carrier that is always there; also hands out what it carried, once a feedback server is back."""

    fate = Fate.SPOOLED

    def __init__(self, folder: Path, max_bytes: int, stranded: Iterable[Path] = ()) -> None:
        """`stranded` are the folders of workers that are no more; what waits there is taken over."""
        self._folder = folder
        self._spool = Spool(folder, max_bytes)
        for each in stranded:
            self._spool.adopt(each)
        self._thread = ThreadPoolExecutor(1, "spool")
        self.full = self._spool.full

    async def carry(self, batch: Batch) -> None:
        try:
            await self._in_thread(self._spool.append, batch.id, batch.lines, batch.messages)
        except OSError as error:
            raise CarrierFailed(str(error)) from error
        except SpoolFull:
            self.full = True
            raise

    async def probe(self) -> None:
        """Return if the disk takes something durable now; CarrierFailed if it does not."""
        try:
            await self._in_thread(probe, self._folder)
        except OSError as error:
            raise CarrierFailed(str(error)) from error

    async def oldest(self) -> Spooled | None:
        return await self._in_thread(self._spool.oldest)

    async def settle(self, batch: Spooled, fate: Fate, counters: Counters) -> None:
        """Forget a batch that a feedback server has stored; put aside what it refuses for good; else keep it for another try."""
        if fate is Fate.STORED:
            await self._in_thread(self._spool.drop, batch)
            counters.drained += batch.messages
        elif fate is Fate.REJECTED:
            await self._in_thread(self._spool.set_aside, batch)
            counters.drain_rejected += batch.messages
        else:
            await self._in_thread(self._spool.again)
        self.full = self._spool.full

    def count(self, counters: Counters) -> None:
        counters.spool_bytes = self._spool.size_bytes
        counters.spool_messages = self._spool.messages
        counters.spool_damaged_bytes = self._spool.damaged_bytes

    def close(self) -> None:
        self._thread.shutdown()
        self._spool.close()

    async def _in_thread(self, call: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
