"""A connection of a server with few clients: slow requests and too many connections are closed, and counted."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from serving.limited_connection import REQUEST_S, LimitedConnection

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"


async def app(
    _scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[..., Awaitable[None]]
) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def run(scenario: Callable[[ServerState, Counter[str], int], Awaitable[None]], most: int = 2) -> Counter[str]:
    refused: Counter[str] = Counter()

    async def serve() -> None:
        config, state = uvicorn.Config(cast("Any", app), lifespan="off", log_config=None), ServerState()
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: LimitedConnection(config, state, most=most, refused=refused), "127.0.0.1", 0
        )
        async with server:
            await scenario(state, refused, server.sockets[0].getsockname()[1])

    asyncio.run(asyncio.wait_for(serve(), 30))
    return refused


def sweep(state: ServerState, after_s: float) -> None:
    for connection in list(state.connections):
        cast("LimitedConnection", connection).sweep(asyncio.get_running_loop().time() + after_s)


@pytest.mark.parametrize("sent", [b"", GET[:9], GET[:-2], POST, POST + b"x"])
def test_a_request_that_does_not_arrive_in_time_ends_its_connection(sent: bytes):
    async def scenario(state: ServerState, refused: Counter[str], port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert await reader.readuntil(b"ok")
        writer.write(sent)
        slow = await asyncio.open_connection("127.0.0.1", port) if not sent else (reader, writer)
        async with asyncio.timeout(10):
            while sum(cast("LimitedConnection", each)._since_s is not None for each in state.connections) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        sweep(state, REQUEST_S - 5)
        assert not refused
        sweep(state, REQUEST_S + 5)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await slow[0].readexactly(1)
        assert refused == {"too_slow": 1}
        writer.close()
        slow[1].close()

    run(scenario)


def test_further_connections_are_closed_and_counted():
    async def scenario(_state: ServerState, _refused: Counter[str], port: int) -> None:
        opened = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert await reader.readuntil(b"ok")
            opened.append(writer)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        for each in (*opened, writer):
            each.close()

    assert run(scenario) == {"too_many_connections": 1}
