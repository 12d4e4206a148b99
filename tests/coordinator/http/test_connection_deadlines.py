"""Deadlines and idle connections, with a clock that the test sets and real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme
import uvicorn
import uvloop
from uvicorn.server import ServerState

from coordinator import worker_server
from coordinator.carriers.http_carrier import HttpCarrier
from coordinator.carriers.outbox import Outbox
from coordinator.http.answers import Answers
from coordinator.http.connection_limits import ConnectionLimits
from coordinator.http.connection_state import RECEIVING
from coordinator.http.feedback_handler import FeedbackHandler
from coordinator.http.feedback_protocol import FeedbackProtocol
from coordinator.ingest_keys import IngestKeys
from coordinator.settings import Settings
from coordinator.worker_counters import WorkerCounters
from coordinator.worker_server import IDLE_S, REQUEST_S, EndHostAcceptor
from feedback_wire.kinds import RecordKind
from serving.tls import Tls, key_pair

MANY = ConnectionLimits(serving=100, refusing=100)
HALF = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


@asynccontextmanager
async def listening(
    tls: Tls | None = None, limits: ConnectionLimits = MANY
) -> AsyncIterator[tuple[FeedbackHandler, ServerState, int]]:
    """A listening socket on a free port, with its connections in reach of the test."""
    settings = Settings(feedback_server=("http://127.0.0.1:9",), insecure=True)
    counters = WorkerCounters()
    outbox = Outbox(
        {url.geturl(): HttpCarrier(url, "", lambda: settings.tls().link) for url in settings.servers}, None, "round-robin", counters
    )
    handler = FeedbackHandler(
        settings, IngestKeys(()), {RecordKind.FEEDBACK: outbox}, None, counters, Answers(), connection_limits=limits
    )
    state = ServerState()
    config = uvicorn.Config(app=lambda: None)
    listener = socket.create_server(("127.0.0.1", 0))

    def protocol() -> FeedbackProtocol:
        return FeedbackProtocol(config, state, {"handler": handler})

    if tls is None:
        server = await asyncio.get_running_loop().create_server(protocol, sock=listener)
    else:
        server = EndHostAcceptor(listener, tls, protocol)
    try:
        yield handler, state, listener.getsockname()[1]
    finally:
        server.close()
        await outbox.close()


def sweep(state: ServerState, now: int) -> None:
    for connection in list(state.connections):
        connection.sweep(now, request_s=REQUEST_S, idle_s=IDLE_S)


def run(promise) -> None:
    asyncio.run(asyncio.wait_for(promise(), 10))


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 — what is waited for belongs to the transport
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("sent", [HALF, HALF[:20]], ids=["body", "head"])
def test_an_unfinished_request_is_refused_at_its_deadline(sent: bytes):
    async def promise() -> None:
        async with listening() as (handler, state, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            await until(lambda: any(connection.partial for connection in state.connections))
            began = handler.seconds
            assert handler._outbox.held_bytes == len(sent)
            sweep(state, began + REQUEST_S)
            assert all(connection.state is RECEIVING for connection in state.connections)
            handler.seconds = began + REQUEST_S + 1
            sweep(state, handler.seconds)
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            assert handler._outbox.held_bytes == 0
            writer.write(b"more")
            sweep(state, began + 2 * REQUEST_S + 2)
            await until(lambda: not state.connections)
            writer.close()

    run(promise)


def test_an_idle_connection_is_closed_and_a_busy_one_is_not():
    async def promise() -> None:
        async with listening() as (handler, state, port):
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            _, busy_writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: len(state.connections) == 2)
            now = handler.seconds + IDLE_S + 1
            handler.seconds = now - 1
            busy_writer.write(HALF)
            await until(lambda: any(connection.partial for connection in state.connections))
            sweep(state, now)
            assert await idle.read() == b""
            await until(lambda: len(state.connections) == 1)
            busy_writer.close()
            idle_writer.close()

    run(promise)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    return Tls(key_pair("--tls", tmp_path / "both.pem", tmp_path / "both.pem"))


async def greeted(port: int) -> None:
    """A handshake, and a request that is answered."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n!")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


def test_unfinished_handshakes_count_as_connections_and_those_beyond_the_limit_are_closed(tls: Tls):
    async def promise() -> None:
        async with listening(tls, ConnectionLimits(serving=2, refusing=1)) as (handler, state, port):
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            beyond, _ = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionError):
                assert await beyond.read() == b""
            assert handler.counters.connections_dropped == 1
            for _, writer in silent:
                writer.close()
            await until(lambda: handler.counters.handshakes_failed == 3)
            for _ in range(5):
                await greeted(port)
                await until(lambda: not state.connections)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(promise(), 60))


@pytest.mark.parametrize("sent", [b"", bytes.fromhex("160301")], ids=["silent", "begun"])
def test_an_unfinished_handshake_has_the_same_deadline_as_a_request(tls: Tls, monkeypatch: pytest.MonkeyPatch, sent: bytes):
    assert worker_server.HANDSHAKE_S == REQUEST_S
    monkeypatch.setattr(worker_server, "HANDSHAKE_S", 0.3)

    async def promise() -> None:
        async with listening(tls) as (handler, state, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            with suppress(ConnectionError):
                assert await reader.read() == b"", "an unfinished handshake is closed"
            await until(lambda: handler.counters.handshakes_failed == 1)
            assert not state.connections

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(promise(), 60))
