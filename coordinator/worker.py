"""One worker: it puts together its counters, keys, carriers and folders, and serves with them in one event loop."""

import asyncio
import contextlib
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette

from coordinator.carriers.http_carrier import HttpCarrier
from coordinator.carriers.outbox import Outbox
from coordinator.http.answers import Answers
from coordinator.http.app import build_app
from coordinator.http.connection_limits import ConnectionLimits, connection_limits, raise_limit
from coordinator.http.exposition import Exposition
from coordinator.http.feedback_handler import FeedbackHandler
from coordinator.ingest_keys import IngestKeys, read_terms
from coordinator.out_of_memory import handle_exception
from coordinator.settings import Settings
from coordinator.shared_counters import CounterPage, SharedCounters
from coordinator.worker_counters import WorkerCounters
from coordinator.worker_folders import WorkerFolders
from coordinator.worker_metrics import WorkerMetrics
from coordinator.worker_server import WorkerServer
from feedback_wire.kinds import RecordKind
from serving.lifecycle import CannotStart, ignore_reload, on_reload
from serving.tls import Tls

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """One of the coordinator's workers: its number from 0, and how many there are."""

    number: int = 0
    workers: int = 1
    counters: SharedCounters | None = None
    """None for a single worker."""


def serve(settings: Settings, listener: socket.socket, slot: WorkerSlot, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. Returns when all answers are written, at the latest STOP_S after the signal."""
    connections: set[Any] = set()
    tls = settings.tls()
    if slot.number == 0:
        tls.warn_of_expiry()
    folders = WorkerFolders(settings, number=slot.number, workers=slot.workers)

    ignore_reload()
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

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with _working(settings, slot, folders, tls, connections, limits) as state:
            yield state

    server = WorkerServer(build_app(lifespan), folders, tls, on_ready)
    # The objects made so far live until the end, and later ones rarely form cycles. The collector need not look at them often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    server.server_state.connections = connections
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


@contextlib.asynccontextmanager
async def _working(
    settings: Settings, slot: WorkerSlot, folders: WorkerFolders, tls: Tls, connections: set[Any], limits: ConnectionLimits
) -> AsyncIterator[dict[str, Any]]:
    """Start the worker's parts and stop them again; yields the state that the app and the protocol use."""
    counters = WorkerCounters()
    keys = IngestKeys(read_terms(settings.key, settings.keys), workers=slot.workers)
    carriers = {
        kind: {url.geturl(): HttpCarrier(url, settings.token, lambda: tls.link, kind) for url in settings.servers}
        for kind in RecordKind
    }
    quarantine = folders.quarantine
    page = slot.counters.pages[slot.number] if slot.counters is not None else None
    publish = _publisher(page, counters) if page is not None else lambda: None
    outboxes = {
        kind: Outbox(carriers[kind], folders.spools.get(kind), settings.policy, counters, lambda: tls.link, publish)
        for kind in RecordKind
    }
    handler = FeedbackHandler(settings, keys, outboxes, quarantine, counters, Answers(), connection_limits=limits)
    metrics = WorkerMetrics(
        counters=counters,
        outboxes=outboxes,
        keys=keys,
        sliced_work=handler.sliced_work,
        quarantine=quarantine,
        connections=connections,
        shared=slot.counters,
        page=page,
    )
    async with contextlib.AsyncExitStack() as stack:
        for outbox in outboxes.values():
            stack.push_async_callback(outbox.close)
        if quarantine is not None:
            stack.callback(quarantine.close)
        for carrier in (each for links in carriers.values() for each in links.values()):
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
