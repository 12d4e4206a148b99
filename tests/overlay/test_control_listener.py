"""The socket that accepts control connections."""

import asyncio
from collections import Counter

from overlay.control_listener import listening


def test_a_listener_ends_although_its_connections_stay_open():
    async def scenario() -> None:
        connected = asyncio.Event()

        async def accepted(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()

        async with listening("127.0.0.1", 0, accepted, None, Counter()) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await connected.wait()
        writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))
