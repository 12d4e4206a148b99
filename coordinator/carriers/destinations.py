"""The feedback servers: which one gets a message, and which ones are out of use because they failed."""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Mapping

import aiohttp

from coordinator import placement
from coordinator.carriers.background_tasks import BackgroundTasks
from coordinator.carriers.batch import Carrier
from coordinator.carriers.lane import Lane
from coordinator.settings import PolicyName
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind
from feedback_wire.routes import READY

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0
PROBE_S = 2.0

_log = logging.getLogger(__name__)


def pause_s(failures: int, roll: float) -> float:
    """How long to wait before a server is probed after so many failures in a row.

    `roll` from [0, 1) makes coordinators that lost the same server come back at different times.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(failures, 10)))
    return FIRST_PAUSE_S + roll * (longest - FIRST_PAUSE_S)


class Destination:
    """A feedback server as this coordinator sees it."""

    def __init__(self, url: str, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.lane = Lane(carrier, loop)
        self.up = True
        self.failures = 0


class Destinations:
    """All feedback servers of one worker."""

    def __init__(
        self,
        carriers: Mapping[str, Carrier],
        policy: PolicyName,
        tasks: BackgroundTasks,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.all = [Destination(url, carrier, loop) for url, carrier in carriers.items()]
        self.up: list[Destination] = []
        self.some_up = asyncio.Event()
        self.by_end_host = policy == "by-peer"
        self._tasks = tasks
        self._tls = tls
        self._turn = 0
        choosers = {
            "round-robin": self._round_robin,
            "random": self._at_random,
            "least-pending": self._least_pending,
            "by-peer": self.by_peer,
        }
        self.choose = choosers[policy]
        """The server that gets a message of this end host. At least one server must be up."""
        self._refresh()

    def by_peer(self, peer_id: str) -> Destination:
        return self.up[placement.by_peer(peer_id, [destination.url for destination in self.up])]

    def least_busy(self) -> Lane:
        return min(self.up, key=lambda destination: destination.lane.pending).lane

    def exclude(self, destination: Destination, at_least_s: float) -> None:
        """Send nothing to a failing server until it is ready again, which is probed after `at_least_s` at the earliest."""
        destination.up = False
        destination.failures += 1
        self._refresh()
        self._tasks.start(self._use_again(destination, at_least_s))

    def set_gauges(self, counters: WorkerCounters, kind: RecordKind) -> None:
        """A server may be up for one kind of messages only: an earlier version refuses kinds that it does not know."""
        for destination in self.all:
            setattr(counters.servers[destination.url], f"up_{kind}", int(destination.up))

    def _round_robin(self, _peer_id: str) -> Destination:
        self._turn += 1
        return self.up[placement.round_robin(len(self.up), self._turn)]

    def _at_random(self, _peer_id: str) -> Destination:
        return self.up[placement.at_random(len(self.up), random.random())]  # noqa: S311 — no secret

    def _least_pending(self, _peer_id: str) -> Destination:
        self._turn += 1
        return self.up[placement.least_pending([destination.lane.pending for destination in self.up], self._turn)]

    def _refresh(self) -> None:
        self.up = [destination for destination in self.all if destination.up]
        if self.up:
            self.some_up.set()
        else:
            self.some_up.clear()

    async def _use_again(self, destination: Destination, at_least_s: float) -> None:
        """Probe with growing pauses until the server is ready. Only a stored batch makes the pauses short again."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_S)) as session:
            while True:
                await asyncio.sleep(max(at_least_s, pause_s(destination.failures, random.random())))  # noqa: S311 — no secret
                if await _is_ready(session, destination.url, self._tls() if self._tls else None):
                    break
                destination.failures += 1
        _log.warning("feedback server %s is used again", destination.url)
        destination.up = True
        self._refresh()


async def _is_ready(session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None) -> bool:
    """Whether a feedback server answers `ready`; a 200 with another first line comes from something in front of it."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):  # ValueError: the first line does not end
        async with session.get(url.rstrip("/") + READY, ssl=tls or True, allow_redirects=False) as answer:
            return answer.status == 200 and await answer.content.readline() == b"ready\n"
    return False
