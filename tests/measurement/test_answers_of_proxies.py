"""Answers of something else than a master, such as a proxy or a captive portal, end neither an agent nor a client."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from measurement.agent.master_link import MasterGone, MasterLink
from measurement.agent.settings import Settings
from measurement.client.master_client import MasterAt, MasterClient, MasterRefusedError, MasterUnreachableError

BODIES = {
    "page": b"<html>Log in</html>",
    "latin-1": "Zugriff gesperrt für Sie".encode("latin-1"),
    "not UTF-8 in JSON": b'{"agents":"\xff"}',
    "null": b"null",
    "another object": b'{"status":"fine"}',
    "list": b"[]",
    "deep": b"[" * 100_000,
    "nothing": b"",
}


@asynccontextmanager
async def answering(status, body):
    async def answer(reader, writer):
        while await reader.read(65_536):
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_answer_that_no_master_wrote_is_a_failure_of_the_connection(status, body):
    async def scenario():
        async with answering(status, body) as url:
            async with MasterLink(Settings(master=url, name="a1")) as link:
                with pytest.raises((OSError, MasterGone)):
                    await link.deliver("a1", "e1", [], 5.0)
            async with MasterClient(MasterAt(master=url)) as client:
                for call in (client.agents, client.requests, client.cancel_all, lambda: client.kill_switch(on=True)):
                    with pytest.raises((MasterUnreachableError, MasterRefusedError)):
                        await call()

    asyncio.run(asyncio.wait_for(scenario(), 60))
