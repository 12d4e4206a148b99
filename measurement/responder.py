"""The destination's side of a measurement: it consents by its token, notes when packets arrive, and reflects packets.

It cannot be used to attack others: it answers datagrams only to the address that opened the session by TCP, never with more bytes
than it received, and each session has a limit of bytes, packets per second, and time.
"""

import asyncio
import hmac
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from measurement.estimates.packet_loss import arrival_order
from measurement.estimates.rtp_reception import RtpReception
from measurement.responder_protocol import (
    MOST_LINE_BYTES,
    MOST_TRAIN_PACKETS,
    REFLECTED,
    RTP_HEADER,
    RTP_RATE,
    RTP_VERSION,
    SESSION_BYTES,
    TRAIN_MAGIC,
    TRAIN_PACKET,
    Challenge,
    Collect,
    Opened,
    Opening,
    ReflectorCount,
    Refused,
    ToAgent,
    ToResponder,
    TrainArrivals,
    line,
    proof,
)
from measurement.techniques.kernel_sockets import Received, plain_address, receive_all, stamp_arrivals
from serving.open_files import limit_accept_failure_reports

MOST_CONNECTIONS = 32
MOST_CONNECTIONS_OF_AN_ADDRESS = 4
MOST_SESSION_BYTES = 20_000_000
MOST_SESSION_S = 900.0
MOST_REFLECTED_PER_S = 200.0
OPEN_WITHIN_S = 5.0
WRONG_TOKEN_PAUSE_S = 1.0
QUIET_S = 0.3
"""A train is complete when no further packet arrives for this long."""
COLLECT_WITHIN_S = 2.0
PACKETS_AT_ONCE = 512
DATAGRAM_HEADERS = 28


@dataclass(slots=True)
class ResponderSession:
    """The session of one agent that may measure."""

    session_id: bytes
    address: str
    purpose: str
    received_bytes: int = 0
    train: int = 0
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    """The arrivals of the current train: sequence number and Unix time in ns."""
    last_arrival: float = 0.0
    """On the monotonic clock."""
    reception: RtpReception | None = None
    numbers: list[int] = field(default_factory=list)
    """Sequence numbers of the reflected packets, in the order of arrival."""
    allowance: float = MOST_REFLECTED_PER_S
    allowance_at: float = field(default_factory=time.monotonic)

    def may_reflect(self) -> bool:
        """Whether the rate limit permits one more packet (a token bucket of one second)."""
        now = time.monotonic()
        self.allowance = min(self.allowance + (now - self.allowance_at) * MOST_REFLECTED_PER_S, MOST_REFLECTED_PER_S)
        self.allowance_at = now
        if self.allowance < 1:
            return False
        self.allowance -= 1
        return True


class Responder:
    """Listens on one port, by TCP and UDP. `port` is the one that the system chose for port 0. OSError if it cannot listen."""

    def __init__(self, *, token: str, host: str, port: int, log: Callable[[str], None] = lambda _text: None) -> None:
        self.counts = dict.fromkeys(("sessions", "wrong_tokens", "too_many", "foreign_datagrams", "over_limit"), 0)
        """The number of admitted sessions, refusals and dropped datagrams, by name."""
        self._token = token
        self._log = log
        self._connections: list[str] = []
        """The address of each TCP connection."""
        self._transports: set[asyncio.WriteTransport] = set()
        self._sessions: dict[bytes, ResponderSession] = {}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._tcp = socket.create_server((host, port), family=family, backlog=16)
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._udp.bind((host, self.port))
        except OSError:
            self.close()
            raise
        stamp_arrivals(self._udp)

    def close(self) -> None:
        """Close the port."""
        self._tcp.close()
        self._udp.close()

    async def serve(self, stopped: asyncio.Event) -> None:
        """Answer until `stopped` is set, then end all sessions and close the port."""
        loop = asyncio.get_running_loop()
        limit_accept_failure_reports(loop)
        loop.add_reader(self._udp, self._receive)
        try:
            async with await asyncio.start_server(self._accept, sock=self._tcp, limit=MOST_LINE_BYTES) as server:
                await stopped.wait()
                server.close()
                for transport in self._transports:  # since Python 3.12, the server waits for its connections
                    transport.abort()
        finally:
            loop.remove_reader(self._udp)
            self.close()

    # TCP

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # at the end of the process; Python 3.11 logs it as an error
            await self._serve_connection(reader, writer)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = plain_address(writer.get_extra_info("peername")[0])
        self._connections.append(address)
        self._transports.add(writer.transport)
        try:
            with suppress(
                ConnectionError, asyncio.IncompleteReadError, TimeoutError, msgspec.DecodeError, RecursionError, ValueError
            ):
                async with asyncio.timeout(MOST_SESSION_S):
                    await self._converse(address, reader, writer)
        finally:
            self._connections.remove(address)
            self._transports.discard(writer.transport)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) > MOST_CONNECTIONS or self._connections.count(address) > MOST_CONNECTIONS_OF_AN_ADDRESS:
            self.counts["too_many"] += 1
            await _send(writer, Refused("the responder has too many connections; try again later"))
            return
        nonce = secrets.token_hex(16)
        await _send(writer, Challenge(nonce))
        async with asyncio.timeout(OPEN_WITHIN_S):
            opening = await _read(reader)
        if not isinstance(opening, Opening) or not hmac.compare_digest(opening.proof, proof(self._token, nonce)):
            self.counts["wrong_tokens"] += 1
            self._log(f"{address} has a wrong token")
            await asyncio.sleep(WRONG_TOKEN_PAUSE_S)
            await _send(writer, Refused("the token is not that of the responder"))
            return
        session = ResponderSession(secrets.token_bytes(SESSION_BYTES), address, opening.purpose)
        self.counts["sessions"] += 1
        self._log(f"{address} measures with {opening.technique[:32]!r}")
        self._sessions[session.session_id] = session
        try:
            await _send(writer, Opened(session.session_id.hex()))
            await self._serve_session(session, reader, writer)
        finally:
            del self._sessions[session.session_id]
            self._log(f"{address} has ended, after {session.received_bytes} bytes of probes")

    async def _serve_session(self, session: ResponderSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while isinstance(request := await _read(reader), Collect):
            await self._settled(session, request)
            if session.received_bytes > MOST_SESSION_BYTES:
                await _send(writer, Refused(f"a session may send {MOST_SESSION_BYTES} bytes of probes"))
                return
            await _send(writer, _reflector_count(session) if request.train < 0 else _train_arrivals(session, request.train))

    async def _settled(self, session: ResponderSession, request: Collect) -> None:
        """Wait until all packets have arrived, or no further one comes."""
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + COLLECT_WITHIN_S:
            arrived = session.numbers if request.train < 0 else session.arrivals
            complete = len(arrived) >= request.packets and (request.train < 0 or session.train == request.train)
            if complete or now > max(begin, session.last_arrival) + QUIET_S:
                return
            await asyncio.sleep(0.005)

    # UDP

    def _receive(self) -> None:
        for datagram in islice(receive_all(self._udp), PACKETS_AT_ONCE):
            is_rtp = datagram.data[:1] == bytes([RTP_VERSION])
            start = RTP_HEADER.size if is_rtp else len(TRAIN_MAGIC)
            session = self._sessions.get(datagram.data[start : start + SESSION_BYTES])
            if session is None or session.address != datagram.address:
                self.counts["foreign_datagrams"] += 1
                continue
            session.received_bytes += len(datagram.data) + DATAGRAM_HEADERS
            session.last_arrival = time.monotonic()
            if session.received_bytes > MOST_SESSION_BYTES:
                self.counts["over_limit"] += 1
            elif is_rtp and session.purpose == "reflect":
                self._reflect(session, datagram)
            elif session.purpose == "train":
                _note_arrival(session, datagram)

    def _reflect(self, session: ResponderSession, datagram: Received) -> None:
        if len(datagram.data) < RTP_HEADER.size + REFLECTED.size:
            return  # the answer would be longer
        if not session.may_reflect():
            self.counts["over_limit"] += 1
            return
        _, _, number, timestamp, _ = RTP_HEADER.unpack_from(datagram.data)
        if session.reception is None:
            session.reception = RtpReception(number)
        session.reception.receive(number, timestamp, datagram.arrived_ns * RTP_RATE // 10**9)
        session.numbers.append(number)
        stamps = REFLECTED.pack(session.session_id, datagram.arrived_ns, time.time_ns(), len(session.numbers))
        answer = (datagram.data[: RTP_HEADER.size] + stamps).ljust(len(datagram.data), b"\0")
        with suppress(OSError):  # the agent's port may be closed by now
            self._udp.sendto(answer, (datagram.address, datagram.port))


def _note_arrival(session: ResponderSession, datagram: Received) -> None:
    if len(datagram.data) < TRAIN_PACKET.size:
        return
    _, _, train, number = TRAIN_PACKET.unpack_from(datagram.data)
    if train != session.train:
        session.train, session.arrivals = train, []
    if len(session.arrivals) < 2 * MOST_TRAIN_PACKETS:
        session.arrivals.append((number, datagram.arrived_ns))


def _train_arrivals(session: ResponderSession, train: int) -> TrainArrivals:
    arrivals = session.arrivals if session.train == train else []
    begin = min((time_ns for _, time_ns in arrivals), default=0)
    return TrainArrivals(train, [(number, time_ns - begin) for number, time_ns in arrivals])


def _reflector_count(session: ResponderSession) -> ReflectorCount:
    order = arrival_order(session.numbers)
    jitter = session.reception.jitter if session.reception else 0
    return ReflectorCount(received=order.received, duplicates=order.duplicates, reordered=order.reordered, jitter=jitter)


async def _read(reader: asyncio.StreamReader) -> ToResponder:
    message: ToResponder = msgspec.json.decode(await reader.readuntil(b"\n"), type=ToResponder)
    return message


async def _send(writer: asyncio.StreamWriter, message: ToAgent) -> None:
    writer.write(line(message))
    await writer.drain()
