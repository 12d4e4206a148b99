"""The live feed of one kind of records: follows all feedback servers, each in its own task, into one mirror and one table.

All slow work of a kind runs in one worker thread, in order, because the event loop also serves the dashboard.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import aiohttp

from feedback_analysis.messages.load import LOOK_AROUND_MS
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from monitor_platform.retrieval.feed_status import FeedStatus, RetrievalCounts
from monitor_platform.retrieval.feedback_server_client import FeedbackServerClient, checked_url
from monitor_platform.retrieval.fetch_plan import CLOCK_MARGIN_MS, MirroredLog, corrections_in_use, in_window
from monitor_platform.retrieval.follower_context import FollowerContext
from monitor_platform.retrieval.kind_tables import KindTable
from monitor_platform.retrieval.mirror import Mirror, size
from monitor_platform.retrieval.server_follower import ServerFollower
from monitor_platform.retrieval.server_names import ServerNames
from monitor_platform.retrieval.table_loader import TableLoader
from serving.tls import Tls

# Records may stay longer by this time, because removing records makes every view compute again.
DROP_EVERY_S = 30.0

log = logging.getLogger(__name__)


class Feed:
    """Keeps `table` up to date with the records of its kind on `servers` while `run` runs.

    `poll_seconds` (at least 1): the time between two polls of a server. `keep_minutes`: how long records stay in the table (None:
    no limit; the mirror keeps all logs). `tls`: verifies https servers (None: with the system's authorities). ValueError for an
    invalid address.
    """

    def __init__(
        self,
        servers: Sequence[str],
        token: str,
        mirror: Mirror,
        table: KindTable,
        *,
        poll_seconds: float = 20.0,
        keep_minutes: float | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._urls = tuple(dict.fromkeys(checked_url(server) for server in servers))
        self._token = token
        self._mirror = mirror.of_kind(table.kind)
        self._table = table
        self._poll_s = poll_seconds
        self._keep_ms = None if keep_minutes is None else round(keep_minutes * MINUTE_MS)
        self._tls = tls
        self._followers: tuple[ServerFollower, ...] = ()
        self._read_back_counts = RetrievalCounts()
        self._reading_back = True
        self.begins_ms = 0
        """Messages that were received earlier (Unix ms) may be missing from the table, because a wrong date has dropped them."""

    async def run(self) -> None:
        """Read the mirror, then poll until cancelled. The caller holds `Mirror.owned()`."""
        with ThreadPoolExecutor(1, f"retrieval of {self._table.kind}") as worker:
            shared = self._shared(worker)
            await self._read_back(shared)
            async with self._session() as session, asyncio.TaskGroup() as group:
                self._followers = tuple(
                    ServerFollower(FeedbackServerClient(session, url, self._token, self._tls, self._table.kind), shared)
                    for url in self._urls
                )
                for follower in self._followers:
                    group.create_task(follower.follow())
                group.create_task(self._drop_old(shared))

    def status(self) -> FeedStatus:
        servers = tuple(follower.status() for follower in self._followers)
        return FeedStatus(
            kind=self._table.kind,
            servers=servers,
            reading_back=self._reading_back,
            counts=sum((server.counts for server in servers), self._read_back_counts),
            mirror_error=next((follower.mirror_error for follower in self._followers if follower.mirror_error), None),
        )

    def delay(self) -> tuple[float, float, int] | None:
        """Display delay of the last minutes: median and 95th percentile in ms, and the number of records; None without records."""
        return self._table.delay()

    def _shared(self, worker: Executor) -> FollowerContext:
        names = ServerNames(map(str, self._urls))
        return FollowerContext(
            mirror=self._mirror,
            loader=TableLoader(self._mirror, self._table),
            worker=worker,
            names=names,
            kind=self._table.kind,
            poll_s=self._poll_s,
            keep_ms=self._keep_ms,
        )

    def _session(self) -> aiohttp.ClientSession:
        # No decompression, because the mirror has the exact bytes; no cookies, because a feedback server needs none.
        return aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())

    async def _read_back(self, shared: FollowerContext) -> None:
        """Load the mirrored logs of the kept time into the table.

        From the logs of the day before, the table gets only the message numbers, so that it recognises copies.
        """
        for server in self._mirror.servers():
            since_ms, day_ago_ms = shared.since_ms(), _now_ms() - LOOK_AROUND_MS
            corrections = corrections_in_use(self._mirror.ahead_ms(server), since_ms=since_ms, now_ms=_now_ms())
            if since_ms is not None:
                since_ms += min([0, *corrections.values()])  # the server's clock, which may be behind, names the logs
            from_ms = None if since_ms is None else min(since_ms, day_ago_ms)
            names, newest = await shared.work(self._mirror.overview, server, from_ms)
            if newest is not None:
                shared.mirrored[server] = newest
            shown = set(in_window(names, since_ms))
            known = [self._mirror.path(name) for name in in_window(names, day_ago_ms) if name not in shown]
            await shared.work(self._table.load_identities, known)
            for name in names:
                if name not in shown:
                    shared.held[name.stem] = MirroredLog(name=name, bytes=size(self._mirror.path(name)))
                    continue
                taken = await shared.work(shared.loader.read_back, name, ahead_ms=corrections.get(name.stem, 0))
                shared.held[name.stem] = taken.held
                self._read_back_counts += taken.counts
        self._reading_back = False

    async def _drop_old(self, shared: FollowerContext) -> None:
        dropped_before_ms = 0
        while (since_ms := shared.since_ms()) is not None:
            if since_ms < dropped_before_ms - CLOCK_MARGIN_MS:
                self.begins_ms = _now_ms()
                log.warning("this machine's clock was set back; messages received before now are read from the logs")
            # Only a wrong clock dates messages so far ahead. They would come back as present ones when the clock has caught up.
            await shared.work(self._table.drop_outside, since_ms, _now_ms() + HOUR_MS)
            dropped_before_ms = since_ms
            await asyncio.sleep(DROP_EVERY_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
