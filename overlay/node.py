"""One node of the overlay: relay, source or player, by what it is asked to do.

Media does not depend on the bootstrapper: a node keeps its place in each tree and the connections to its neighbours. When its
parent fails, it asks the backup parent, which replays what is missing.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from overlay.control import Connection, Handshakes, MeetingEndedError, meet
from overlay.data_header import HEADER_BYTES, DataHeaderError, read_data_header
from overlay.forwarding import Forwarding
from overlay.meeting import Connecting, Identity, Listening, is_true_speers
from overlay.messages import (
    Body,
    Control,
    Graft,
    InstallTree,
    Leave,
    Message,
    Neighbor,
    NodeDown,
    Ping,
    ProtocolError,
    Prune,
    Speers,
    Subscribe,
)
from overlay.proofs import NONCE_BYTES, ReplayGuard, sealed

HEARTBEAT_S = 0.1
SILENT_AFTER_S = 0.3
"""Three heartbeats, as RFC 5880 counts: one that is late or lost means nothing yet."""
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.1, 5.0


@dataclass(slots=True)
class KnownNeighbor:
    """A neighbour as this node knows it."""

    contact: Neighbor
    key: bytes = field(repr=False)
    listed: bool = True
    """Whether the latest SPEERS names it."""
    connection: Connection | None = None
    heard_s: float = 0.0
    connecting: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Who the node is, where it listens, and what it does."""

    name: str
    key: bytes = field(repr=False)
    bootstrapper: tuple[str, int]
    host: str = "127.0.0.1"
    plays: tuple[str, ...] = ()
    """Streams that it asks for."""


def backoff_s(attempt: int, chance: float) -> float:
    """How long to wait before another attempt; `chance` from 0 to 1 spreads the nodes."""
    return float(min(FIRST_BACKOFF_S * 2 ** min(attempt, 10), LAST_BACKOFF_S) * (0.5 + chance / 2))


class Node(asyncio.DatagramProtocol):
    """A running node. `on_packet` gets every RTP packet that is new here, with the stream and the time."""

    def __init__(self, settings: NodeSettings, on_packet: Callable[[str, bytes, float], None] | None = None) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.streams: dict[str, Forwarding] = {}
        self.neighbors: dict[str, KnownNeighbor] = {}
        self._names: dict[tuple[str, int], str] = {}
        """Neighbours by the address of their datagrams."""
        self._numbers: dict[int, str] = {}
        self._on_packet = on_packet
        self._guard, self._handshakes = ReplayGuard(), Handshakes()
        self._bootstrapper: Connection | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._me = Identity(node=settings.name, tcp_port=0, udp_port=0)
        self._ping = 0
        self.joined = asyncio.Event()

    async def run(self) -> None:
        """Take part until cancelled."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.settings.host, 0))
        server = await asyncio.start_server(self._accepted, self.settings.host, 0)
        tcp_port, udp_port = server.sockets[0].getsockname()[1], self._udp.get_extra_info("sockname")[1]
        self._me = Identity(node=self.settings.name, tcp_port=tcp_port, udp_port=udp_port)
        try:
            async with server, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stay_joined())
                tasks.create_task(self._beat())
        finally:
            self._leave()

    def _leave(self) -> None:
        farewell = Message(node=self.settings.name, body=Leave())
        for connection in [self._bootstrapper, *(each.connection for each in self.neighbors.values())]:
            if connection is not None:
                connection.send(farewell)
                connection.close()
        if self._udp is not None:
            self._udp.close()

    # The bootstrapper

    async def _stay_joined(self) -> None:
        attempt = 0
        while True:
            try:
                connection = await Connection.open(*self.settings.bootstrapper)
                meeting = Connecting(self._me, key=self.settings.key, nonce=secrets.token_bytes(NONCE_BYTES))
                await meet(connection, meeting)
                attempt = 0
                await self._serve_bootstrapper(connection, meeting)
            except (OSError, MeetingEndedError, ProtocolError) as error:
                self.counts[f"not_joined_{getattr(error, 'reason', type(error).__name__)}"] += 1
            self._bootstrapper = None
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311 - no secret
            attempt += 1

    async def _serve_bootstrapper(self, connection: Connection, meeting: Connecting) -> None:
        self._bootstrapper = connection
        if meeting.speers is not None:
            self._update_neighbors(meeting.speers, meeting)
        for stream in self.settings.plays:
            self._send_message(connection, Subscribe(stream=stream))
        self.joined.set()
        try:
            while (message := await connection.receive()) is not None:
                if isinstance(message, Speers):
                    self._update_neighbors(message, meeting)
                elif isinstance(message, Message) and isinstance(message.body, InstallTree):
                    self._install(message.body)
        finally:
            connection.close()

    def _update_neighbors(self, message: Speers, meeting: Connecting) -> None:
        if not is_true_speers(message, self.settings.key, meeting.ack_nonce) or message.nonce != meeting.speers_nonce:
            self.counts["speers_wrong_proof"] += 1
            return
        bound = meeting.ack_nonce, meeting.speers_nonce, message.epoch.to_bytes(8, "big")
        listed = {each.node for each in message.neighbors}
        for name, neighbor in self.neighbors.items():
            neighbor.listed = name in listed
        for each in message.neighbors:
            if len(each.sealed_key) == len(self.settings.key):
                self._update_neighbor(each, sealed(each.sealed_key, self.settings.key, each.node, *bound))

    def _update_neighbor(self, contact: Neighbor, key: bytes) -> None:
        known = self.neighbors.setdefault(contact.node, KnownNeighbor(contact, key))
        self._names.pop((known.contact.host, known.contact.udp_port), None)
        known.contact, known.key = contact, key
        self._names[contact.host, contact.udp_port] = contact.node
        # Of two neighbours the one with the smaller name connects, so they never meet twice.
        if self.settings.name < contact.node and (known.connecting is None or known.connecting.done()):
            known.connecting = asyncio.create_task(self._connect(known))

    # Neighbours

    async def _connect(self, neighbor: KnownNeighbor) -> None:
        """Keep a connection to a neighbour, as long as it is listed."""
        attempt = 0
        while neighbor.listed:
            try:
                connection = await Connection.open(neighbor.contact.host, neighbor.contact.tcp_port)
                await meet(connection, Connecting(self._me, key=neighbor.key, nonce=secrets.token_bytes(NONCE_BYTES)))
                attempt = 0
                await self._serve_neighbor(neighbor, connection)
            except (OSError, MeetingEndedError) as error:
                self.counts[f"neighbor_failed_{getattr(error, 'reason', 'unreachable')}"] += 1
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311 - no secret
            attempt += 1

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        meeting = Listening(self._me, keys=self._key_of, guard=self._guard, nonce=secrets.token_bytes(NONCE_BYTES))
        try:
            await self._handshakes.meet(connection, meeting)
        except MeetingEndedError as error:
            self.counts[f"refused_{error.reason}"] += 1
            return
        if meeting.partner is not None and meeting.partner.node in self.neighbors:
            await self._serve_neighbor(self.neighbors[meeting.partner.node], connection)

    def _key_of(self, node: str) -> bytes | None:
        return self.neighbors[node].key if node in self.neighbors else None

    async def _serve_neighbor(self, neighbor: KnownNeighbor, connection: Connection) -> None:
        if neighbor.connection is not None:
            neighbor.connection.close()
        neighbor.connection, neighbor.heard_s = connection, time.monotonic()
        for forwarding in self.streams.values():
            if forwarding.wanted == neighbor.contact.node:
                self._change_parent(forwarding, forwarding.wanted)
        try:
            while (message := await connection.receive()) is not None:
                neighbor.heard_s = time.monotonic()
                self._heard(neighbor, message)
        except ProtocolError:
            self.counts["refused_unreadable_message"] += 1
        finally:
            connection.close()
            if neighbor.connection is connection:
                self._lose(neighbor, "closed")

    def _heard(self, neighbor: KnownNeighbor, message: Control) -> None:
        if isinstance(message, Ping):
            return
        body = message.body if isinstance(message, Message) else None
        if isinstance(body, Graft) and body.stream in self.streams:
            self._grafted(self.streams[body.stream], neighbor.contact.node, body)
        elif isinstance(body, Prune) and body.stream in self.streams:
            self.streams[body.stream].prune(neighbor.contact.node)
            self._leave_parent_if_unused(self.streams[body.stream])
        elif not isinstance(body, Leave):
            self.counts["unexpected_message"] += 1

    def _grafted(self, forwarding: Forwarding, child: str, body: Graft) -> None:
        """Feed a child. What is missing here is asked for upstream, and passes through."""
        for receiver, packet in forwarding.graft(child, body.from_sequence):
            self._send(receiver, packet)
        upstream = forwarding.parent or forwarding.wanted or forwarding.tree.backup
        if upstream is None or upstream == child or not forwarding.lacks(body.from_sequence):
            return
        if forwarding.parent is None:
            forwarding.asked_from = body.from_sequence
            self._change_parent(forwarding, upstream)
        elif (connection := self._connection_to(upstream)) is not None:
            self._send_message(connection, body)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._ping += 1
            ping, now_s = Ping(node=self.settings.name, number=self._ping), time.monotonic()
            if self._bootstrapper is not None and self._ping % 10 == 0:
                self._bootstrapper.send(ping)
            for neighbor in self.neighbors.values():
                if neighbor.connection is None:
                    continue
                neighbor.connection.send(ping)
                if now_s - neighbor.heard_s > SILENT_AFTER_S:
                    self._lose(neighbor, "silent")

    def _lose(self, neighbor: KnownNeighbor, how: str) -> None:
        """A neighbour has failed. Where it was the parent, the backup takes over."""
        connection, neighbor.connection = neighbor.connection, None
        if connection is not None:
            connection.close()
        self.counts[f"neighbor_{how}"] += 1
        for forwarding in self.streams.values():
            forwarding.prune(neighbor.contact.node)
            self._leave_parent_if_unused(forwarding)
            if forwarding.parent == neighbor.contact.node and forwarding.tree.backup not in (None, forwarding.parent):
                self.counts["failovers"] += 1
                self._change_parent(forwarding, forwarding.tree.backup)
        if self._bootstrapper is not None:
            self._send_message(self._bootstrapper, NodeDown(node=neighbor.contact.node))

    # Trees and media

    def _install(self, place: InstallTree) -> None:
        forwarding = self.streams.setdefault(place.stream, Forwarding(place))
        self._numbers[place.stream_number] = place.stream
        forwarding.install(place)
        if place.parent is None:
            self._leave_parent_if_unused(forwarding)
        elif place.parent != forwarding.parent:
            self._change_parent(forwarding, place.parent)

    def _leave_parent_if_unused(self, forwarding: Forwarding) -> None:
        """A node that the tree has left out keeps its parent until its last child has another one."""
        if forwarding.tree.parent is None and forwarding.parent is not None and not forwarding.children:
            self._change_parent(forwarding, None)

    def _change_parent(self, forwarding: Forwarding, parent: str | None) -> None:
        """Ask another parent for the stream, from the first packet that is missing here, and leave the parent so far."""
        connection = self._connection_to(parent)
        if parent is not None and connection is None:
            forwarding.wanted = parent  # asked as soon as there is a connection
            self.counts["grafts_waited"] += 1
            return
        stream, before = forwarding.tree.stream, forwarding.parent
        if connection is not None:
            first_missing = forwarding.first_missing()
            missing = forwarding.asked_from if first_missing is None else first_missing
            self._send_message(connection, Graft(stream=stream, from_sequence=missing))
        if before != parent and (left := self._connection_to(before)) is not None:
            self._send_message(left, Prune(stream=stream))
        forwarding.parent, forwarding.wanted, forwarding.asked_from = parent, None, None

    def _connection_to(self, name: str | None) -> Connection | None:
        neighbor = self.neighbors.get(name) if name is not None else None
        return neighbor.connection if neighbor is not None else None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A media packet. Only neighbours may send any; others are counted and get no answer."""
        name = self._names.get(addr[:2])
        if name is None:
            self.counts["data_from_stranger"] += 1
            return
        now_s = time.monotonic()
        self.neighbors[name].heard_s = now_s
        try:
            stream = self._numbers.get(read_data_header(data).stream)
        except DataHeaderError:
            self.counts["data_unreadable"] += 1
            return
        if stream is None:
            self.counts["data_of_no_stream"] += 1
            return
        forwarding = self.streams[stream]
        known = forwarding.counts["data_received"]
        for child, packet in forwarding.arrived(data, now_s):
            self._send(child, packet)
        if self._on_packet is not None and forwarding.counts["data_received"] > known:
            self._on_packet(stream, data[HEADER_BYTES:], now_s)

    def originate(self, stream: str, rtp: bytes) -> None:
        """Send an RTP packet into the stream's tree; without a tree it is discarded."""
        if stream in self.streams:
            for child, packet in self.streams[stream].originated(rtp, time.monotonic(), time.time_ns() // 1000):
                self._send(child, packet)

    def _send(self, child: str, packet: bytes) -> None:
        neighbor = self.neighbors.get(child)
        if neighbor is None or self._udp is None:
            self.counts["data_without_address"] += 1
        else:
            self._udp.sendto(packet, (neighbor.contact.host, neighbor.contact.udp_port))

    def _send_message(self, connection: Connection, body: Body) -> None:
        connection.send(Message(node=self.settings.name, body=body))
