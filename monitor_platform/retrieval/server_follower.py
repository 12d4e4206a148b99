"""Follows one feedback server in rounds: request its catalogue, then fetch what is missing. At most one round in a poll period.

catalogue_walk.py chooses the catalogue page to request. The request has `wait`, so the server answers when something is new: a
record of a quiet server is seen at once, and for a busy server the poll period limits both delay and cost. The rounds of all
servers begin at the same moments, so pages show the new records of all servers together.
"""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import aiohttp

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import LogName
from monitor_platform.retrieval.catalogue_walk import LogRange, SkippedLogs, older_ranges, onward, reached
from monitor_platform.retrieval.feed_status import RetrievalCounts, ServerStatus
from monitor_platform.retrieval.feedback_server_client import (
    PIECE_BYTES,
    FeedbackServerClient,
    Gone,
    Listing,
    Skipped,
    UnusableAnswer,
)
from monitor_platform.retrieval.fetch_plan import (
    Fetch,
    FetchSealed,
    FetchTail,
    MirroredLog,
    complete,
    live_begin,
    missing_bytes,
    plan,
)
from monitor_platform.retrieval.mirror import Mirror, size
from monitor_platform.retrieval.server_clock import ServerClock
from monitor_platform.retrieval.table_loader import Damaged, LoadedLog, TableLoader

log = logging.getLogger(__name__)

# A feedback server delays an answer by whole seconds, at most this many (docs/formats/catalogue.md).
LONGEST_WAIT_S = 60

# With the default of 20 s, a server that has been failing for long is polled about every two minutes.
LONGEST_BACKOFF_POLLS = 6

# A log with another server's name is left to that server if it is followed, too. This is the time to wait for its first answer.
_ANSWER_WITHIN_S = 20

FAILURES = (UnusableAnswer, aiohttp.ClientError, TimeoutError, OSError)
"""Errors of one server that end a round; the next round tries again."""


class MirrorError(OSError):
    """The mirror on this machine cannot be read or written. This is not the feedback server's fault."""


P = ParamSpec("P")
R = TypeVar("R")


def backoff_s(failures: int, poll_s: float, chance: float) -> float:
    """The pause after `failures` failed rounds. `chance` in [0, 1) spreads the requests of several platforms."""
    polls = min(1 << min(failures - 1, 10), LONGEST_BACKOFF_POLLS)
    return poll_s * polls * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerContext:
    """What the followers of all servers share: the mirror, the table's loader and its one thread, and the logs in the mirror."""

    mirror: Mirror
    loader: TableLoader
    worker: Executor
    poll_s: float
    keep_ms: int | None
    """How long records stay in the table; None: no limit."""
    held: dict[str, MirroredLog] = field(default_factory=dict)
    """The mirrored part of recent and incomplete logs, by stem."""
    mirrored: dict[str, LogName] = field(default_factory=dict)
    """The newest log of each server that the mirror had at the start, by server name."""
    claims: dict[str, str] = field(default_factory=dict)
    """The address of each server name."""
    adopted: dict[str, str] = field(default_factory=dict)
    """The address that provides the logs of a server that is not followed itself, by server name."""
    unanswered: set[str] = field(default_factory=set)
    """Addresses that have neither answered nor failed yet."""
    all_answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when every address has answered or failed once."""

    async def work(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `call` in the worker thread, so that it does not block the event loop. MirrorError for an OSError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.worker, partial(call, *args, **kwargs))
        except OSError as error:
            where = error.filename or self.mirror.directory
            raise MirrorError(f"the mirror of this platform cannot be used: {where}: {error.strerror or error}") from error

    def note_answer(self, url: str) -> None:
        """Note that a server has answered or failed."""
        self.unanswered.discard(url)
        if not self.unanswered:
            self.all_answered.set()

    def since_ms(self) -> int | None:
        """The begin of the time kept in memory; None to keep all."""
        return None if self.keep_ms is None else time.time_ns() // 1_000_000 - self.keep_ms


class ServerFollower:
    """Follows one feedback server, and has its status."""

    def __init__(self, client: FeedbackServerClient, shared: FollowerContext) -> None:
        self._client = client
        self._shared = shared
        self._name: str | None = None
        self._after: LogName | None = None
        self._tag: str | None = None
        self._counts = RetrievalCounts()
        self._clock = ServerClock()
        self._failures = 0
        self._behind_bytes = 0
        self._last_success_ms: int | None = None
        self._error: str | None = None
        self.mirror_error: str | None = None
        """The mirror's error in the last round; None without one."""
        self._walks: tuple[LogRange, ...] | None = None
        self._skipped = SkippedLogs()

    def status(self) -> ServerStatus:
        return ServerStatus(
            url=str(self._client.url),
            name=self._name,
            last_success_ms=self._last_success_ms,
            failures=self._failures,
            behind_bytes=self._behind_bytes,
            error=self._error,
            ahead_ms=self._clock.ahead_ms,
            counts=self._counts,
            skipped=self._skipped.in_words(),
        )

    async def follow(self) -> None:
        """Run rounds until cancelled."""
        while True:
            try:
                await self._round()
            except MirrorError as error:
                self._mirror_failed(error)
                await asyncio.sleep(self._shared.poll_s)
            except FAILURES as error:
                self._failed(error)
                await asyncio.sleep(backoff_s(self._failures, self._shared.poll_s, random.random()))  # noqa: S311 - spreads load
            else:
                self._succeeded()
                await asyncio.sleep(self._shared.poll_s - time.monotonic() % self._shared.poll_s)
            finally:
                self._shared.note_answer(str(self._client.url))

    async def _round(self) -> None:
        """One round: fetch what is missing, the most urgent first. The next round continues after the time limit."""
        self._counts += RetrievalCounts(polls=1)
        if self._walks is None:
            await self._begin()
        wait_s = min(math.ceil(self._shared.poll_s), LONGEST_WAIT_S)
        listing = await self._client.catalogue(
            after=self._after, wait_s=wait_s, unless=None if self._walks else self._tag, date=self._note_date
        )
        if listing is None:
            return
        until = time.monotonic() + self._shared.poll_s
        await self._live(listing, until)
        if not self._behind_bytes:
            await self._walk(until)

    async def _begin(self) -> None:
        """Find the begin of the live logs, and the ranges of older logs."""
        newest = await self._client.latest()
        if self._after is None:
            name = None if newest is None else newest.name
            self._after = live_begin(name, now_ms=time.time_ns() // 1_000_000, keep_ms=self._shared.keep_ms)
        self._walks = older_ranges(self._after, None if newest is None else self._shared.mirrored.get(newest.name.server))

    async def _live(self, listing: Listing, until: float) -> None:
        """Fetch what is missing of the live logs, page by page."""
        self._tag, self._behind_bytes = None, 0
        refused: UnusableAnswer | None = None
        after = self._after
        while True:
            page = await self._usable(listing, "live")
            contiguous = after == self._after
            try:
                refused = await self._take(page, until) or refused
            finally:
                self._behind_bytes += missing_bytes(self._left(page))
                if contiguous:
                    self._after = reached(page, listing.last, self._shared.held, after)
                self._forget(page)
            after = listing.last
            following = await self._client.catalogue(after=after) if page.more and time.monotonic() <= until else None
            if following is None:
                break
            listing = following
        if refused is not None:
            raise refused
        self._tag = None if self._behind_bytes or page.more else listing.tag

    async def _walk(self, until: float) -> None:
        """Compare older logs with the mirror, and fetch what is missing: one catalogue page, or more if there is time."""
        while self._walks:
            log_range, *others = self._walks
            listing = await self._client.catalogue(after=log_range.after)
            if listing is None:
                return
            page = await self._usable(listing, "older")
            refused = await self._take(page, until)
            left = self._left(page)
            at = reached(page, listing.last, self._shared.held, log_range.after)
            self._forget(page)
            if left and refused is None:
                self._behind_bytes += missing_bytes(left)
                return  # the time limit was reached
            going_on = onward(log_range, listing.last, more=page.more, reached=at)
            self._walks = (going_on, *others) if going_on is not None else tuple(others)
            if refused is not None:
                raise refused
            if time.monotonic() > until or (going_on is not None and going_on.after != listing.last):
                return

    def _left(self, page: Catalogue) -> tuple[Fetch, ...]:
        return plan(page, self._shared.held, since_ms=self._since_ms())

    def _note_date(self, date: str | None) -> None:
        was_ms = self._clock.ahead_ms
        self._clock.note_date(date, time.time_ns() // 1_000_000)
        if (was_ms == 0) != (self._clock.ahead_ms == 0):
            log.warning("%s: its clock is %+.0f s from this platform's", self._client.url, self._clock.ahead_ms / 1000)

    def _since_ms(self) -> int | None:
        """The begin of the time kept in memory by the server's clock, which names its logs."""
        since_ms = self._shared.since_ms()
        return None if since_ms is None else since_ms + self._clock.ahead_ms

    async def _begun(self, name: LogName, start: int) -> MirroredLog:
        """The state of a new log. Its clock correction is stored in the mirror and applies to the whole log."""
        ahead_ms = self._clock.ahead_ms
        if ahead_ms:
            await self._shared.work(self._shared.mirror.note_ahead, name, ahead_ms)
        return MirroredLog(name=name, bytes=start, ahead_ms=ahead_ms)

    async def _usable(self, listing: Listing, walk: str) -> Catalogue:
        """The logs of a catalogue page that are fetched from this server, after a look at their copies in the mirror."""
        name = self._claim(listing.catalogue.server)
        foreign = {entry.name.server for entry in listing.catalogue.logs} - {name}
        if foreign:
            self._shared.note_answer(str(self._client.url))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shared.all_answered.wait(), _ANSWER_WITHIN_S)
        taken = {name, *filter(self._adopts, foreign)}
        others = [entry for entry in listing.catalogue.logs if entry.name.server not in taken]
        why = (
            Skipped(str(entry.name), f"carry the name of {entry.name.server}, which is followed at its own address")
            for entry in others
        )
        if new := self._skipped.note(walk, [*listing.skipped, *why]):
            self._counts += RetrievalCounts(logs_skipped=new)
            log.warning("%s: %s", self._client.url, self._skipped.in_words())
        page = replace(listing.catalogue, logs=tuple(entry for entry in listing.catalogue.logs if entry.name.server in taken))
        await self._recall(page)
        return page

    def _claim(self, name: str) -> str:
        """The name of the server that answered; UnusableAnswer if another address has the same name."""
        url = str(self._client.url)
        if self._shared.claims.setdefault(name, url) != url:
            raise UnusableAnswer(f"this server and {self._shared.claims[name]} both have the name {name}; give each its own --name")
        was, self._name = self._name, name
        if was not in {None, name}:
            self._shared.claims.pop(str(was), None)
            self._after, self._walks = None, None
            raise UnusableAnswer(f"the name of this server changed from {was} to {name}; its logs are compared again")
        return name

    def _adopts(self, server: str) -> bool:
        """Whether logs of another server are fetched from here: not if that server, or another one with its logs, is followed."""
        url = str(self._client.url)
        return server not in self._shared.claims and self._shared.adopted.setdefault(server, url) == url

    async def _recall(self, page: Catalogue) -> None:
        """Look up which sealed logs of a page are in the mirror. There may be millions, so memory does not have all."""
        names = [entry.name for entry in page.logs if entry.sealed and entry.name.stem not in self._shared.held]
        for name, size_bytes in zip(names, await self._shared.work(self._shared.mirror.sizes, names), strict=True):
            if size_bytes:
                self._shared.held[name.stem] = MirroredLog(name=name, bytes=size_bytes)

    def _forget(self, page: Catalogue) -> None:
        """Remove complete logs of a page from memory. The mirror still has them."""
        upto = "" if self._after is None else self._after.stem
        for entry in page.logs:
            held = self._shared.held.get(entry.name.stem)
            if held is not None and entry.name.stem <= upto and complete(entry, held):
                del self._shared.held[entry.name.stem]

    async def _take(self, page: Catalogue, until: float) -> UnusableAnswer | None:
        """Fetch what is missing of a page until the time limit. Returns the first failure."""
        return await self._fetch_all(self._left(page), self._shared.held, until)

    async def _fetch_all(self, fetches: tuple[Fetch, ...], held: dict[str, MirroredLog], until: float) -> UnusableAnswer | None:
        """Fetch logs until the time limit. A log that fails does not stop the others; returns the first failure."""
        refused: UnusableAnswer | None = None
        for index, fetch in enumerate(fetches):
            if index and time.monotonic() > until:
                break
            try:
                taken = await (self._tail(fetch, held, until) if isinstance(fetch, FetchTail) else self._whole(fetch, held, until))
            except Gone:
                continue  # sealed or expired since the catalogue was sent; the next catalogue has the change
            except UnusableAnswer as error:
                refused = refused or error
                continue
            if taken is not None:
                held[fetch.entry.name.stem] = taken.held
                self._counts += taken.counts
        return refused

    async def _tail(self, tail: FetchTail, held: dict[str, MirroredLog], until: float) -> LoadedLog:
        known = held.get(tail.entry.name.stem)
        if known is None:
            known = await self._begun(tail.entry.name, tail.start)
        elif known.bytes != tail.start:
            known = MirroredLog(name=tail.entry.name, bytes=tail.start, ahead_ms=known.ahead_ms)
        path = self._shared.mirror.path(tail.entry.name)
        await self._copy(tail.entry, path, tail.start, until)
        take = partial(self._shared.loader.tail, known, tail.entry.bytes)
        try:
            return await self._shared.work(take, again=False)
        except Damaged as damage:
            await self._copy_again(tail.entry, path, tail.start, damage)
            return await self._shared.work(take, again=True)

    async def _whole(self, whole: FetchSealed, held: dict[str, MirroredLog], until: float) -> LoadedLog | None:
        path = self._shared.mirror.part(whole.entry.name)
        if not await self._copy(whole.entry, path, 0, until):
            return None
        known = held.get(whole.entry.name.stem)
        if known is not None and known.name == whole.entry.name:
            self._counts += RetrievalCounts(refetches=1)
        ahead_ms = (known or await self._begun(whole.entry.name, 0)).ahead_ms
        take = partial(self._shared.loader.whole, whole.entry, whole.take_from, ahead_ms=ahead_ms)
        try:
            return await self._shared.work(take, again=False)
        except Damaged as damage:
            await self._copy_again(whole.entry, path, 0, damage)
            return await self._shared.work(take, again=True)

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
            self._counts += RetrievalCounts(bytes_fetched=stop - at)
            at, tag = stop, piece.tag
            if time.monotonic() > until:
                break
        return at == entry.bytes

    async def _copy_again(self, entry: LogEntry, path: Path, start: int, damage: Damaged) -> None:
        log.warning("fetching again: %s", damage)
        self._counts += RetrievalCounts(refetches=1)
        await self._shared.work(self._shared.mirror.cut, path, start)
        await self._copy(entry, path, start, float("inf"))

    def _mirror_failed(self, error: MirrorError) -> None:
        """Note an error of the mirror, which does not count as a failure of the server."""
        self._tag = None
        if self.mirror_error is None:
            log.error("%s; no log of %s is fetched until the mirror works again", error, self._client.url)
        self.mirror_error = str(error)

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        self._tag = None
        self._counts += RetrievalCounts(failures=1)
        self._error = _in_words(error)
        if self._failures == 1:
            log.warning("%s: %s", self._client.url, self._error)

    def _succeeded(self) -> None:
        if self._failures:
            log.info("%s answers again", self._client.url)
        if self.mirror_error is not None:
            log.warning("the mirror works again; %s is followed", self._client.url)
        self._failures = 0
        self._error = self.mirror_error = None
        self._last_success_ms = time.time_ns() // 1_000_000


def _in_words(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
        case TimeoutError():
            return "no answer within the time limit"
        case _:
            return str(error) or type(error).__name__
