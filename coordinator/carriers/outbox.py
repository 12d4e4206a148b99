"""The way out: places what was admitted on a feedback server that is up, and on another one, or in the spool, when that fails.

A batch keeps its name through all of this. A feedback server that answered too late has perhaps stored it; then another one stores
it again, and readers, who count every (session_id, seq) once, see it once.
"""

import asyncio
import contextlib
import logging
import random
import signal
import ssl
from collections.abc import Callable, Coroutine, Iterator, Mapping
from itertools import islice
from typing import cast

import aiohttp

from coordinator import placement
from coordinator.carriers.batch import PART_BYTES, Batch, BatchRejected, Carrier, CarrierFailed, Outcome, SpoolFull, Waiter
from coordinator.carriers.lane import PLACE_S, Lane, fitting
from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.counters import Counters
from coordinator.out_of_memory import exit_if_out_of_memory
from coordinator.settings import PolicyName
from feedback_wire.routes import READY

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0
LONGEST_BLOCKED_PAUSE_S = 60.0
PROBE_S = 2.0
SPOOL_PROBE_S = 1.0
Part = tuple[str, bytes, int]
"""Peer id to place by, whole lines, how many."""

_log = logging.getLogger(__name__)


def pause_s(failures: int, roll: float) -> float:
    """How long to leave a server alone after so many failures in a row; `roll` from [0, 1) spreads the coordinators out."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(failures, 10)))
    return FIRST_PAUSE_S + roll * (longest - FIRST_PAUSE_S)


def blocked_pause_s(failures: int, roll: float) -> float:
    """How long to wait until a blocked batch is tried, after so many tries in a row that stored none; `roll` is from [0, 1)."""
    longest = min(LONGEST_BLOCKED_PAUSE_S, FIRST_PAUSE_S * (1 << min(failures, 10)))
    return longest * (1 + roll) / 2


class Destination:
    """A feedback server as this coordinator sees it."""

    def __init__(self, url: str, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.lane = Lane(carrier, loop)
        self.up = True
        self.failures = 0


class Outbox:
    """All destinations, the spool, and the tasks that keep them moving; made and closed within the event loop."""

    def __init__(
        self,
        carriers: Mapping[str, Carrier],
        spool: SpoolCarrier | None,
        policy: PolicyName,
        counters: Counters,
        tls: Callable[[], ssl.SSLContext] | None = None,
        note: Callable[[], None] = lambda: None,
    ) -> None:
        """`note` is called when something has been counted as durable, before anybody is told that it is."""
        loop = asyncio.get_running_loop()
        self.held_bytes = 0
        self._loop = loop
        self._counters = counters
        self._destinations = [Destination(url, carrier, loop) for url, carrier in carriers.items()]
        self._spool = spool
        self._spool_lane = Lane(spool, loop) if spool is not None else None
        self._policy = policy
        self._spool_fails = ""
        """Why the spool took nothing when it was last tried."""
        self._note = note
        self._tls = tls
        self._choose = self._chooser(policy)
        self._turn = 0
        self._some_up = asyncio.Event()
        self._something_spooled = asyncio.Event()
        self._something_blocked = asyncio.Event()
        self._something_blocked.set()  # perhaps an earlier run left blocked batches
        self._refresh_up()
        self._tasks: set[asyncio.Task[None]] = set()
        for destination in self._destinations:
            self._keep_running(self._serve(destination))
        if self._spool_lane is not None:
            self._keep_running(self._serve_spool(self._spool_lane))
            self._keep_running(self._drain())
            self._keep_running(self._retry_blocked())

    def place(self, peer_id: str, lines: bytes, messages: int, waiter: Waiter) -> None:
        """Send whole lines on their way; `waiter` learns how they ended."""
        self.held_bytes += len(lines)
        self._counters.in_flight += messages
        up = self._up
        if up:
            lane = self._choose(peer_id) if len(up) > 1 else up[0].lane
            lane.add(lines, messages, waiter)
        elif self._spool_lane is not None:
            self._spool_lane.add(lines, messages, waiter)
        else:
            self._settle(Batch(lines, messages, [waiter], 0), Outcome.NO_SERVER)

    def parts(self, lines: list[tuple[str, bytes]]) -> list[Part]:
        """One request's (peer id, line) pairs, put together as far as they go the same way and are not too much for a batch."""
        if self._policy != "by-peer" or len(self._up) < 2:
            return [*_cut(lines)]
        groups: dict[int, list[tuple[str, bytes]]] = {}
        for line in lines:
            groups.setdefault(id(self._by_peer(line[0])), []).append(line)
        return [part for group in groups.values() for part in _cut(group)]

    @property
    def obstacle(self) -> str:
        """Why a message that came now would find no place; empty if it would."""
        if self._up:
            return ""
        if self._spool is None:
            return "no feedback server answers, and there is no spool"
        return "no feedback server answers, and the spool is full" if self._spool.full else self._spool_fails

    def count(self) -> None:
        """Bring the counters that are states, not events, up to date."""
        self._counters.held_bytes = self.held_bytes
        for destination in self._destinations:
            self._counters.servers[destination.url].up = int(destination.up)
        if self._spool is not None:
            self._spool.count(self._counters)

    async def close(self) -> None:
        """Stop. What is still under way was not acknowledged, so its senders send it again."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._spool is not None:
            self._spool.close()

    def _keep_running(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` until `close`. If a mistake of ours ends it, so does the process: a lane that stands still answers nobody."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (mistake := task.exception()) is not None:
                exit_if_out_of_memory(mistake)
                _log.critical("the outbox fails; stopping", exc_info=mistake)
                signal.raise_signal(signal.SIGTERM)

        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    def _chooser(self, policy: PolicyName) -> Callable[[str], Lane]:
        return {
            "round-robin": self._round_robin,
            "random": self._at_random,
            "least-pending": self._least_pending,
            "by-peer": self._by_peer,
        }[policy]

    def _round_robin(self, _peer_id: str) -> Lane:
        self._turn += 1
        return self._up[placement.round_robin(len(self._up), self._turn)].lane

    def _at_random(self, _peer_id: str) -> Lane:
        return self._up[placement.at_random(len(self._up), random.random())].lane  # noqa: S311 — no secret

    def _least_pending(self, _peer_id: str) -> Lane:
        self._turn += 1
        return self._up[placement.least_pending([destination.lane.pending for destination in self._up], self._turn)].lane

    def _by_peer(self, peer_id: str) -> Lane:
        return self._up[placement.by_peer(peer_id, [destination.url for destination in self._up])].lane

    def _refresh_up(self) -> None:
        self._up = [destination for destination in self._destinations if destination.up]
        if self._up:
            self._some_up.set()
        else:
            self._some_up.clear()

    async def _serve(self, destination: Destination) -> None:
        """Carry one batch after the other to one feedback server."""
        lane, counted = destination.lane, self._counters.servers[destination.url]
        while True:
            batch = await lane.departure()
            try:
                await lane.carrier.carry(batch)
            except CarrierFailed as failed:
                counted.errors += 1
                lane.pending -= batch.messages
                batch.failures += 1
                if batch.blocked:
                    _log.warning("%s did not store the blocked batch %s: %s", destination.url, batch.id.hex(), failed)
                    self._settle(batch, Outcome.NO_SERVER)
                else:
                    self._leave_out(destination, batch, failed)
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

    async def _serve_spool(self, lane: Lane) -> None:
        while True:
            batch = await lane.departure()
            lane.pending -= batch.messages
            try:
                await lane.carrier.carry(batch)
            except SpoolFull:
                self._settle(batch, Outcome.SPOOL_FULL)
            except CarrierFailed as failed:
                self._note_failing_spool(failed)
                self._settle(batch, Outcome.NO_SERVER)
            else:
                self._spool_fails = ""
                self._settle(batch, Outcome.SPOOLED)
                self._something_spooled.set()

    def _note_failing_spool(self, failed: CarrierFailed) -> None:
        """Say it once, and look after the disk until it works: nobody may send anything any more that would show it."""
        if self._spool_fails:
            return
        _log.error("no feedback server answers and the spool cannot be written: %s", failed)
        cause = failed.__cause__
        why = cause.strerror if isinstance(cause, OSError) and cause.strerror else "it failed"
        self._spool_fails = f"no feedback server answers, and the spool cannot be written: {why}"
        self._keep_running(self._watch_spool(cast("SpoolCarrier", self._spool)))

    async def _watch_spool(self, spool: SpoolCarrier) -> None:
        while self._spool_fails:
            await asyncio.sleep(SPOOL_PROBE_S)
            with contextlib.suppress(CarrierFailed):
                await spool.probe()
                self._spool_fails = ""
                _log.warning("the spool can be written again")

    def _leave_out(self, destination: Destination, batch: Batch, failed: CarrierFailed) -> None:
        """Place everything that was meant for a failing server anew, and knock until it is back."""
        _log.warning("feedback server %s is left out: %s", destination.url, failed)
        destination.up = False
        destination.failures += 1
        self._refresh_up()
        for stranded in (batch, *destination.lane.clear()):
            self._place_again(stranded)
        self._keep_running(self._take_back(destination, failed.retry_after_s))

    def _place_again(self, batch: Batch) -> None:
        if self._up and self._loop.time() < batch.place_until_s:
            min(self._up, key=lambda destination: destination.lane.pending).lane.add_batch(batch)
        elif self._spool_lane is not None and not batch.from_spool:
            self._spool_lane.add_batch(batch)
        else:
            self._settle(batch, Outcome.NO_SERVER)

    async def _take_back(self, destination: Destination, at_least_s: float) -> None:
        """Knock with growing pauses until the server says that it is ready. Only a stored batch makes the pauses short again."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_S)) as session:
            while True:
                await asyncio.sleep(max(at_least_s, pause_s(destination.failures, random.random())))  # noqa: S311 — no secret
                if await _is_ready(session, destination.url, self._tls() if self._tls else None):
                    break
                destination.failures += 1
        _log.warning("feedback server %s is taken back", destination.url)
        destination.up = True
        self._refresh_up()

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        if not batch.from_spool:
            self.held_bytes -= len(batch.lines)
            self._count_settled(batch.messages, outcome)
        if outcome.durable:
            self._note()
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

    async def _drain(self) -> None:
        """Bring what lies in the spool to the feedback servers, oldest first, one batch at a time."""
        spool = cast("SpoolCarrier", self._spool)
        while True:
            await self._some_up.wait()
            self._something_spooled.clear()
            try:
                if not await self._drain_one(spool):
                    await self._something_spooled.wait()
            except OSError:
                _log.exception("the spool cannot be read, or keeps no blocked batch; trying again in %g s", LONGEST_PAUSE_S)
                await asyncio.sleep(LONGEST_PAUSE_S)

    async def _drain_one(self, spool: SpoolCarrier) -> bool:
        """Whether there was a batch to drain."""
        batch = await spool.oldest()
        if batch is None:
            return False
        told = _Told(self._loop)
        until_s = self._loop.time() + PLACE_S
        sent = Batch(batch.lines, batch.messages, [told], until_s, batch.batch_id, from_spool=True)
        self._place_again(sent)
        if await spool.settle(batch, await told.outcome, self._counters, tried=sent.failures > 0):
            self._something_blocked.set()
        return True

    async def _retry_blocked(self) -> None:
        """Try blocked batches, one server and one batch at a time, with pauses that grow while none is stored."""
        spool, failures, turn = cast("SpoolCarrier", self._spool), 0, 0
        while True:
            await self._something_blocked.wait()
            if failures:
                await asyncio.sleep(blocked_pause_s(failures, random.random()))  # noqa: S311 — no secret
            await self._some_up.wait()
            turn += 1
            try:
                stored = await self._retry_one_blocked(spool, turn)
            except OSError:
                _log.exception("a blocked batch in the spool cannot be read or removed; trying again later")
                stored = False
            failures = 0 if stored else failures + 1

    async def _retry_one_blocked(self, spool: SpoolCarrier, turn: int) -> bool:
        """Whether the next blocked batch is no longer blocked, or there is none."""
        self._something_blocked.clear()
        batch = await spool.next_blocked()
        if batch is None:
            return True
        self._something_blocked.set()
        told = _Told(self._loop)
        sent = Batch(batch.lines, batch.messages, [told], self._loop.time(), batch.batch_id, from_spool=True, blocked=True)
        if self._up:
            self._up[turn % len(self._up)].lane.add_batch(sent)
        else:
            self._settle(sent, Outcome.NO_SERVER)
        outcome = await told.outcome
        await spool.settle_blocked(batch, outcome, self._counters)
        return outcome is not Outcome.NO_SERVER


class _Told:
    """A waiter for one batch from the spool."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.outcome: asyncio.Future[Outcome] = loop.create_future()

    def settled(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def _cut(lines: list[tuple[str, bytes]]) -> Iterator[Part]:
    """`lines` in order, in parts of at most PART_BYTES (a longer line alone)."""
    texts = [line for _, line in lines]
    begin = 0
    while begin < len(texts):
        end = begin + fitting(islice(texts, begin, None), PART_BYTES)
        yield lines[begin][0], b"".join(texts[begin:end]), end - begin
        begin = end


async def _is_ready(session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None) -> bool:
    """Whether a feedback server answers `ready`; a 200 with another first line comes from something in front of it."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):  # ValueError: the first line does not end
        async with session.get(url.rstrip("/") + READY, ssl=tls or True, allow_redirects=False) as answer:
            return answer.status == 200 and await answer.content.readline() == b"ready\n"
    return False
