"""One worker: an event loop with the intake, the outbox and its own folder of the spool."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette

from coordinator.carriers.http_carrier import HttpCarrier
from coordinator.carriers.outbox import Outbox
from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.counters import Counters
from coordinator.http.answers import Answers
from coordinator.http.app import build_app
from coordinator.http.connection_limits import connection_limits, raise_limit
from coordinator.http.feedback_protocol import FeedbackProtocol
from coordinator.http.metrics import Exposition
from coordinator.http.reception import Reception
from coordinator.keys import Keys, read_terms
from coordinator.out_of_memory import handle_exception
from coordinator.quarantine import Quarantine
from coordinator.settings import Settings
from coordinator.shared_counters import Page, SharedCounters
from coordinator.worker_metrics import WorkerMetrics
from serving.handshakes import TlsAcceptor
from serving.lifecycle import STOP_SIGNALS, CannotStart, on_reload
from serving.tls import Tls

REQUEST_S = 30
"""A request that has not come whole by then is refused."""

HANDSHAKE_S = float(REQUEST_S)
BACKLOG = 4096

IDLE_S = 90
"""End hosts report every 30 s; a connection that missed two reports is given up."""

SWEEP_S = 5
STOP_S = 8
"""For the answers that are owed when the coordinator stops: below the 10 s after which supervisors kill."""

_TICKS_A_SECOND = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker stands among the workers."""

    number: int = 0
    of: int = 1
    books: SharedCounters | None = None
    """Where the workers note what they count; None for a single one."""


class EndHostAcceptor(TlsAcceptor[FeedbackProtocol]):
    """Accepts TLS connections of end hosts."""

    def __init__(self, listener: socket.socket, tls: Tls, make_protocol: Callable[[], FeedbackProtocol]) -> None:
        self._make_protocol = make_protocol
        super().__init__(listener, tls, backlog=BACKLOG, handshake_s=HANDSHAKE_S)

    def admit(self, handshakes: int) -> FeedbackProtocol | None:
        protocol = self._make_protocol()
        limits = protocol.reception.connection_limits
        if len(protocol.connections) + handshakes < limits.serving + limits.refusing:
            return protocol
        protocol.reception.counters.connections_dropped += 1
        return None

    def count_failure(self, connection: FeedbackProtocol) -> None:
        connection.reception.counters.handshakes_failed += 1


class _Server(uvicorn.Server):
    """uvicorn, which says when it is ready and whose connections are swept, since they have no timers of their own."""

    def __init__(self, config: uvicorn.Config, stores: "_Stores", tls: Tls, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._stores = stores
        self._tls = tls
        self._on_ready = on_ready

    @property
    def reception(self) -> Reception:
        reception: Reception = self.lifespan.state["reception"]
        return reception

    @property
    def counting(self) -> WorkerMetrics:
        counting: WorkerMetrics = self.lifespan.state["counting"]
        return counting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            self._stores.open()  # not in the lifespan: uvicorn would tell a folder that cannot be used with a traceback
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.errno else error  # without Python's number for it
            raise CannotStart(f"--spool or --quarantine cannot be used: {why}") from None
        if self._tls.listener is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self.servers += [cast("asyncio.Server", EndHostAcceptor(each, self._tls, self._protocol)) for each in sockets or ()]
        self._on_ready()

    def _protocol(self) -> FeedbackProtocol:
        return FeedbackProtocol(self.config, self.server_state, self.lifespan.state)

    async def on_tick(self, counter: int) -> bool:
        self.counting.note()
        if counter % _TICKS_A_SECOND == 0:
            self._second()
        if counter % (SWEEP_S * _TICKS_A_SECOND) == 0:
            for connection in list(self.server_state.connections):
                connection.sweep(self.reception.seconds, request_s=REQUEST_S, idle_s=IDLE_S)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    def _second(self) -> None:
        self.counting.note_keys()
        if self.reception.tick(time.monotonic(), time.time()):
            for connection in self.server_state.connections:
                connection.forget_prefix()  # type: ignore[union-attr]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.reception.stopping = True
        await super().shutdown(sockets)


class _Stores:
    """This worker's folder of the spool and its files in the quarantine, each with its share of the room."""

    spool: SpoolCarrier | None = None
    quarantine: Quarantine | None = None

    def __init__(self, settings: Settings, place: Place) -> None:
        self._settings = settings
        self._place = place

    def open(self) -> None:
        """OSError if a folder cannot be used."""
        settings, place = self._settings, self._place
        if settings.spool_max_bytes:
            stranded = _stranded(settings.spool, place)
            self.spool = SpoolCarrier(settings.spool / f"worker-{place.number}", settings.spool_max_bytes // place.of, stranded)
        if settings.quarantine_folder is not None:
            stem = f"{settings.name}-{place.number}"
            self.quarantine = Quarantine(settings.quarantine_folder, stem, settings.quarantine_max_bytes // place.of)


def _stranded(spool: Path, place: Place) -> list[Path]:
    """The folders of workers that there are no more; each is left to one of those that there are."""
    numbers = (path.name.removeprefix("worker-") for path in spool.glob("worker-*"))
    gone = sorted(int(number) for number in numbers if number.isascii() and number.isdigit() and int(number) >= place.of)
    return [spool / f"worker-{number}" for number in gone if number % place.of == place.number]


def serve(settings: Settings, listener: socket.socket, place: Place, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; returns when what was owed then is answered, at the latest after STOP_S."""
    connections: set[Any] = set()
    tls = settings.tls()
    if place.number == 0:
        tls.warn_of_expiry()
    stores = _Stores(settings, place)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with _working(settings, place, stores, tls, connections) as state:
            state["reception"].connection_limits = limits
            yield state

    signal.signal(signal.SIGHUP, lambda *_: None)  # until there is something to reload
    descriptors = raise_limit()
    try:
        limits = connection_limits(settings.connections_max, descriptors=descriptors, servers=len(settings.servers))
    except OSError as error:
        raise CannotStart(str(error)) from error
    if place.number == 0 and limits.serving < settings.connections_max:
        _log.warning(
            "connections: at most %d for each worker, not %d; the limit of open files is %d",
            *(limits.serving, settings.connections_max, descriptors),
        )
    config = _config(lifespan)
    config.load()
    server = _Server(config, stores, tls, on_ready)
    # What is there now stays; of what comes, almost nothing is left to the collector, which would look through all of it often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    server.server_state.connections = connections
    # uvicorn raises the signal that stopped it once more for whoever had a handler before; ours makes that a normal end.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


@contextlib.asynccontextmanager
async def _working(
    settings: Settings, place: Place, stores: _Stores, tls: Tls, connections: set[Any]
) -> AsyncIterator[dict[str, Any]]:
    """The worker's parts, alive; what the app and the protocol see of them."""
    counters = Counters()
    keys = Keys(read_terms(settings.key, settings.keys), workers=place.of)
    links = {url.geturl(): HttpCarrier(url, settings.token, lambda: tls.link) for url in settings.servers}
    quarantine = stores.quarantine
    page = place.books.pages[place.number] if place.books is not None else None
    note_events = _opened(page, counters) if page is not None else lambda: None
    outbox = Outbox(links, stores.spool, settings.policy, counters, lambda: tls.link, note_events)
    reception = Reception(settings, keys, outbox, quarantine, counters, Answers())
    counting = WorkerMetrics(
        counters=counters,
        outbox=outbox,
        keys=keys,
        sliced_work=reception.sliced_work,
        quarantine=quarantine,
        connections=connections,
        books=place.books,
        page=page,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(outbox.close)
        if quarantine is not None:
            stack.callback(quarantine.close)
        for link in links.values():
            stack.callback(link.close)
        stack.callback(reception.sliced_work.close)
        asyncio.get_running_loop().set_exception_handler(handle_exception)
        on_reload(partial(_reload, settings, tls, reception))
        exposition = Exposition(counting.total, settings.metrics_token, insecure=settings.insecure)
        yield {"reception": reception, "counting": counting, "exposition": exposition}


def _opened(page: Page, counters: Counters) -> Callable[[], None]:
    """What the outbox calls before it says that something is durable."""
    page.open()
    return lambda: page.note(counters)


def _reload(settings: Settings, tls: Tls, reception: Reception) -> None:
    """On SIGHUP: what stands in files may have changed. A file that cannot be used changes nothing."""
    try:
        reception.change_keys(read_terms(settings.key, settings.keys))
    except ValueError as error:
        _log.warning("the former keys stay in force: %s", error)
    tls.renew()


def _config(lifespan: Any) -> uvicorn.Config:  # noqa: ANN401 — Starlette's Lifespan
    return uvicorn.Config(
        build_app(lifespan),
        http=FeedbackProtocol,
        ws="none",
        lifespan="on",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_S,
    )
