"""Follows one feedback server in rounds: request its catalogue, then fetch what is missing. At most one round in a poll period.

`catalogue_walk` chooses the catalogue page to request, and `log_fetcher` fetches the logs of a page. A request has `wait`, so the
server answers when something is new: a record of a quiet server is seen at once, and for a busy server the poll period limits both
delay and cost. The rounds of all servers begin at the same moments, so pages show the new records of all servers together.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import aiohttp

from feedback_wire.catalogue import Catalogue
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LogName
from monitor_platform.retrieval.catalogue_walk import LogRange, RemovedLogs, SkippedLogs, older_ranges, rest_of, settled_after
from monitor_platform.retrieval.feed_status import RetrievalCounts, ServerStatus
from monitor_platform.retrieval.feedback_server_client import (
    FeedbackServerClient,
    Listing,
    Skipped,
    UnknownKind,
    UnusableAnswer,
)
from monitor_platform.retrieval.fetch_plan import live_begin, missing_bytes
from monitor_platform.retrieval.follower_context import FollowerContext, MirrorError
from monitor_platform.retrieval.log_fetcher import LogFetcher

log = logging.getLogger(__name__)

# A feedback server delays an answer by whole seconds, at most this many (docs/formats/catalogue.md).
LONGEST_WAIT_S = 60

# With the default of 20 s, a server that has been failing for long is polled about every two minutes.
LONGEST_BACKOFF_POLLS = 6

FAILURES = (UnusableAnswer, aiohttp.ClientError, TimeoutError, OSError)
"""Errors of one server that end a round; the next round tries again."""


def backoff_s(failures: int, poll_s: float, chance: float) -> float:
    """The pause after `failures` failed rounds. `chance` in [0, 1) spreads the requests of several platforms."""
    polls = min(1 << min(failures - 1, 10), LONGEST_BACKOFF_POLLS)
    return poll_s * polls * (0.5 + chance / 2)


class ServerFollower:
    """Follows one feedback server, and has its status."""

    def __init__(self, client: FeedbackServerClient, shared: FollowerContext) -> None:
        self._client = client
        self._shared = shared
        self._name: str | None = None
        self._after: LogName | None = None
        self._tag: str | None = None
        self._url = str(client.url)
        # What this platform logs about the server: several kinds have their followers.
        self._logged_name = self._url if shared.kind is RecordKind.FEEDBACK else f"{self._url} ({shared.kind} records)"
        self._knows_kind = True
        self._fetcher = LogFetcher(client, shared)
        self._counts = RetrievalCounts()
        self._failures = 0
        self._behind_bytes = 0
        self._last_success_ms: int | None = None
        self._last_complete_ms: int | None = None
        self._error: str | None = None
        self.mirror_error: str | None = None
        """The mirror's error in the last round; None without one."""
        self._older: tuple[LogRange, ...] | None = None
        self._skipped = SkippedLogs()
        self._removed = RemovedLogs()

    def status(self) -> ServerStatus:
        return ServerStatus(
            url=self._url,
            name=self._name,
            last_success_ms=self._last_success_ms,
            failures=self._failures,
            behind_bytes=self._behind_bytes,
            last_complete_ms=self._last_complete_ms,
            error=self._error,
            ahead_ms=self._fetcher.clock.ahead_ms,
            counts=self._counts + self._fetcher.counts,
            knows_kind=self._knows_kind,
            skipped=self._skipped.in_words(),
        )

    async def follow(self) -> None:
        """Run rounds until cancelled."""
        while True:
            try:
                await self._round()
            except UnknownKind:
                self._succeeded(knows_kind=False)
                await asyncio.sleep(backoff_s(LONGEST_BACKOFF_POLLS, self._shared.poll_s, random.random()))  # noqa: S311 - as below
            except MirrorError as error:
                self._mirror_failed(error)
                await asyncio.sleep(self._shared.poll_s)
            except FAILURES as error:
                self._failed(error)
                await asyncio.sleep(backoff_s(self._failures, self._shared.poll_s, random.random()))  # noqa: S311 - spreads load
            else:
                self._succeeded(knows_kind=True)
                await asyncio.sleep(self._shared.poll_s - time.monotonic() % self._shared.poll_s)
            finally:
                self._shared.names.note_answer(self._url)

    async def _round(self) -> None:
        """One round: fetch what is missing, the most urgent first. The next round continues after the time limit."""
        self._counts += RetrievalCounts(polls=1)
        if self._older is None:
            await self._find_ranges()
        wait_s = min(math.ceil(self._shared.poll_s), LONGEST_WAIT_S)
        noted = partial(self._note_clock, time.monotonic())
        unless = None if self._older else self._tag
        listing = await self._client.catalogue(after=self._after, wait_s=wait_s, unless=unless, head=noted)
        if listing is None:
            return
        until = time.monotonic() + self._shared.poll_s
        await self._fetch_live(listing, until)
        if not self._behind_bytes:
            self._last_complete_ms = time.time_ns() // 1_000_000
            await self._fetch_older(until)

    async def _find_ranges(self) -> None:
        """Find the start of the live logs, and the ranges of older logs."""
        newest = await self._client.latest()
        if self._after is None:
            name = None if newest is None else newest.name
            self._after = live_begin(name, now_ms=time.time_ns() // 1_000_000, keep_ms=self._shared.keep_ms)
        self._older = older_ranges(self._after, None if newest is None else self._shared.mirrored.get(newest.name.server))

    async def _fetch_live(self, listing: Listing, until: float) -> None:
        """Fetch what is missing of the live logs, page by page."""
        self._tag, behind = None, 0
        refused: UnusableAnswer | None = None
        after = self._after
        listed, incomplete = set[str](), set[str]()
        while True:
            page = await self._usable(listing, "live")
            contiguous = after == self._after
            try:
                refused = await self._fetcher.fetch(page, until) or refused
            finally:
                left = self._fetcher.missing(page)
                behind += missing_bytes(left)
                self._behind_bytes = max(self._behind_bytes, behind)  # the pages after this one are not known yet
                if contiguous:
                    self._after = settled_after(page, listing.last, self._shared.held, after)
                self._fetcher.release_copies(page, self._after)
            listed |= {entry.name.stem for entry in page.logs}
            incomplete |= {each.entry.name.stem for each in left} | {entry.name.stem for entry in page.logs if not entry.sealed}
            after = listing.last
            following = await self._client.catalogue(after=after) if page.more and time.monotonic() <= until else None
            if following is None:
                break
            listing = following
        self._behind_bytes = behind
        if not page.more:
            self._note_removed(self._removed.note(listed, incomplete))
        if refused is not None:
            raise refused
        self._tag = None if self._behind_bytes or page.more else listing.tag

    def _note_removed(self, stems: Sequence[str]) -> None:
        if stems:
            self._counts += RetrievalCounts(logs_removed=len(stems))
            log.warning(
                "%s: removed before they were fetched completely: %d logs, the first is %s", self._logged_name, len(stems), stems[0]
            )

    async def _fetch_older(self, until: float) -> None:
        """Compare older logs with the mirror, and fetch what is missing: one catalogue page, or more if there is time."""
        while self._older:
            log_range, *others = self._older
            listing = await self._client.catalogue(after=log_range.after)
            if listing is None:
                return
            page = await self._usable(listing, "older")
            refused = await self._fetcher.fetch(page, until)
            left = self._fetcher.missing(page)
            settled = settled_after(page, listing.last, self._shared.held, log_range.after)
            self._fetcher.release_copies(page, self._after)
            if left and refused is None:
                self._behind_bytes += missing_bytes(left)
                return  # the time limit was reached
            rest = rest_of(log_range, listing.last, more=page.more, mirrored_to=settled)
            self._older = (rest, *others) if rest is not None else tuple(others)
            if refused is not None:
                raise refused
            if time.monotonic() > until or (rest is not None and rest.after != listing.last):
                return

    def _note_clock(self, asked_s: float, headers: Mapping[str, str]) -> None:
        clock, now_s = self._fetcher.clock, time.monotonic()
        was_ms = clock.ahead_ms
        waited_ms = (now_s - asked_s) * 1000
        clock.note(headers, time.time_ns() // 1_000_000, waited_ms=waited_ms, monotonic_ms=now_s * 1000)
        if (was_ms == 0) != (clock.ahead_ms == 0):
            log.warning("%s: its clock is %+.0f s from this platform's", self._logged_name, clock.ahead_ms / 1000)

    async def _usable(self, listing: Listing, walk: str) -> Catalogue:
        """The logs of a catalogue page that are fetched from this server, after a look at their copies in the mirror."""
        catalogue = listing.catalogue
        self._note_name(catalogue.server)
        foreign = {entry.name.server for entry in catalogue.logs} - {catalogue.server}
        provided = {catalogue.server} | await self._shared.names.adopted(foreign, self._url)
        others = [entry.name for entry in catalogue.logs if entry.name.server not in provided]
        skipped = (Skipped(str(name), f"carry the name of {name.server}, which is followed at its own address") for name in others)
        if new := self._skipped.note(walk, [*listing.skipped, *skipped]):
            self._counts += RetrievalCounts(logs_skipped=new)
            log.warning("%s: %s", self._logged_name, self._skipped.in_words())
        page = replace(catalogue, logs=tuple(entry for entry in catalogue.logs if entry.name.server in provided))
        await self._fetcher.note_copies(page)
        return page

    def _note_name(self, name: str) -> None:
        """Note the name of the server that answered; UnusableAnswer if another address has it, or if it has changed."""
        was, self._name = self._name, None
        is_new = was is not None and was != name
        if is_new:
            self._after, self._older, self._removed = None, None, RemovedLogs()
        self._shared.names.claim(name, self._url, was=was)
        self._name = name
        if is_new:
            raise UnusableAnswer(f"the name of this server changed from {was} to {name}; its logs are compared again")

    def _mirror_failed(self, error: MirrorError) -> None:
        """Note an error of the mirror, which does not count as a failure of the server."""
        self._tag = None
        if self.mirror_error is None:
            log.error("%s; no log of %s is fetched until the mirror works again", error, self._logged_name)
        self.mirror_error = str(error)

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        self._tag = None
        self._counts += RetrievalCounts(failures=1)
        self._error = _in_words(error)
        if self._failures == 1:
            log.warning("%s: %s", self._logged_name, self._error)

    def _succeeded(self, *, knows_kind: bool) -> None:
        if self._failures:
            log.info("%s answers again", self._logged_name)
        if self.mirror_error is not None:
            log.warning("the mirror works again; %s is followed", self._logged_name)
        self._knows_kind = knows_kind
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
