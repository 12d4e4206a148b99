"""The TCP socket that accepts control connections, with or without TLS."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from overlay.control import MOST_HANDSHAKES, TLS_SHUTDOWN_S
from overlay.handshake import TIMEOUT_S, HandshakeState
from serving.handshakes import TlsAcceptor
from serving.listening import listen_error
from serving.open_files import limit_accept_failure_reports
from serving.tls import ListenerTls

BACKLOG = 128

Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Acceptor(TlsAcceptor[asyncio.StreamReaderProtocol]):
    """Refuses clients beyond a number of unfinished TLS handshakes, and counts those that fail."""

    def __init__(self, listener: socket.socket, tls: ListenerTls, accepted: Accepted, counts: Counter[str]) -> None:
        self._accepted, self._counts = accepted, counts
        handshake_s = TIMEOUT_S[HandshakeState.ACK_RECEIVING]
        super().__init__(listener, tls, backlog=BACKLOG, handshake_s=handshake_s, shutdown_s=TLS_SHUTDOWN_S)

    def admit(self, handshakes: int) -> asyncio.StreamReaderProtocol | None:
        if handshakes >= MOST_HANDSHAKES:
            self._counts["refused_too_many_handshakes"] += 1
            return None
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accepted)

    def count_failure(self, connection: asyncio.StreamReaderProtocol) -> None:
        self._counts["refused_tls"] += 1


@asynccontextmanager
async def listening(host: str, port: int, accepted: Accepted, tls: ListenerTls | None, counts: Counter[str]) -> AsyncIterator[int]:
    """Accept connections. Gives the port, which the system selects if it is 0. OSError if the address cannot be used."""

    async def accepted_quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # at the end of the process; Python 3.11 logs it as an error
            await accepted(reader, writer)

    limit_accept_failure_reports(asyncio.get_running_loop())
    try:
        if tls is None:
            server = await asyncio.start_server(accepted_quietly, host, port, backlog=BACKLOG)
        else:
            listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(listen_error(host, port, error)) from error
    if tls is None:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()  # without `wait_closed`: since Python 3.12, it waits until the neighbours have closed their connections
        return
    with listener:
        acceptor = _Acceptor(listener, tls, accepted_quietly, counts)
        try:
            yield listener.getsockname()[1]
        finally:
            acceptor.close()
            await acceptor.wait_closed()
