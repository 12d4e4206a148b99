"""One connection to the master: uvicorn's protocol with a deadline for each request, and the checks of a request's head."""

import asyncio

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.request_head import check_head

REQUEST_S = 30.0
"""For a whole request; the first one counts from the start of the connection."""

MOST_CONNECTIONS = 8192
"""Each agent has one for its commands and one for its messages."""


class MasterConnection(HttpToolsProtocol):
    """Closed if a request does not arrive in time."""

    def __init__(self, config: Config, server_state: ServerState, *, most: int) -> None:
        super().__init__(config, server_state, {})
        self._most = most
        self._since_s: float | None = self.loop.time()
        """When the request that is arriving began; None between requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._since_s is None:
            self._since_s = self.loop.time()

    def on_headers_complete(self) -> None:
        check_head(self.headers, self.parser.get_http_version())
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._since_s = None
        super().on_message_complete()

    def sweep(self, now_s: float) -> None:
        """Close the connection if its request takes too long."""
        if self._since_s is not None and now_s - self._since_s > REQUEST_S and self.transport is not None:
            self.transport.abort()
