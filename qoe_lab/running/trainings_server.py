"""The server of trainings as one process: a few clients, such as the dashboard, and the files of the trainings."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from feedback_wire import routes
from feedback_wire.trainings import TrainingState
from qoe_lab.running.openapi import openapi
from qoe_lab.running.settings import Settings
from qoe_lab.running.started_trainings import StartedTrainings
from qoe_lab.running.trainings_api import TrainingsApi
from serving.durable_files import make_folder
from serving.handshakes import TlsAcceptor
from serving.lifecycle import CannotStart, announce_ready, ignore_reload, on_reload, open_listener
from serving.limited_connection import LimitedConnection
from serving.listening import url_of
from serving.memory import end_loop_without_memory
from serving.metrics_text import SharedText, by_reason
from serving.open_files import most_connections
from serving.openapi import served
from serving.signalled_server import SignalledServer, plain_config
from serving.starlette_errors import error_handlers, problem_of
from serving.tls import ListenerTls

_PREFIX = "swarmscope_lab_"
_STOP_S = 3
_HANDSHAKE_S = 10.0
_MOST_CONNECTIONS = 256
"""With TLS, also those whose handshake is not complete."""
_OWN_FILES = 64
_LEAST_CONNECTIONS = 8
_BACKLOG = 128
_TICKS_A_SECOND = 10


def run(settings: Settings, command: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT; CannotStart if the folder or the address cannot be used. Trainings continue afterwards."""
    ignore_reload()
    try:
        most = most_connections(_MOST_CONNECTIONS, own_files=_OWN_FILES, least=_LEAST_CONNECTIONS, server="server of trainings")
        make_folder(settings.data)
    except OSError as error:
        raise CannotStart(f"--data cannot be used: {error}" if error.errno else str(error)) from error
    with open_listener(settings.listen) as listener:
        api = TrainingsApi(settings=settings, started=StartedTrainings(command))
        TrainingsServer(api, settings.tls(), most).run([listener])


class _LabAcceptor(TlsAcceptor[asyncio.Protocol]):
    """Accepts TLS connections of clients."""

    def __init__(self, listener: socket.socket, tls: ListenerTls, server: "TrainingsServer") -> None:
        self._server = server
        super().__init__(listener, tls, backlog=_BACKLOG, handshake_s=_HANDSHAKE_S)

    def admit(self, handshakes: int) -> asyncio.Protocol | None:
        open_ones = len(self._server.server_state.connections) + handshakes
        if open_ones >= self._server.most:
            self._server.api.refused["too_many_connections"] += 1
            return None
        return self._server.connection()

    def count_failure(self, connection: asyncio.Protocol) -> None:
        self._server.api.refused["tls_handshake"] += 1


class TrainingsServer(SignalledServer):
    """uvicorn with a ready line; it lets the kernel forget trainings that have ended."""

    def __init__(self, api: TrainingsApi, tls: ListenerTls, most: int) -> None:
        self.api, self._tls, self.most = api, tls, most
        super().__init__(plain_config(trainings_application(api), stop_s=_STOP_S))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        end_loop_without_memory(asyncio.get_running_loop(), "swarmscope lab serve")
        self._tls.warn_of_expiry()
        await super().startup(sockets=[])
        for listener in sockets or ():
            self.servers.append(await self._accept(listener))
        on_reload(self._tls.renew)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            announce_ready("lab", url_of(host, port, secure=self._tls.listener is not None))

    async def _accept(self, listener: socket.socket) -> asyncio.Server:
        if self._tls.listener is not None:
            return cast("asyncio.Server", _LabAcceptor(listener, self._tls, self))
        return await asyncio.get_running_loop().create_server(self.connection, sock=listener, backlog=_BACKLOG)

    def connection(self) -> asyncio.Protocol:
        """What uvicorn makes for each connection."""
        return LimitedConnection(self.config, self.server_state, most=self.most, refused=self.api.refused)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            self.api.started.reap()
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast("LimitedConnection", connection).sweep(now_s)
        return await super().on_tick(counter)


def trainings_application(api: TrainingsApi) -> Starlette:
    """All routes."""
    metrics = _metrics(api)

    async def refuse(_request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        api.refused[problem.reason] += 1
        headers = {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "1"}}.get(problem.status)
        return Response(problem.body(), problem.status, headers, media_type=routes.PROBLEM)

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics.text(fresh=False), media_type="text/plain; version=1.0.0")

    one, trusted = routes.training("{name}"), api.trusted
    return Starlette(
        routes=[
            Route(routes.TRAININGS, trusted(api.trainings), methods=["GET"]),
            Route(routes.TRAININGS, trusted(api.start), methods=["POST"]),
            Route(one, trusted(api.show), methods=["GET"]),
            Route(f"{one}/pause", trusted(api.pause), methods=["POST"]),
            Route(f"{one}/resume", trusted(api.resume), methods=["POST"]),
            Route(f"{one}/cancel", trusted(api.cancel), methods=["POST"]),
            Route(routes.HEALTH, _well),
            Route(routes.READY, _well),
            Route(routes.METRICS, trusted(show_metrics)),
            Route(routes.OPENAPI, _openapi),
        ],
        exception_handlers=error_handlers(refuse),
    )


class TrainingsCollector(Collector):
    """All metrics of one server of trainings."""

    def __init__(self, api: TrainingsApi) -> None:
        self._api = api

    def collect(self) -> Iterator[Metric]:
        found = self._api.progress()
        trainings = GaugeMetricFamily(_PREFIX + "trainings", "trainings by their state", labels=["state"])
        for state in TrainingState:
            trainings.add_metric([state], sum(each.state is state for each in found))
        yield trainings
        yield GaugeMetricFamily(_PREFIX + "trainings_unreadable", "trainings that cannot be read", self._api.unreadable)
        captured = sum(each.captured for each in found)
        yield GaugeMetricFamily(_PREFIX + "sessions_captured", "captured sessions of all trainings", captured)
        yield CounterMetricFamily(_PREFIX + "started", "trainings that this server started or resumed", self._api.started.started)
        yield by_reason(_PREFIX + "refused", "refused requests, by reason", self._api.refused)


def _metrics(api: TrainingsApi) -> SharedText:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TrainingsCollector(api))
    return SharedText(partial(generate_latest, registry))


async def _well(_request: Request) -> Response:
    return Response("ready\n", media_type="text/plain")


async def _openapi(_request: Request) -> Response:
    return Response(served(openapi), media_type=routes.JSON)
