"""The HTTP server of one worker: it accepts the connections of end hosts, and does the regular work of each second."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import ClassVar, cast

import uvicorn
from starlette.applications import Starlette

from coordinator.http.feedback_handler import FeedbackHandler
from coordinator.http.feedback_protocol import FeedbackProtocol
from coordinator.worker_folders import WorkerFolders
from coordinator.worker_metrics import WorkerMetrics
from serving.handshakes import TlsAcceptor
from serving.lifecycle import CannotStart
from serving.signalled_server import SignalledServer
from serving.tls import Tls

REQUEST_S = 30
"""A request that has not arrived completely by then is refused."""

HANDSHAKE_S = float(REQUEST_S)
BACKLOG = 4096

IDLE_S = 90
"""End hosts report every 30 s; a connection that missed two reports is closed."""

SWEEP_S = 5
STOP_S = 8
"""Time for the remaining answers when the coordinator stops: less than the 10 s after which supervisors kill."""

_TICKS_A_SECOND = 10


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


class WorkerServer(SignalledServer):
    """uvicorn with a call when it is ready, and with sweeps over the connections, which have no timers of their own."""

    # If a terminal or a supervisor signals all processes, a worker gets two signals: that one, and one from its parent process. The
    # stop takes at most STOP_S anyway.
    immediate: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, app: Starlette, folders: WorkerFolders, tls: Tls, on_ready: Callable[[], None]) -> None:
        super().__init__(_config(app))
        self.config.load()
        self._folders = folders
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
            self._folders.open()  # not in the lifespan: uvicorn would log an unusable folder with a traceback
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


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
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
