"""A control connection on asyncio: frames, the handshake's timeouts, and an end for a receiver that does not read."""

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

from overlay.handshake import TIMEOUT_S, HandshakeState
from overlay.handshake_side import Connecting, Listening
from overlay.linux_sockets import resend_soon
from overlay.messages import Control, ControlReader, ProtocolError, encode

READ_BYTES = 64 * 1024
NEXT_ATTEMPT_S, MOST_ATTEMPTS = 0.2, 4
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.1, 5.0
TLS_SHUTDOWN_S = 1.0
"""How long the end of a TLS connection waits for the other side, which may be dead."""
MOST_UNSENT_BYTES = 1 << 20
"""A receiver with more unread bytes is disconnected, so that a hanging receiver does not fill our memory."""


MOST_HANDSHAKES = 256
"""Connections in a handshake at once. A handshake ends after at most 3 s, so a flood occupies at most 256 connections."""


class HandshakeFailedError(Exception):
    """The handshake did not lead to CONNECTED; `reason` is the name of a counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the handshake ended: {reason}")
        self.reason = reason


class TlsFailedError(OSError):
    """The other side has no certificate that is valid for its name, or does not use TLS. The text is the one of OpenSSL."""

    reason = "tls"


@dataclass(frozen=True, slots=True)
class TlsTo:
    """TLS to a server whose certificate has to be valid for `name`."""

    context: ssl.SSLContext
    name: str


class ControlConnection:
    """Messages to and from one other process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        resend_soon(writer.get_extra_info("socket"))
        self._frames = ControlReader()
        self._ready: deque[Control] = deque()
        self.host: str = writer.get_extra_info("peername")[0]

    @classmethod
    async def open(cls, host: str, port: int, *, local_host: str | None = None, tls: TlsTo | None = None) -> Self:
        """Connect, from an address of this machine if one is given. OSError if that fails within the handshake's time."""
        local = (local_host, 0) if local_host is not None else None
        try:
            async with asyncio.timeout(TIMEOUT_S[HandshakeState.ACK_SENDING]):
                return cls(*await _first_opened(host, port, local, tls))
        except TimeoutError as error:
            raise OSError(f"{host} port {port} does not answer") from error
        except ssl.SSLError as error:
            raise TlsFailedError(getattr(error, "verify_message", None) or error.reason or str(error)) from error
        except ValueError as error:  # a name that no certificate can have
            raise TlsFailedError(str(error)) from error
        except (ConnectionResetError, ConnectionAbortedError) as error:
            if tls is None:
                raise
            raise TlsFailedError("the other side closes the connection") from error

    async def receive(self) -> Control | None:
        """The next message; None at the end. ProtocolError if the bytes are not a message."""
        while not self._ready:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError:
                return None
            if not data:
                return None
            self._ready.extend(self._frames.feed(data))
        return self._ready.popleft()

    def send(self, message: Control) -> None:
        """Send without waiting. A receiver that does not read is disconnected."""
        if self._writer.is_closing():
            return
        if self.unsent_bytes() > MOST_UNSENT_BYTES:
            self._writer.transport.abort()
            return
        self._writer.write(encode(message))

    def unsent_bytes(self) -> int:
        """The bytes that wait because the receiver or the network is slower."""
        return self._writer.transport.get_write_buffer_size()

    def close(self) -> None:
        self._writer.close()


def backoff_s(attempt: int, chance: float) -> float:
    """How long to wait before another attempt; `chance` from 0 to 1 spreads the nodes."""
    return float(min(FIRST_BACKOFF_S * 2 ** min(attempt, 10), LAST_BACKOFF_S) * (0.5 + chance / 2))


StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _first_opened(host: str, port: int, local: tuple[str, int] | None, tls: TlsTo | None) -> StreamPair:
    """Connect. Without an answer, open a second connection in parallel, because Linux repeats a lost SYN only after a second."""
    waiting: set[asyncio.Task[StreamPair]] = set()
    secure: dict[str, Any] = {}
    if tls is not None:
        secure = {"ssl": tls.context, "server_hostname": tls.name, "ssl_shutdown_timeout": TLS_SHUTDOWN_S}
    try:
        while True:
            waiting.add(asyncio.create_task(asyncio.open_connection(host, port, local_addr=local, **secure)))
            last = len(waiting) == MOST_ATTEMPTS
            done, waiting = await asyncio.wait(
                waiting, timeout=None if last else NEXT_ATTEMPT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                first, *others = done
                waiting.update(others)
                return first.result()
    finally:
        for each in waiting:
            each.add_done_callback(_close_unused)
            each.cancel()


def _close_unused(opened: asyncio.Task[StreamPair]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result()[1].close()


async def perform_handshake(connection: ControlConnection, side: Connecting | Listening) -> None:
    """Carry a handshake through. HandshakeFailedError if it does not end in CONNECTED; the connection is closed then."""
    if isinstance(side, Connecting):
        _send_all(connection, side.opened(_now_ms()))
    while side.state not in (HandshakeState.CONNECTED, HandshakeState.OFFLINE):
        try:
            async with asyncio.timeout(TIMEOUT_S[side.state]):
                message = await connection.receive()
        except TimeoutError:
            _send_all(connection, side.timed_out())
            side.refusal = "timeout"
            break
        except ProtocolError:
            side.refusal = "unreadable_message"
            break
        if message is None:
            side.closed()
        elif isinstance(side, Connecting):
            _send_all(connection, side.received(message))
        else:
            _send_all(connection, side.received(message, _now_ms()))
    if side.state is not HandshakeState.CONNECTED:
        connection.close()
        raise HandshakeFailedError(side.refusal or "closed")


class Handshakes:
    """The handshakes that other processes have begun here. Beyond a limit, further ones are refused at once."""

    def __init__(self) -> None:
        self._running = 0

    async def perform(self, connection: ControlConnection, side: Listening) -> None:
        """As `perform_handshake`; HandshakeFailedError too if there are too many."""
        if self._running >= MOST_HANDSHAKES:
            connection.close()
            raise HandshakeFailedError("too_many_handshakes")
        self._running += 1
        try:
            await perform_handshake(connection, side)
        finally:
            self._running -= 1


def _send_all(connection: ControlConnection, messages: list[Control]) -> None:
    for message in messages:
        connection.send(message)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
