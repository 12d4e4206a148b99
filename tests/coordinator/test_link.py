"""The way to a feedback server takes URL and token as they are."""

import asyncio
import ssl
from urllib.parse import urlsplit

from coordinator.batch import Batch
from coordinator.link import Link

BATCH = Batch(lines=b"{}\n", messages=1, waiters=[], place_until_s=0.0)


def test_a_per_cent_sign_in_the_url_or_the_token_travels_as_it_is():
    asked = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.extend(await reader.readuntil(b"{}\n"))
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"stored":1}')

    async def promise() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = Link(urlsplit(f"http://127.0.0.1:{port}/eu%20west/%s/"), "50%off%d", ssl.create_default_context)
        await link.carry(BATCH)
        link.close()
        server.close()

    asyncio.run(asyncio.wait_for(promise(), 20))
    line, *headers = bytes(asked).decode().partition("\r\n\r\n")[0].split("\r\n")
    assert line == "POST /eu%20west/%s/v1/records HTTP/1.1"
    assert {"authorization: Bearer 50%off%d", "content-length: 3", f"swarmscope-batch: {BATCH.id.hex()}"} <= {*headers}
