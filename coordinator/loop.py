"""uvloop, in which a TLS handshake has as long as a request, not a minute; uvicorn has no word for that."""

import asyncio
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
