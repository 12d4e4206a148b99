"""The master as one process. Its event loop answers requests, and does due work ten times a second."""

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import cast

import uvloop

from feedback_wire.problem import Problem
from measurement.master.agent_membership import AgentMembership
from measurement.master.command_streams import CommandStreams
from measurement.master.dispatcher import Dispatcher
from measurement.master.kept_requests import KeptRequests
from measurement.master.live_request import RequestState
from measurement.master.master_application import master_application
from measurement.master.master_context import MasterContext
from measurement.master.measurement_keys import MeasurementKeys, read_measurement_keys
from measurement.master.measurements_route import measurements_url
from measurement.master.operation_journal import OperationJournal
from measurement.master.record_forwarding import RecordForwarder
from measurement.master.requester_limits import RequesterLimits
from measurement.master.settings import Settings
from measurement.master.target_rules import DestinationBudgets
from serving.handshakes import TlsAcceptor
from serving.lifecycle import CannotStart, announce_ready, ignore_reload, on_reload, open_listener
from serving.limited_connection import REQUEST_S, LimitedConnection
from serving.listening import url_of
from serving.memory import end_loop_without_memory
from serving.open_files import most_connections
from serving.signalled_server import SignalledServer, plain_config
from serving.threads import started_pool
from serving.tls import ListenerTls

log = logging.getLogger(__name__)

BACKLOG = 1024
_STOP_S = 3
_TICKS_A_SECOND = 10
_TIDY_TICKS = 600
_OWN_FILES = 64
_LEAST_CONNECTIONS = 16
_MOST_CONNECTIONS = 8192
"""The most connections. An agent has one for its commands and one for its messages."""
_UNREAD_MS = 30_000
"""A connection without any acknowledgement for this time is half-open, and is closed."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; CannotStart if the folder or the address cannot be used."""
    ignore_reload()
    try:
        tls = settings.tls()
        most = most_connections(_MOST_CONNECTIONS, own_files=_OWN_FILES, least=_LEAST_CONNECTIONS, server="measurement master")
        listener = _listen(settings.listen)
        journal = OperationJournal(settings.data, most_bytes=settings.most_record_bytes)
        threads, planner = started_pool(2, "records"), started_pool(1, "planner")
        try:
            uvloop.run(_serve(settings, journal, threads, planner, listener, tls, most))
        finally:
            planner.shutdown(cancel_futures=True)
            threads.shutdown()
            journal.close()
    except OSError as error:
        raise CannotStart(f"--data cannot be used: {error}" if error.errno else str(error)) from error


async def _serve(
    settings: Settings,
    journal: OperationJournal,
    threads: Executor,
    planner: Executor,
    listener: socket.socket,
    tls: ListenerTls,
    most: int,
) -> None:
    end_loop_without_memory(asyncio.get_running_loop(), "swarmscope measurement-master")
    try:
        context = _context(settings, journal, threads, planner)
        context.forwarder = _forwarder(settings, journal)
    except ValueError as error:
        raise CannotStart(str(error)) from error
    async with contextlib.AsyncExitStack() as stack:
        if context.forwarder is not None:
            forwarding = asyncio.create_task(context.forwarder.run())
            stack.callback(context.forwarder.close)
            stack.callback(forwarding.cancel)
        await MasterServer(context, tls, most).serve(sockets=[listener])


def _forwarder(settings: Settings, journal: OperationJournal) -> RecordForwarder | None:
    if not settings.coordinator:
        return None
    url, key = measurements_url(settings.coordinator), settings.read_ingest_key()
    return RecordForwarder(journal, url, started_pool(1, "forwarder"), key)


def _context(settings: Settings, journal: OperationJournal, threads: Executor, planner: Executor) -> MasterContext:
    timers, streams, kept = settings.timers(), CommandStreams(), KeptRequests(settings.data)
    dispatcher = Dispatcher(
        membership=AgentMembership(secrets.token_hex(4), timers.master_s),
        budgets=DestinationBudgets(packets=settings.destination_packets, bytes=settings.destination_bytes),
        clock=time.monotonic,
        wall_ms=_wall_ms,
        send=streams.send,
        write=journal.append,
        stopped=kept.stopped(),
    )
    back_s = time.monotonic() + timers.master_s + 2 * timers.reconnect_s
    requests, place = kept.restored(time.monotonic(), _wall_ms(), start_s=back_s)
    dispatcher.restore(requests, journal.lines_from(place), back_s)
    journal.needed_from = place.segment
    for live in requests:
        if live.state is RequestState.LOST:
            log.error(
                "the request %s of %s is lost, because the master restarted; submit it again", live.request_id, live.requester
            )
    return MasterContext(
        settings=settings,
        timers=timers,
        dispatcher=dispatcher,
        streams=streams,
        keys=_keys(settings),
        limits=RequesterLimits(settings.data / "requesters.json", settings.request_every_s, time.monotonic, time.time),
        journal=journal,
        kept=kept,
        threads=threads,
        planner=planner,
        monotonic=time.monotonic,
    )


def _keys(settings: Settings) -> MeasurementKeys:
    return MeasurementKeys(read_measurement_keys(settings.keys) if settings.keys is not None else ())


class _MasterAcceptor(TlsAcceptor[LimitedConnection]):
    """Accepts TLS connections of clients and agents."""

    def __init__(self, listener: socket.socket, tls: ListenerTls, make: Callable[[], LimitedConnection], most: int) -> None:
        self._make, self._most = make, most
        super().__init__(listener, tls, backlog=BACKLOG, handshake_s=REQUEST_S)

    def admit(self, handshakes: int) -> LimitedConnection | None:
        connection = self._make()
        return connection if len(connection.connections) + handshakes < self._most else None

    def count_failure(self, connection: LimitedConnection) -> None:
        """uvicorn has not counted it yet."""


class MasterServer(SignalledServer):
    """uvicorn with a ready line and a tick for due work."""

    def __init__(self, context: MasterContext, tls: ListenerTls, most: int) -> None:
        super().__init__(plain_config(master_application(context), idle_s=75, stop_s=_STOP_S))
        self._context, self._tls, self._most = context, tls, most

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._tls.warn_of_expiry()
        await super().startup(sockets=[])
        for listener in sockets or ():
            self.servers.append(await self._accept(listener))
        on_reload(self._reload)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            announce_ready("measurement-master", url_of(host, port, secure=self._tls.listener is not None))

    async def on_tick(self, counter: int) -> bool:
        context = self._context
        begun = context.dispatcher.rounds_begun
        context.dispatcher.tick()
        await context.do_parts()
        if counter % _TICKS_A_SECOND == 0:
            self._second()
        if counter % _TICKS_A_SECOND == 0 or context.dispatcher.rounds_begun > begun:
            await self._save()
        if counter % _TIDY_TICKS == 0:
            context.dispatcher.forget_old()
        return await super().on_tick(counter)

    def _second(self) -> None:
        """Close the streams of lost agents and slow connections."""
        context, now_s = self._context, asyncio.get_running_loop().time()
        context.dispatcher.expire_queues()
        for agent in context.streams.agents() - set(context.dispatcher.membership.members):
            context.streams.close(agent)
        for connection in list(self.server_state.connections):
            cast("LimitedConnection", connection).sweep(now_s)

    async def _save(self) -> None:
        """Save the open operations for a restart."""
        try:
            await self._context.save_requests()
        except Problem as problem:
            log.warning("the list of requests cannot be written: %s", problem.detail)

    def _reload(self) -> None:
        self._tls.renew()
        try:
            self._context.keys = _keys(self._context.settings)
        except ValueError as error:
            log.warning("the former keys stay in use: %s", error)

    async def _accept(self, listener: socket.socket) -> asyncio.Server:
        if self._tls.listener is not None:
            return cast("asyncio.Server", _MasterAcceptor(listener, self._tls, self._connection, self._most))
        return await asyncio.get_running_loop().create_server(self._connection, sock=listener, backlog=BACKLOG)

    def _connection(self) -> LimitedConnection:
        return LimitedConnection(self.config, self.server_state, most=self._most, refused=self._context.refused)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        context = self._context
        context.stopping.set()
        with contextlib.suppress(Problem):
            await context.save_requests()
        for live in context.dispatcher.requests.values():
            live.notify()
        context.streams.close_all()
        await super().shutdown(sockets)


def _listen(listen: str) -> socket.socket:
    listener = open_listener(listen, backlog=BACKLOG)
    with contextlib.suppress(OSError):  # connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    return listener


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
