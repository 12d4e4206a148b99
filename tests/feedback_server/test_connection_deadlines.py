"""Deadlines of connections, on real sockets; the test sets the time at which the server checks them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from feedback_server.connection import HEAD_S, LINGER_S, REQUEST_S, SLOW_READER_S, ClientConnection, sweep
from feedback_server.counters import Counters

HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
LARGE_BYTES = 16 * 1024 * 1024


async def echo(request: Request) -> Response:
    return Response(await request.body())


async def large(_request: Request) -> Response:
    return Response(bytes(LARGE_BYTES))


@dataclass
class Place:
    """A listening server whose sweeps the test calls."""

    port: int
    state: ServerState
    counters: Counters

    async def connect(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that the server has accepted, with the bytes `sent` on their way."""
        before = len(self.state.connections)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await until(lambda: len(self.state.connections) > before)
        writer.write(sent)
        return reader, writer

    def sweep(self, *, after_s: float) -> None:
        sweep(self.state, asyncio.get_running_loop().time() + after_s)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 — what is waited for belongs to the transport
        await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(most: int = 100) -> AsyncIterator[Place]:
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/large", large)])
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
    config.load()
    state, counters = ServerState(), Counters()
    server = await asyncio.get_running_loop().create_server(
        lambda: ClientConnection(config, state, counters, most=most), "127.0.0.1", 0
    )
    yield Place(server.sockets[0].getsockname()[1], state, counters)
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()


def run(promise: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(promise(), 20))


@pytest.mark.parametrize(
    ("sent", "within_s"),
    [
        (b"", HEAD_S),
        (b"POST /ec", HEAD_S),
        (b"\r\n" * 50, HEAD_S),
        (HEAD[:-2], HEAD_S),
        (HEAD, REQUEST_S),
        (HEAD + b"x" * 99, REQUEST_S),
    ],
    ids=["nothing", "line", "empty lines", "head", "no body", "body"],
)
def test_an_unfinished_request_is_refused_at_its_deadline(sent: bytes, within_s: float):
    async def promise() -> None:
        async with listening() as place:
            reader, writer = await place.connect(sent)
            if sent.startswith(HEAD):
                await until(lambda: any(connection.cycle for connection in place.state.connections))
            place.sweep(after_s=within_s - 5)
            assert not place.counters.refused
            place.sweep(after_s=within_s + 1)
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            assert place.counters.refused == {"too_slow": 1}
            place.sweep(after_s=LINGER_S + 1)
            await until(lambda: not place.state.connections)
            writer.close()

    run(promise)


def test_a_request_that_follows_another_has_its_own_deadline():
    async def promise() -> None:
        async with listening() as place:
            reader, writer = await place.connect(HEAD + b"x" * 100)
            assert await reader.readuntil(b"x" * 100)
            place.sweep(after_s=HEAD_S + 1)
            assert not place.counters.refused, "an idle connection is no slow request"
            writer.write(HEAD[:9])
            await until(lambda: any(connection._receiving for connection in place.state.connections))
            place.sweep(after_s=HEAD_S + 1)
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            writer.close()

    run(promise)


def test_a_client_that_reads_nothing_is_disconnected_and_one_that_reads_is_not():
    async def promise() -> None:
        async with listening() as place:
            slow = socket.create_connection(("127.0.0.1", place.port))
            slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: any(c.transport.get_write_buffer_size() for c in place.state.connections))
            reader, writer = await place.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            whole = await reader.readuntil(b"\r\n\r\n") and await reader.readexactly(LARGE_BYTES)
            assert whole == bytes(LARGE_BYTES)
            place.sweep(after_s=SLOW_READER_S - 5)
            assert len(place.state.connections) == 2
            place.sweep(after_s=SLOW_READER_S + 1)
            await until(lambda: len(place.state.connections) == 1)
            assert place.counters.refused == {"slow_reader": 1}
            writer.close()
            slow.close()

    run(promise)


def test_a_connection_beyond_the_limit_is_refused_until_another_one_closes():
    async def promise() -> None:
        async with listening(most=2) as place:
            links = [await place.connect(HEAD[:9]) for _ in range(2)]
            await until(lambda: len(place.state.connections) == 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            refused = await reader.read()
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in refused
            assert b"too_many_connections" in refused
            for _, other in [*links, (reader, writer)]:
                other.close()
            await until(lambda: not place.state.connections)
            reader, writer = await place.connect(HEAD + b"x" * 100)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(promise)
