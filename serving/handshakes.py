"""Accept TLS connections so that a handshake counts as a connection from its first byte, and has a time limit.

An event loop that listens with TLS itself reports a connection only after its handshake. Only the number of open files would then
limit unfinished handshakes. It would also keep its first context, so renewed certificates and authorities would not count.
"""

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from serving.tls import ListenerTls

Connection = TypeVar("Connection", bound=asyncio.Protocol)

_PAUSE_S = 0.1
"""Before the next accept after one that failed, for example because too many files are open."""


class TlsAcceptor(ABC, Generic[Connection]):
    """Accepts connections from a listening socket. `close` and `wait_closed` are those of an asyncio.Server."""

    def __init__(
        self, listener: socket.socket, tls: ListenerTls, *, backlog: int, handshake_s: float, shutdown_s: float | None = None
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._handshake_s, self._shutdown_s = handshake_s, shutdown_s
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        listener.listen(backlog)
        listener.setblocking(False)
        self._accepting = self._loop.create_task(self._accept())

    @abstractmethod
    def admit(self, handshakes: int) -> Connection | None:
        """A connection for the next client; None, after counting the refusal, if there are too many beside `handshakes`."""

    @abstractmethod
    def count_failure(self, connection: Connection) -> None:
        """Count a handshake that failed or took too long."""

    def close(self) -> None:
        """Stop at once: no request can have arrived within a handshake, so no answer is due."""
        for task in (self._accepting, *self._handshakes):
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.wait([self._accepting])

    async def _accept(self) -> None:
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # too many open files, or the client has closed the connection already
                await asyncio.sleep(_PAUSE_S)
                continue
            connection = self.admit(len(self._handshakes))
            if connection is None:
                accepted.close()
                continue
            task = self._loop.create_task(self._shake_hands(accepted, connection))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, accepted: socket.socket, connection: Connection) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls.listener,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._shutdown_s,
            )
        except OSError:
            self.count_failure(connection)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                accepted.close()
            raise
