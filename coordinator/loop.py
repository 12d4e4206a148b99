"""uvloop, in which a TLS handshake has as long as a request, not a minute; uvicorn has no word for that.

And in which a worker that gets no memory ends: in which of its steps it failed nobody can say, so its promises could not be
trusted any more. What it has acknowledged is durable, and senders without an answer send again.
"""

import asyncio
import os
from typing import Any, cast

import uvloop

HANDSHAKE_S = 30.0


class Loop(uvloop.Loop):
    """What every worker runs on."""

    handshake_s = HANDSHAKE_S

    async def create_server(self, *arguments: Any, **named: Any) -> asyncio.Server:  # noqa: ANN401
        if named.get("ssl") is not None:
            named.setdefault("ssl_handshake_timeout", self.handshake_s)
        return cast("asyncio.Server", await super().create_server(*arguments, **named))


def end_without_memory(error: object) -> None:
    """End this process at once if `error` says that there is no memory; nothing that needs some is done on the way."""
    if isinstance(error, MemoryError):
        os.write(2, b"out of memory: this worker ends at once; nothing acknowledged is lost, senders send the rest again\n")
        os._exit(1)


def on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What no callback caught."""
    end_without_memory(context.get("exception"))
    loop.default_exception_handler(context)
