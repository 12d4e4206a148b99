"""The door of a listener with TLS: a handshake counts as a connection from its first moment, and has its time.

An event loop that is told to listen with TLS tells nobody of a connection before its handshake is over, so those that never end
would be bounded by nothing but the files that may be open. It would also keep the certificates and authorities that it began with.

`feedback_server/door.py` is its twin, with limits and counts of its own. They share no code: `feedback_wire` holds bytes and goes
into apps (docs/adr/0001). What is mended in one is to be looked at in the other.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from coordinator.http.feedback_protocol import FeedbackProtocol
from serving.tls import Tls

HANDSHAKE_S = 30.0
"""As long as a request has."""

BACKLOG = 4096
_PAUSE_S = 0.1
"""Before the next connection is taken, when the system could not give the last one."""


class Door:
    """Takes connections from a listening socket; closed as an asyncio.Server is."""

    def __init__(self, listener: socket.socket, tls: Tls, make_protocol: Callable[[], FeedbackProtocol]) -> None:
        self._listener = listener
        self._tls = tls
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Nothing has been said in a handshake that an answer is owed to."""
        for task in (self._accepting, *self._handshakes):
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.wait([self._accepting])

    async def _accept(self) -> None:
        while True:
            try:
                link, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # too many files, or a sender that has gone already
                await asyncio.sleep(_PAUSE_S)
                continue
            self._let_in(link)

    def _let_in(self, link: socket.socket) -> None:
        protocol = self._make_protocol()
        places = protocol.reception.places
        if len(protocol.connections) + len(self._handshakes) >= places.serving + places.refusing:
            protocol.reception.counters.connections_dropped += 1
            link.close()
            return
        task = self._loop.create_task(self._shake_hands(link, protocol))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, link: socket.socket, protocol: FeedbackProtocol) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol, link, ssl=self._tls.listener, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError:
            protocol.reception.counters.handshakes_failed += 1
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                link.close()
            raise
