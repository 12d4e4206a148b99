"""One worker: an event loop with the listening side, the carriers, and its own folder of the spool."""

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
from coordinator.http.answers import Answers
from coordinator.http.app import build_app
from coordinator.http.connection_limits import connection_limits, raise_limit
from coordinator.http.exposition import Exposition
from coordinator.http.feedback_handler import FeedbackHandler
from coordinator.http.feedback_protocol import FeedbackProtocol
from coordinator.ingest_keys import IngestKeys, read_terms
from coordinator.out_of_memory import handle_exception
from coordinator.quarantine import Quarantine
from coordinator.settings import Settings
from coordinator.shared_counters import CounterPage, SharedCounters
from coordinator.worker_counters import WorkerCounters
from coordinator.worker_metrics import WorkerMetrics
from serving.handshakes import TlsAcceptor
from serving.lifecycle import STOP_SIGNALS, CannotStart, on_reload
from serving.tls import Tls

REQUEST_S = 30
"""A request that has not arrived completely by then is refused."""

HANDSHAKE_S = float(REQUEST_S)
BACKLOG = 4096

IDLE_S = 90
"""End hosts report every 30 s; a connection that missed two reports is closed."""

SWEEP_S = 5
STOP_S = 8
"""Time for the answers that are owed when the coordinator stops: less than the 10 s after which supervisors kill."""

_TICKS_A_SECOND = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """One of the coordinator's workers: its number from 0, and how many there are."""

    number: int = 0
    workers: int = 1
    counters: SharedCounters | None = None
    """None for a single worker."""


class EndHostAcceptor(TlsAcceptor[FeedbackProtocol]):
    """Accepts TLS connections of end hosts."""

    def __init__(self, listener: socket.socket, tls: Tls, make_protocol: Callable[[], FeedbackProtocol]) -> None:
        self._make_protocol = make_protocol
        super().__init__(listener, tls, backlog=BACKLOG, handshake_s=HANDSHAKE_S)

    def admit(self, handshakes: int) -> FeedbackProtocol | None:
        protocol = self._make_protocol()
        limits = protocol.handler.connection_limits
        if len(protocol.connections) + handshakes < limits.serving + limits.refusing:
            return protocol
        protocol.handler.counters.connections_dropped += 1
        return None

    def count_failure(self, connection: FeedbackProtocol) -> None:
        connection.handler.counters.handshakes_failed += 1


class _Server(uvicorn.Server):
    """uvicorn with a call when it is ready, and with sweeps over the connections, which have no timers of their own."""

    def __init__(self, config: uvicorn.Config, stores: "_Stores", tls: Tls, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._stores = stores
        self._tls = tls
        self._on_ready = on_ready

    @property
    def handler(self) -> FeedbackHandler:
        handler: FeedbackHandler = self.lifespan.state["handler"]
        return handler

    @property
    def metrics(self) -> WorkerMetrics:
        metrics: WorkerMetrics = self.lifespan.state["metrics"]
        return metrics

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            self._stores.open()  # not in the lifespan: uvicorn would log an unusable folder with a traceback
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
        self.metrics.publish()
        if counter % _TICKS_A_SECOND == 0:
            self._second()
        if counter % (SWEEP_S * _TICKS_A_SECOND) == 0:
            for connection in list(self.server_state.connections):
                connection.sweep(self.handler.seconds, request_s=REQUEST_S, idle_s=IDLE_S)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    def _second(self) -> None:
        self.metrics.publish_keys()
        if self.handler.tick(time.monotonic(), time.time()):
            for connection in self.server_state.connections:
                connection.drop_prefix()  # type: ignore[union-attr]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.handler.stopping = True
        await super().shutdown(sockets)


class _Stores:
    """This worker's spool folder and quarantine files, each with its share of the maximum size."""

    spool: SpoolCarrier | None = None
    quarantine: Quarantine | None = None

    def __init__(self, settings: Settings, slot: WorkerSlot) -> None:
        self._settings = settings
        self._slot = slot

    def open(self) -> None:
        """OSError if a folder cannot be used."""
        settings, slot = self._settings, self._slot
        if settings.spool_max_bytes:
            stranded = _stranded(settings.spool, slot)
            self.spool = SpoolCarrier(settings.spool / f"worker-{slot.number}", settings.spool_max_bytes // slot.workers, stranded)
        if settings.quarantine_folder is not None:
            stem = f"{settings.name}-{slot.number}"
            self.quarantine = Quarantine(settings.quarantine_folder, stem, settings.quarantine_max_bytes // slot.workers)


def _stranded(spool: Path, slot: WorkerSlot) -> list[Path]:
    """Spool folders of workers that no longer exist. Each is taken over by one of the existing workers."""
    numbers = (path.name.removeprefix("worker-") for path in spool.glob("worker-*"))
    gone = sorted(int(number) for number in numbers if number.isascii() and number.isdigit() and int(number) >= slot.workers)
    return [spool / f"worker-{number}" for number in gone if number % slot.workers == slot.number]


def serve(settings: Settings, listener: socket.socket, slot: WorkerSlot, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. Returns when all owed answers are written, at the latest STOP_S after the signal."""
    connections: set[Any] = set()
    tls = settings.tls()
    if slot.number == 0:
        tls.warn_of_expiry()
    stores = _Stores(settings, slot)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with _working(settings, slot, stores, tls, connections) as state:
            state["handler"].connection_limits = limits
            yield state

    signal.signal(signal.SIGHUP, lambda *_: None)  # ignored until the keys are loaded
    descriptors = raise_limit()
    try:
        limits = connection_limits(settings.connections_max, descriptors=descriptors, servers=len(settings.servers))
    except OSError as error:
        raise CannotStart(str(error)) from error
    if slot.number == 0 and limits.serving < settings.connections_max:
        _log.warning(
            "connections: at most %d for each worker, not %d; the limit of open files is %d",
            *(limits.serving, settings.connections_max, descriptors),
        )
    config = _config(lifespan)
    config.load()
    server = _Server(config, stores, tls, on_ready)
    # The objects made so far live until the end, and later ones rarely form cycles. The collector need not look at them often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    server.server_state.connections = connections
    # After its end uvicorn raises the signal again for the handler that was installed before. This one makes it a normal end.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


@contextlib.asynccontextmanager
async def _working(
    settings: Settings, slot: WorkerSlot, stores: _Stores, tls: Tls, connections: set[Any]
) -> AsyncIterator[dict[str, Any]]:
    """Start the worker's parts and stop them again; yields the state that the app and the protocol use."""
    counters = WorkerCounters()
    keys = IngestKeys(read_terms(settings.key, settings.keys), workers=slot.workers)
    carriers = {url.geturl(): HttpCarrier(url, settings.token, lambda: tls.link) for url in settings.servers}
    quarantine = stores.quarantine
    page = slot.counters.pages[slot.number] if slot.counters is not None else None
    publish = _publisher(page, counters) if page is not None else lambda: None
    outbox = Outbox(carriers, stores.spool, settings.policy, counters, lambda: tls.link, publish)
    handler = FeedbackHandler(settings, keys, outbox, quarantine, counters, Answers())
    metrics = WorkerMetrics(
        counters=counters,
        outbox=outbox,
        keys=keys,
        sliced_work=handler.sliced_work,
        quarantine=quarantine,
        connections=connections,
        shared=slot.counters,
        page=page,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(outbox.close)
        if quarantine is not None:
            stack.callback(quarantine.close)
        for carrier in carriers.values():
            stack.callback(carrier.close)
        stack.callback(handler.sliced_work.close)
        asyncio.get_running_loop().set_exception_handler(handle_exception)
        on_reload(partial(_reload, settings, tls, handler))
        exposition = Exposition(metrics.total, settings.metrics_token, insecure=settings.insecure)
        yield {"handler": handler, "metrics": metrics, "exposition": exposition}


def _publisher(page: CounterPage, counters: WorkerCounters) -> Callable[[], None]:
    """The function that the outbox calls before it acknowledges messages as durable."""
    page.begin_process()
    return lambda: page.publish(counters)


def _reload(settings: Settings, tls: Tls, handler: FeedbackHandler) -> None:
    """On SIGHUP: read the files of keys and certificates again. An unusable file changes nothing."""
    try:
        handler.change_keys(read_terms(settings.key, settings.keys))
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
