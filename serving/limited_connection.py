"""A connection of a server with few clients: each request has a deadline, and the server has a limit of connections."""

import asyncio
from collections import Counter

from uvicorn.config import Config
from uvicorn.server import ServerState

from feedback_wire.problem import Problem
from serving.checked_connection import CheckedConnection

REQUEST_S = 30.0
"""For a whole request; the first one counts from the start of the connection."""


class LimitedConnection(CheckedConnection):
    """Closed if a request does not arrive in time. The server calls `sweep` once a second."""

    def __init__(self, config: Config, server_state: ServerState, *, most: int, refused: Counter[str]) -> None:
        super().__init__(config, server_state, {})
        self._most, self._refused = most, refused
        self._since_s: float | None = self.loop.time()
        """When the request that is arriving began; None between requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._refused["too_many_connections"] += 1
            transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._since_s is None:
            self._since_s = self.loop.time()

    def count_refusal(self, problem: Problem) -> None:
        self._refused[problem.reason] += 1
        if self._since_s is None:
            self._since_s = self.loop.time()  # the client has this time to close the connection

    def on_message_complete(self) -> None:
        self._since_s = None
        super().on_message_complete()

    def sweep(self, now_s: float) -> None:
        """Close the connection if its request takes too long."""
        if self._since_s is not None and now_s - self._since_s > REQUEST_S and self.transport is not None:
            self._refused["too_slow"] += 1
            self.transport.abort()
