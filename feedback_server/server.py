"""A feedback server as one process: the event loop answers requests, one thread writes, and one thread seals.

An orderly stop refuses new requests, answers the current ones, closes the journal and seals everything, in this order. After a
kill, the next start completes the work.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import cast

import uvloop

from feedback_server.connection import HEAD_S, IDLE_S, LINGER_S, MOST_CONNECTIONS, ClientConnection, sweep
from feedback_server.http_api import HttpApi, application
from feedback_server.record_store import RecordStore, open_stores
from feedback_server.settings import Settings
from feedback_wire.kinds import RecordKind
from serving.handshakes import TlsAcceptor
from serving.lifecycle import CannotStart, announce_ready, ignore_reload, on_reload, open_listener
from serving.listening import url_of
from serving.memory import end_loop_without_memory
from serving.open_files import most_connections
from serving.signalled_server import SignalledServer, plain_config
from serving.threads import started_pool
from serving.tls import ListenerTls

log = logging.getLogger(__name__)

BACKLOG = 2048

# Half of the 10 s after which supervisors kill; the other half is for sealing.
_ANSWERS_WITHIN_S = 5
_TICKS_A_SECOND = 10
# File descriptors for journals, for sealing, and for Python and uvloop themselves.
_OWN_FILES = 64
# For some coordinators, some monitoring platforms, and clients of /metrics.
_LEAST_CONNECTIONS = 8
# Threads that wait for the disk; more of them would only wait for each other.
_READERS = 6
# The part of a download that may wait unsent in the kernel. With megabytes, a slow reader would be noticed only after minutes.
_UNSENT_BYTES = 128 * 1024


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; CannotStart if the folder or the address cannot be used."""
    ignore_reload()
    try:
        tls = settings.tls()
        most = _most_connections()
        listener = _listen(settings.listen)
        stores = open_stores(settings)
    except OSError as error:
        raise CannotStart(f"--data cannot be used: {error}" if error.errno else str(error)) from error
    uvloop.run(_serve(settings, stores, listener, tls, most))


async def _serve(
    settings: Settings, stores: dict[RecordKind, RecordStore], listener: socket.socket, tls: ListenerTls, most: int
) -> None:
    end_loop_without_memory(asyncio.get_running_loop(), "swarmscope feedback-server")
    readers = started_pool(_READERS, "readers")
    api = HttpApi(settings=settings, stores=stores, readers=readers)
    for store in stores.values():
        store.start()
    try:
        await _HttpServer(api, tls, most=most).serve(sockets=[listener])
    finally:
        # In this thread: there may be no memory for another one, and the loop has nothing else to do.
        for store in stores.values():
            store.stop()
        readers.shutdown()


class _ClientAcceptor(TlsAcceptor[ClientConnection]):
    """Accepts TLS connections of coordinators and monitoring platforms."""

    def __init__(self, listener: socket.socket, tls: ListenerTls, make_connection: Callable[[], ClientConnection]) -> None:
        self._make_connection = make_connection
        super().__init__(listener, tls, backlog=BACKLOG, handshake_s=HEAD_S, shutdown_s=LINGER_S)

    def admit(self, handshakes: int) -> ClientConnection | None:
        connection = self._make_connection()
        if connection.may_open(handshakes=handshakes):
            return connection
        connection.count_refusal()
        return None

    def count_failure(self, connection: ClientConnection) -> None:
        connection.counters.refused["tls_handshake"] += 1


class _HttpServer(SignalledServer):
    """uvicorn with a ready line, a sweep of all connections, and an end of long polls at the stop."""

    def __init__(self, api: HttpApi, tls: ListenerTls, *, most: int) -> None:
        super().__init__(plain_config(application(api), idle_s=IDLE_S, stop_s=_ANSWERS_WITHIN_S))
        self._api = api
        self._tls = tls
        self._most = most

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._tls.warn_of_expiry()
        await super().startup(sockets=[])  # uvicorn would create connections without limits
        for listener in sockets or ():
            self.servers.append(await self._accept(listener))
        on_reload(self._tls.renew)
        for listener in sockets or ():
            announce_ready("feedback-server", _url(listener, self._tls))

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            sweep(self.server_state, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def _accept(self, listener: socket.socket) -> asyncio.Server:
        if self._tls.listener is not None:
            return cast("asyncio.Server", _ClientAcceptor(listener, self._tls, self._connection))
        return await asyncio.get_running_loop().create_server(self._connection, sock=listener, backlog=BACKLOG)

    def _connection(self) -> ClientConnection:
        return ClientConnection(self.config, self.server_state, self._api.counters, most=self._most)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._api.stopping.set()
        for store in self._api.stores.values():
            store.offered.end_waits()
        await super().shutdown(sockets)


def _listen(listen: str) -> socket.socket:
    listener = open_listener(listen, backlog=BACKLOG)
    with contextlib.suppress(OSError):  # connections inherit it; without it, slow readers are noticed later
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    return listener


def _most_connections() -> int:
    """The largest number of connections. Each one needs two file descriptors for a download; journals need their own."""
    least = _LEAST_CONNECTIONS
    return most_connections(MOST_CONNECTIONS, own_files=_OWN_FILES, least=least, server="feedback server", files_each=2)


def _url(listener: socket.socket, tls: ListenerTls) -> str:
    host, port = listener.getsockname()[:2]
    return url_of(host, port, secure=tls.listener is not None)
