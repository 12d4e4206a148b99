"""Fetches the missing bytes of one server's logs into the mirror, and loads their records into the table."""

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import LogName
from monitor_platform.retrieval.feed_status import RetrievalCounts
from monitor_platform.retrieval.feedback_server_client import PIECE_BYTES, FeedbackServerClient, Gone, UnusableAnswer
from monitor_platform.retrieval.fetch_plan import Fetch, FetchSealed, FetchTail, MirroredLog, complete, in_turn, plan, still_waiting
from monitor_platform.retrieval.follower_context import FollowerContext
from monitor_platform.retrieval.mirror import size
from monitor_platform.retrieval.server_clock import ServerClock
from monitor_platform.retrieval.table_loader import Damaged, LoadedLog

log = logging.getLogger(__name__)

LEAST_OF_A_ROUND = 2
"""The most urgent log, and the one that has waited longest."""


class LogFetcher:
    """Fetches logs of one server. `clock`: the server's clock. `counts`: what was fetched."""

    def __init__(self, client: FeedbackServerClient, shared: FollowerContext) -> None:
        self._client = client
        self._shared = shared
        self.clock = ServerClock()
        self.counts = RetrievalCounts()
        self._waiting: tuple[str, ...] = ()

    async def note_copies(self, page: Catalogue) -> None:
        """Look up which sealed logs of a page are in the mirror. There may be millions, so memory does not have all."""
        held = self._shared.held
        names = [entry.name for entry in page.logs if entry.sealed and entry.name.stem not in held]
        for name, size_bytes in zip(names, await self._shared.work(self._shared.mirror.sizes, names), strict=True):
            if size_bytes:
                held[name.stem] = MirroredLog(name=name, bytes=size_bytes)

    def missing(self, page: Catalogue) -> tuple[Fetch, ...]:
        """What is missing of a page, the most urgent first."""
        return plan(page, self._shared.held, since_ms=self._since_ms())

    def release_copies(self, page: Catalogue, upto: LogName | None) -> None:
        """Remove complete logs of a page, up to the log `upto`, from memory. The mirror still has them."""
        last = "" if upto is None else upto.stem
        for entry in page.logs:
            held = self._shared.held.get(entry.name.stem)
            if held is not None and entry.name.stem <= last and complete(entry, held):
                del self._shared.held[entry.name.stem]

    async def fetch(self, page: Catalogue, until: float) -> UnusableAnswer | None:
        """Fetch what is missing of a page until the time limit, but at least the most urgent log and the one that waits longest.

        A log that fails does not stop the others; returns the first failure.
        """
        refused: UnusableAnswer | None = None
        order = in_turn(self.missing(page), self._waiting)
        done: list[Fetch] = []
        for index, each in enumerate(order):
            if index >= LEAST_OF_A_ROUND and time.monotonic() > until:
                break
            done.append(each)
            try:
                loaded = await (self._tail(each, until) if isinstance(each, FetchTail) else self._sealed(each, until))
            except Gone:
                continue  # sealed or expired since the catalogue was sent; the next catalogue has the change
            except UnusableAnswer as error:
                refused = refused or error
                continue
            if loaded is not None:
                self._shared.held[each.entry.name.stem] = loaded.held
                self.counts += loaded.counts
        self._waiting = still_waiting(order, self._waiting, done=done)
        return refused

    def _since_ms(self) -> int | None:
        """The start of the time kept in memory by the server's clock, which names its logs."""
        since_ms = self._shared.since_ms()
        return None if since_ms is None else since_ms + self.clock.ahead_ms

    async def _new_log(self, name: LogName, start: int) -> MirroredLog:
        """The state of a new log. Its clock correction is stored in the mirror and applies to the whole log."""
        ahead_ms = self.clock.ahead_ms
        if ahead_ms:
            await self._shared.work(self._shared.mirror.note_ahead, name, ahead_ms)
        return MirroredLog(name=name, bytes=start, ahead_ms=ahead_ms)

    async def _tail(self, tail: FetchTail, until: float) -> LoadedLog:
        known = self._shared.held.get(tail.entry.name.stem)
        if known is None:
            known = await self._new_log(tail.entry.name, tail.start)
        elif known.bytes != tail.start:
            known = MirroredLog(name=tail.entry.name, bytes=tail.start, ahead_ms=known.ahead_ms)
        if self.clock.stands_still:
            known = replace(known, ahead_ms=self.clock.ahead_ms)  # all records have one time, so the difference grows
        path = self._shared.mirror.path(tail.entry.name)
        await self._copy(tail.entry, path, tail.start, until)
        load = partial(self._shared.loader.tail, known, tail.entry.bytes)
        try:
            return await self._shared.work(load, again=False)
        except Damaged as damage:
            await self._copy_again(tail.entry, path, tail.start, damage)
            return await self._shared.work(load, again=True)

    async def _sealed(self, sealed: FetchSealed, until: float) -> LoadedLog | None:
        path = self._shared.mirror.part(sealed.entry.name)
        if not await self._copy(sealed.entry, path, 0, until):
            return None
        known = self._shared.held.get(sealed.entry.name.stem)
        if known is not None and known.name == sealed.entry.name:
            self.counts += RetrievalCounts(refetches=1)
        ahead_ms = (known or await self._new_log(sealed.entry.name, 0)).ahead_ms
        load = partial(self._shared.loader.whole, sealed, ahead_ms=ahead_ms)
        try:
            return await self._shared.work(load, again=False)
        except Damaged as damage:
            await self._copy_again(sealed.entry, path, 0, damage)
            return await self._shared.work(load, again=True)

    async def _copy(self, entry: LogEntry, path: Path, start: int, until: float) -> bool:
        """Fetch the bytes that `path` lacks from `start` on; False if the time limit was reached first."""
        at = await self._shared.work(size, path)
        if not start <= at <= entry.bytes:
            at = start
        tag: str | None = None
        while at < entry.bytes:
            stop = min(at + PIECE_BYTES, entry.bytes)
            piece = await self._client.piece(entry.name, at, stop, tag=tag if entry.sealed else None)
            await self._shared.work(self._shared.mirror.write, path, at, piece.data)
            self.counts += RetrievalCounts(bytes_fetched=stop - at)
            at, tag = stop, piece.tag
            if time.monotonic() > until:
                break
        return at == entry.bytes

    async def _copy_again(self, entry: LogEntry, path: Path, start: int, damage: Damaged) -> None:
        log.warning("fetching again: %s", damage)
        self.counts += RetrievalCounts(refetches=1)
        await self._shared.work(self._shared.mirror.cut, path, start)
        await self._copy(entry, path, start, float("inf"))
