"""The limits of a connection, short enough for a test to wait for."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from monitor_platform.access.listener import Connections, Limits, Listener
from tests.harness.waiting import eventually

QUICK = Limits(connections=4, head_s=1, body_s=1, head_bytes=2048, body_bytes=1024, stuck_s=1)
WITHIN_S = 20.0


class Hello(RequestHandler):
    """Sends a large answer on request, and accepts every client."""

    def initialize(self, connections: Connections) -> None:
        self._connections = connections

    def get(self) -> None:
        self._connections.admit(self.request.connection.stream)
        self.finish(b"x" * int(self.get_argument("bytes", "2")))

    def post(self) -> None:
        self.finish(b"ok")


@contextlib.asynccontextmanager
async def listening(limits: Limits = QUICK) -> AsyncIterator[tuple[Connections, int]]:
    connections = Connections(limits)
    listener = Listener(Application([("/", Hello, {"connections": connections})]), connections=connections)
    sockets = bind_sockets(0, "127.0.0.1")
    listener.add_sockets(sockets)

    async def sweep() -> None:
        while True:
            connections.sweep(time.monotonic())
            await asyncio.sleep(0.05)

    sweeping = asyncio.create_task(sweep())
    try:
        yield connections, sockets[0].getsockname()[1]
    finally:
        sweeping.cancel()
        listener.stop()
        await listener.close_all_connections()


def run(promise: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(promise(), 3 * WITHIN_S))


async def answer(port: int, request: bytes) -> bytes:
    """Everything that arrives until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def drip(port: int) -> bytes:
    """Send a head a byte at a time without end; return the answer when it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    writing = asyncio.create_task(write())
    try:
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    except ConnectionError:
        return b""
    finally:
        writing.cancel()
        writer.close()


def test_a_head_that_never_ends_is_cut_at_any_speed():
    async def promise() -> None:
        async with listening() as (_, port):
            assert await drip(port) == b""

    run(promise)


def test_a_body_that_never_arrives_is_cut():
    async def promise() -> None:
        async with listening() as (_, port):
            assert await answer(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc") == b""

    run(promise)


def test_an_idle_connection_is_closed():
    async def promise() -> None:
        async with listening() as (_, port):
            assert (await answer(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).endswith(b"xx")

    run(promise)


def test_a_head_or_a_body_beyond_its_limit_is_refused():
    async def promise() -> None:
        async with listening() as (_, port):
            head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3000 + b"\r\n\r\n"
            assert b" 200 " not in await answer(port, head)
            body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + b"y" * 2000
            assert (await answer(port, body)).startswith(b"HTTP/1.1 400") or b" 200 " not in await answer(port, body)
            chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"y" * 2000 + b"\r\n0\r\n\r\n"
            assert b" 200 " not in await answer(port, chunked)

    run(promise)


def test_silent_connections_make_room_and_admitted_ones_stay():
    async def promise() -> None:
        async with listening(Limits(connections=4, head_s=WITHIN_S)) as (connections, port):
            known = await asyncio.open_connection("127.0.0.1", port)
            known[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await known[0].readuntil(b"xx")
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            # Each of these connects while four connections are open.
            kept = []
            for _ in range(3):
                late = await asyncio.open_connection("127.0.0.1", port)
                kept.append(late)
                late[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await asyncio.wait_for(late[0].readuntil(b"xx"), WITHIN_S)).startswith(b"HTTP/1.1 200")
            for reader, _ in silent:
                assert await asyncio.wait_for(reader.read(), WITHIN_S) == b""
            full = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(full[0].read(), WITHIN_S) == b""
            known[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await asyncio.wait_for(known[0].readuntil(b"xx"), WITHIN_S)
            assert connections.dropped["connections"] == 4

    run(promise)


def test_a_client_that_does_not_read_is_disconnected_and_one_that_reads_is_not():
    async def promise() -> None:
        async with listening() as (connections, port):
            stuck = socket.create_connection(("127.0.0.1", port))
            stuck.sendall(b"GET /?bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.to_thread(eventually, lambda: connections.dropped["slow_reader"])
            stuck.close()
            assert connections.dropped == {"slow_reader": 1}
            whole = await answer(port, b"GET /?bytes=2000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert len(whole) > 2_000_000

    run(promise)
