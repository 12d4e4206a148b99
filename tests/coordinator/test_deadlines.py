"""Deadlines and idle connections, with a clock in the test's hands and real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from uvicorn.server import ServerState

from coordinator.answers import Answers
from coordinator.counters import Counters
from coordinator.intake import IntakeProtocol
from coordinator.keys import Keys
from coordinator.link import Link
from coordinator.outbox import Outbox
from coordinator.reception import Reception
from coordinator.settings import Settings
from coordinator.worker import IDLE_S, REQUEST_S

HALF = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


@asynccontextmanager
async def intake() -> AsyncIterator[tuple[Reception, ServerState, int]]:
    """An intake on a free port, with its connections in reach."""
    settings = Settings(feedback_server=("http://127.0.0.1:9",), insecure=True)
    counters = Counters()
    outbox = Outbox({url.geturl(): Link(url, "", settings.tls().link) for url in settings.servers}, None, "round-robin", counters)
    reception = Reception(settings, Keys(()), outbox, None, counters, Answers())
    state = ServerState()
    config = uvicorn.Config(app=lambda: None)
    server = await asyncio.get_running_loop().create_server(
        lambda: IntakeProtocol(config, state, {"reception": reception}), "127.0.0.1", 0
    )
    try:
        yield reception, state, server.sockets[0].getsockname()[1]
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
def test_a_request_that_does_not_come_to_an_end_is_refused_in_time(sent: bytes):
    async def promise() -> None:
        async with intake() as (reception, state, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            await until(lambda: any(connection.unfinished for connection in state.connections))
            began = reception.seconds
            assert reception._outbox.held_bytes == len(sent)
            sweep(state, began + REQUEST_S)
            assert all(not connection.closing for connection in state.connections)
            reception.seconds = began + REQUEST_S + 1
            sweep(state, reception.seconds)
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            assert reception._outbox.held_bytes == 0
            writer.write(b"more")
            sweep(state, began + 2 * REQUEST_S + 2)
            await until(lambda: not state.connections)
            writer.close()

    run(promise)


def test_an_idle_connection_is_closed_and_a_busy_one_is_not():
    async def promise() -> None:
        async with intake() as (reception, state, port):
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            _, busy_writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: len(state.connections) == 2)
            now = reception.seconds + IDLE_S + 1
            reception.seconds = now - 1
            busy_writer.write(HALF)
            await until(lambda: any(connection.unfinished for connection in state.connections))
            sweep(state, now)
            assert await idle.read() == b""
            await until(lambda: len(state.connections) == 1)
            busy_writer.close()
            idle_writer.close()

    run(promise)
