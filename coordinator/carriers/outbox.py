"""Sends messages to a feedback server that is up, to another one if that fails, and to the spool if all fail."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import islice

from coordinator.carriers.background_tasks import BackgroundTasks
from coordinator.carriers.batch import PART_BYTES, Batch, BatchRejected, Carrier, CarrierFailed, Outcome, SpoolFull, Waiter
from coordinator.carriers.destinations import Destination, Destinations
from coordinator.carriers.lane import Lane, fitting
from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.carriers.spool_drain import SpoolDrain
from coordinator.settings import PolicyName
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind

SPOOL_PROBE_S = 1.0
MessagePart = tuple[str, bytes, int]
"""Peer id to place by, whole lines, how many."""

_log = logging.getLogger(__name__)


class Outbox:
    """All carriers of one worker for one kind of messages, and the tasks that move batches to them.

    It is made and closed within the event loop.
    """

    def __init__(
        self,
        carriers: Mapping[str, Carrier],
        spool: SpoolCarrier | None,
        policy: PolicyName,
        counters: WorkerCounters,
        tls: Callable[[], ssl.SSLContext] | None = None,
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        """`publish` is called when messages have been counted as durable, before any sender learns that they are."""
        self.held_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._publish = publish
        self._tasks = BackgroundTasks()
        self._destinations = Destinations(carriers, policy, self._tasks, tls)
        for destination in self._destinations.all:
            self._tasks.start(self._serve(destination))
        self._spool: _SpoolFallback | None = None
        if spool is not None:
            self._spool = _SpoolFallback(spool, self._destinations, counters, self._place_again, self._settle, self._tasks)

    def place(self, peer_id: str, lines: bytes, messages: int, key: Hashable, waiter: Waiter) -> None:
        """Send whole lines on their way; `waiter` learns their outcome. Messages of different keys take turns."""
        self.held_bytes += len(lines)
        self._counters.in_flight += messages
        up = self._destinations.up
        if up:
            destination = self._destinations.choose(peer_id) if len(up) > 1 else up[0]
            destination.lane.add(lines, messages, key, waiter)
        elif self._spool is not None:
            self._spool.lane.add(lines, messages, key, waiter)
        else:
            self._settle(Batch(lines, messages, [waiter], 0), Outcome.NO_SERVER)

    def parts(self, lines: list[tuple[str, bytes]]) -> list[MessagePart]:
        """(peer id, line) pairs of one request, joined as far as they go to the same server and fit into a part."""
        if not self._destinations.by_end_host or len(self._destinations.up) < 2:
            return [*_cut(lines)]
        groups: dict[int, list[tuple[str, bytes]]] = {}
        for line in lines:
            groups.setdefault(id(self._destinations.by_peer(line[0])), []).append(line)
        return [part for group in groups.values() for part in _cut(group)]

    @property
    def obstacle(self) -> str:
        """Why a message that came now could not be made durable; empty if it could."""
        if self._destinations.up:
            return ""
        if self._spool is None:
            return "no feedback server answers, and there is no spool"
        return self._spool.obstacle

    def add_gauges(self, kind: RecordKind) -> None:
        """Add this outbox's part of the gauges, which the caller has reset. `kind`: that of its messages."""
        self._counters.held_bytes += self.held_bytes
        self._destinations.set_gauges(self._counters, kind)
        if self._spool is not None:
            self._spool.carrier.add_gauges(self._counters)

    async def close(self) -> None:
        """Stop. Messages in flight were not acknowledged, so their senders send them again."""
        await self._tasks.close()
        if self._spool is not None:
            self._spool.carrier.close()

    async def _serve(self, destination: Destination) -> None:
        """Carry one batch after the other to one feedback server."""
        lane, counted = destination.lane, self._counters.servers[destination.url]
        while True:
            batch = await lane.next_batch()
            try:
                await lane.carrier.carry(batch)
            except CarrierFailed as failed:
                counted.errors += 1
                lane.pending -= batch.messages
                batch.failures += 1
                batch.foreign_answers += failed.foreign_answer
                if batch.blocked:
                    _log.warning("%s did not store the blocked batch %s: %s", destination.url, batch.id.hex(), failed)
                    self._settle(batch, Outcome.NO_SERVER)
                else:
                    self._exclude(destination, batch, failed)
            except BatchRejected as rejected:
                counted.errors += 1
                lane.pending -= batch.messages
                _log.error("%s refused a batch of %d messages: %s", destination.url, batch.messages, rejected)
                self._settle(batch, Outcome.REJECTED)
            else:
                destination.failures = 0
                counted.batches += 1
                counted.messages += batch.messages
                lane.pending -= batch.messages
                self._settle(batch, lane.carrier.outcome)

    def _exclude(self, destination: Destination, batch: Batch, failed: CarrierFailed) -> None:
        """Send nothing more to a failing server, and place again what was meant for it."""
        _log.warning("feedback server %s is not used until it is ready again: %s", destination.url, failed)
        self._destinations.exclude(destination, failed.retry_after_s)
        for stranded in (batch, *destination.lane.clear()):
            self._place_again(stranded)

    def _place_again(self, batch: Batch) -> None:
        if self._destinations.up and self._loop.time() < batch.place_until_s:
            self._destinations.least_busy().add_batch(batch)
        elif self._spool is not None and not batch.from_spool:
            self._spool.lane.add_batch(batch)
        else:
            self._settle(batch, batch.refusal(Outcome.NO_SERVER))

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        if not batch.from_spool:
            self.held_bytes -= len(batch.lines)
            self._count_settled(batch.messages, outcome)
        if outcome.durable:
            self._publish()
        for waiter in batch.waiters:
            waiter.settled(outcome)

    def _count_settled(self, messages: int, outcome: Outcome) -> None:
        counters = self._counters
        counters.in_flight -= messages
        if outcome is Outcome.STORED:
            counters.stored += messages
        elif outcome is Outcome.SPOOLED:
            counters.spooled += messages
        else:
            counters.refused[outcome.value] += messages


class _SpoolFallback:
    """The spool, which takes what no feedback server takes, and the tasks that drain it."""

    def __init__(
        self,
        carrier: SpoolCarrier,
        destinations: Destinations,
        counters: WorkerCounters,
        place: Callable[[Batch], None],
        settle: Callable[[Batch, Outcome], None],
        tasks: BackgroundTasks,
    ) -> None:
        self.carrier = carrier
        self.lane = Lane(carrier, asyncio.get_running_loop())
        self._failure = ""
        """Why the spool could not be written when it was last tried."""
        self._settle = settle
        self._tasks = tasks
        self._drain = SpoolDrain(carrier, destinations, counters, place)
        for work in (self._serve(), self._drain.drain(), self._drain.retry_blocked()):
            tasks.start(work)

    @property
    def obstacle(self) -> str:
        """Why the spool cannot take a message while no feedback server answers; empty if it can."""
        return "no feedback server answers, and the spool is full" if self.carrier.full else self._failure

    async def _serve(self) -> None:
        """Write one batch after the other into the spool."""
        while True:
            batch = await self.lane.next_batch()
            self.lane.pending -= batch.messages
            try:
                await self.carrier.carry(batch)
            except SpoolFull:
                self._settle(batch, batch.refusal(Outcome.SPOOL_FULL))
            except CarrierFailed as failed:
                self._note_failure(failed)
                self._settle(batch, batch.refusal(Outcome.NO_SERVER))
            else:
                self._failure = ""
                self._settle(batch, Outcome.SPOOLED)
                self._drain.something_spooled.set()

    def _note_failure(self, failed: CarrierFailed) -> None:
        """Log it once, and probe the disk until it works: no sender may come that would show that it does."""
        if self._failure:
            return
        _log.error("no feedback server answers and the spool cannot be written: %s", failed)
        cause = failed.__cause__
        why = cause.strerror if isinstance(cause, OSError) and cause.strerror else "it failed"
        self._failure = f"no feedback server answers, and the spool cannot be written: {why}"
        self._tasks.start(self._watch())

    async def _watch(self) -> None:
        while self._failure:
            await asyncio.sleep(SPOOL_PROBE_S)
            with contextlib.suppress(CarrierFailed):
                await self.carrier.probe()
                self._failure = ""
                _log.warning("the spool can be written again")


def _cut(lines: list[tuple[str, bytes]]) -> Iterator[MessagePart]:
    """`lines` in order, in parts of at most PART_BYTES (a longer line alone)."""
    texts = [line for _, line in lines]
    begin = 0
    while begin < len(texts):
        end = begin + fitting(islice(texts, begin, None), PART_BYTES)
        yield lines[begin][0], b"".join(texts[begin:end]), end - begin
        begin = end
