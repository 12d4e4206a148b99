"""One node of the overlay. Its settings make it a relay, a source or a player.

Media does not depend on the bootstrapper: a node keeps its place in each tree and the connections to its neighbours. When its
parent fails, it asks the backup parent, which replays what is missing.
"""

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress

from overlay import socket_memory
from overlay.control import ControlConnection, HandshakeFailedError, Handshakes, TlsFailedError, TlsTo, backoff_s, perform_handshake
from overlay.control_datagram import is_control, read_control_datagram
from overlay.control_listener import listening
from overlay.datagrams import Address, Datagrams, bound_socket
from overlay.distribution import Distribution
from overlay.handshake_side import Connecting, Identity, Listening, is_true_speers
from overlay.heartbeat import interval_s
from overlay.known_neighbor import KnownNeighbor, address_of
from overlay.link_reports import LinkReports
from overlay.membership import Membership
from overlay.messages import (
    Control,
    Data,
    GeneralMessage,
    Graft,
    InstallTree,
    Leave,
    Nack,
    Neighbor,
    NodeDown,
    Ping,
    ProtocolError,
    Prune,
    Speers,
)
from overlay.neighbor_links import IP_TCP_BYTES, IP_UDP_BYTES, NeighborLinks
from overlay.node_settings import NodeSettings
from overlay.proofs import NONCE_BYTES, ReplayGuard, sealed
from overlay.reception import Arrival
from overlay.tracing import Trace, Tracing, held_us

log = logging.getLogger(__name__)

TICK_S = 0.05
"""The time between two checks of what is due and which neighbours are silent."""
LATE_S = 0.01
"""A check that is later than this shows that the node waited for processor time."""
DRAIN_S = 1.0
"""The longest time for which a leaving node feeds its children. They need a few round trips to change parents."""
UNLISTED_S = 60.0
"""How long a neighbour is kept after SPEERS no longer lists it. A restarted bootstrapper lists only those that have joined."""


class OverlayNode:
    """A running node. `on_packet` gets every RTP packet that is new here, `on_trace` each trace that ends here."""

    def __init__(
        self,
        settings: NodeSettings,
        on_packet: Callable[[Arrival], None] | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        on_refused: Callable[[str, str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.neighbors: dict[str, KnownNeighbor] = {}
        self._links = NeighborLinks(settings.name, self.neighbors, self.counts)
        self._distribution = Distribution(self._links, self.counts, on_packet)
        self.streams = self._distribution.streams
        self._tracing = Tracing(settings.name, self._links, self.streams, self.counts, on_trace)
        self._names: dict[Address, str] = {}
        """Neighbours by the address of their datagrams."""
        self._guard, self._handshakes = ReplayGuard(), Handshakes()
        self.membership = Membership(settings, self.counts, self._from_bootstrapper, on_refused)
        self._reports = LinkReports(settings, self.neighbors, self.membership, self._distribution, self._tracing)
        self._me = Identity(node=settings.name, tcp_port=0, udp_port=0)
        self._forgotten_bytes = 0
        self._plays = {choice.name for choice in settings.plays}
        self._beaten = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled. `on_refused` gets the name of a stream that the node cannot get, and the reason."""
        udp = self._links.datagrams = Datagrams(await bound_socket(self.settings.host), self._handle_datagram)
        udp_port, tls = udp.socket.getsockname()[1], self.settings.tls
        try:
            async with listening(self.settings.host, 0, self._accepted, tls, self.counts) as tcp_port, asyncio.TaskGroup() as tasks:
                self._me = Identity(node=self.settings.name, tcp_port=tcp_port, udp_port=udp_port)
                tasks.create_task(self.membership.keep(self._me))
                tasks.create_task(self._beat())
        finally:
            self._leave()

    async def drain(self, within_s: float = DRAIN_S) -> None:
        """Leave the overlay, and feed the children until each has another parent, for at most `within_s`. Then cancel `run`."""
        fed, leave = self._distribution.fed_children(), Leave(drain_ms=round(within_s * 1000))
        self.membership.leave(leave)
        for name in fed:
            self._links.send_message(name, leave)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._distribution.fed_children():  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(TICK_S)
        self.counts["children_left"] += len(fed)
        self.counts["children_abandoned"] += len(self._distribution.fed_children())

    def _leave(self) -> None:
        self._distribution.close()
        farewell = GeneralMessage(node=self.settings.name, body=Leave())
        for connection in [self.membership.connection, *(each.connection for each in self.neighbors.values())]:
            if connection is not None:
                connection.send(farewell)
                connection.close()
        datagrams, self._links.datagrams = self._links.datagrams, None
        if datagrams is not None:
            self.counts["data_dropped_by_kernel"] += socket_memory.dropped(datagrams.socket)
            datagrams.close()

    @property
    def sent_bytes(self) -> int:
        """The bytes of datagrams and media, with IP headers."""
        return self._links.sent_bytes

    @property
    def received_bytes(self) -> int:
        """As `sent_bytes`, from all neighbours so far."""
        return self._forgotten_bytes + sum(each.measure.received_bytes for each in self.neighbors.values())

    def queued_bytes(self) -> int:
        """The kernel's memory for datagrams that the node has sent, and that wait in the queues of its links."""
        return socket_memory.queued_bytes(self._links.datagrams.socket) if self._links.datagrams is not None else 0

    def read(self) -> None:
        """Read the waiting datagrams. A node that forwards nothing reads only once per beat, which halves its processor time."""
        self._links.read()
        self._links.read_each(self._distribution.is_urgent(time.monotonic()))

    async def next_beat(self) -> None:
        """Wait for the next beat, for at most `TICK_S`. Work that can wait for it costs no wake-up of its own."""
        await self._beaten.wait()

    # The bootstrapper

    def _from_bootstrapper(self, message: Control, side: Connecting) -> None:
        if isinstance(message, Speers):
            self._update_neighbors(message, side)
        elif isinstance(message, GeneralMessage) and isinstance(message.body, InstallTree):
            self._distribution.install(message.body, {name for name, each in self.neighbors.items() if not each.listed})
            self.read()

    def _update_neighbors(self, message: Speers, side: Connecting) -> None:
        if not is_true_speers(message, self.settings.key, side.ack_nonce) or message.nonce != side.speers_nonce:
            self.counts["speers_wrong_proof"] += 1
            return
        bound = side.ack_nonce, side.speers_nonce, message.epoch.to_bytes(8, "big")
        listed = {each.node for each in message.neighbors}
        for name, neighbor in self.neighbors.items():
            if neighbor.listed and name not in listed:
                neighbor.unlisted_s = time.monotonic()
            neighbor.listed = name in listed
        for each in message.neighbors:
            if len(each.sealed_key) == len(self.settings.key):
                self._update_neighbor(each, sealed(each.sealed_key, self.settings.key, each.node, *bound))

    def _update_neighbor(self, contact: Neighbor, key: bytes) -> None:
        known = self.neighbors.setdefault(contact.node, KnownNeighbor(contact, key))
        self._names.pop((known.contact.host, known.contact.udp_port), None)
        if address_of(known.contact) != address_of(contact) and known.connecting is not None:
            known.connecting.cancel()  # it was restarted: close the connection to its former process
            known.connecting = None
        known.contact, known.key = contact, key
        self._names[contact.host, contact.udp_port] = contact.node
        # Of two neighbours only the one with the smaller name connects, so there is one connection.
        if self.settings.name < contact.node and (known.connecting is None or known.connecting.done()):
            known.connecting = asyncio.create_task(self._connect(known))

    # Neighbours

    async def _connect(self, neighbor: KnownNeighbor) -> None:
        """Keep a connection to a neighbour, as long as it is listed."""
        attempt = 0
        while neighbor.listed:
            try:
                host, port, _ = address_of(neighbor.contact)
                tls = TlsTo(self.settings.tls.link, neighbor.contact.node) if self.settings.tls is not None else None
                connection = await ControlConnection.open(host, port, local_host=self.settings.host, tls=tls)
                side = Connecting(self._me, key=neighbor.key, nonce=secrets.token_bytes(NONCE_BYTES))
                with closing(connection):
                    await perform_handshake(connection, side)
                    attempt = 0
                    await self._serve_neighbor(neighbor, connection)
            except (OSError, HandshakeFailedError) as error:
                self.counts[f"neighbor_failed_{getattr(error, 'reason', 'unreachable')}"] += 1
                if isinstance(error, TlsFailedError) and attempt == 0:
                    log.warning("TLS with the neighbour %s fails: %s; check the certificates of both", neighbor.contact.node, error)
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311 - no secret
            attempt += 1

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = ControlConnection(reader, writer)
        side = Listening(self._me, keys=self._key_of, guard=self._guard, nonce=secrets.token_bytes(NONCE_BYTES))
        try:
            await self._handshakes.perform(connection, side)
        except HandshakeFailedError as error:
            self.counts[f"refused_{error.reason}"] += 1
            return
        if side.partner is not None and side.partner.node in self.neighbors:
            await self._serve_neighbor(self.neighbors[side.partner.node], connection)

    def _key_of(self, node: str) -> bytes | None:
        return self.neighbors[node].key if node in self.neighbors else None

    async def _serve_neighbor(self, neighbor: KnownNeighbor, connection: ControlConnection) -> None:
        if neighbor.connection is not None:
            neighbor.connection.close()
        neighbor.connection = connection
        neighbor.heartbeat.connected(time.monotonic())
        self._distribution.connected(neighbor.contact.node)
        try:
            while (message := await connection.receive()) is not None:
                neighbor.heartbeat.note_sign_of_life(time.monotonic())
                self._handle_message(neighbor, message)
                self.read()  # the message may have added a child
        except ProtocolError:
            self.counts["refused_unreadable_message"] += 1
        finally:
            connection.close()
            if neighbor.connection is connection:
                self._handle_failed_neighbor(neighbor, "closed")

    def _handle_message(self, neighbor: KnownNeighbor, message: Control) -> None:
        if neighbor.uses_tcp and self._handle_on_tcp_link(neighbor, message, time.monotonic()):
            return
        if isinstance(message, Ping):
            neighbor.heartbeat.announced(message.number, message.interval_ms)
            return
        body = message.body if isinstance(message, GeneralMessage) else None
        if isinstance(body, Graft | Prune):
            neighbor.heartbeat.announce()
            self._distribution.handle_request(neighbor.contact.node, body)
        elif isinstance(body, Leave):
            self._distribution.leaves(neighbor.contact.node)
        else:
            self.counts["unexpected_message"] += 1

    def _handle_on_tcp_link(self, neighbor: KnownNeighbor, message: Control, now_s: float) -> bool:
        """Handle messages that other links send in datagrams; False for all others."""
        if isinstance(message, Data):
            neighbor.measure.received_bytes += IP_TCP_BYTES + len(message.packet)
            self._distribution.arrived(neighbor.contact.node, message.packet, now_s)
        elif isinstance(message, Ping):
            self._pinged(neighbor, message, now_s)
        elif isinstance(message, GeneralMessage) and isinstance(message.body, Nack):
            self._distribution.repeat(neighbor.contact.node, message.body)
        else:
            return False
        return True

    async def _beat(self) -> None:
        before_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self._allow_for_own_stop(now_s - before_s - TICK_S, now_s)
            before_s = now_s
            self.read()  # each waiting datagram is a sign of life
            self._distribution.retry_requests(now_s)
            in_use, fed = self._distribution.in_use(now_s), self._distribution.fed(now_s)
            self._reports.report(now_s, in_use=bool(in_use))
            self._beaten.set()
            self._beaten.clear()
            for name, neighbor in list(self.neighbors.items()):
                unlisted_s = 0.0 if neighbor.listed else self.membership.joined_since(neighbor.unlisted_s, now_s)
                if unlisted_s > UNLISTED_S and name not in in_use:
                    self._forget(neighbor)
                elif neighbor.connection is not None:
                    every_s = interval_s(feeds=name in fed, link_in_use=name in in_use, node_in_use=bool(in_use))
                    self._ping_if_due(neighbor, every_s, now_s)

    def _ping_if_due(self, neighbor: KnownNeighbor, every_s: float, now_s: float) -> None:
        beat = neighbor.heartbeat.due(every_s, now_s, neighbor.media_sent_s)
        if beat is not None:
            ping = Ping(node=self.settings.name, number=beat.number, interval_ms=beat.interval_ms)
            self._links.send_control(neighbor, ping)
            if beat.on_tcp and not neighbor.uses_tcp and neighbor.connection is not None:
                neighbor.connection.send(ping)
        if neighbor.heartbeat.is_silent(now_s):
            self._handle_failed_neighbor(neighbor, "silent")

    def _forget(self, neighbor: KnownNeighbor) -> None:
        """Forget a neighbour that has not been listed for `UNLISTED_S`, and that no stream needs."""
        del self.neighbors[neighbor.contact.node]
        self._names.pop((neighbor.contact.host, neighbor.contact.udp_port), None)
        self._forgotten_bytes += neighbor.measure.received_bytes
        if neighbor.connecting is not None:
            neighbor.connecting.cancel()
        connection, neighbor.connection = neighbor.connection, None
        if connection is not None:
            connection.close()
        self.counts["neighbors_forgotten"] += 1

    def _allow_for_own_stop(self, late_s: float, now_s: float) -> None:
        """Do not count the time in which this node itself did not run as silence of its neighbours."""
        if late_s < LATE_S:
            return
        self.counts["beats_late"] += late_s > TICK_S
        for neighbor in self.neighbors.values():
            neighbor.heartbeat.stopped(late_s, now_s)

    def _handle_failed_neighbor(self, neighbor: KnownNeighbor, how: str) -> None:
        """Close its connection, change to the backup parent where it is the parent, and tell the bootstrapper."""
        connection, neighbor.connection = neighbor.connection, None
        if connection is not None:
            connection.close()
        self.counts[f"neighbor_{how}"] += 1
        self._distribution.lost(neighbor.contact.node)
        self.membership.send_message(NodeDown(node=neighbor.contact.node))

    # Datagrams

    def _handle_datagram(self, data: bytes, address: Address, now_s: float) -> None:
        """Handle media or a control message. Datagrams of other senders than neighbours are counted and not answered."""
        name = self._names.get(address[:2])
        if name is None:
            self.counts["data_from_stranger"] += 1
            return
        neighbor = self.neighbors[name]
        neighbor.measure.received_bytes += IP_UDP_BYTES + len(data)
        if is_control(data):
            self._handle_control_datagram(neighbor, data, now_s)
        else:
            neighbor.heartbeat.note_sign_of_life(now_s)
            self._distribution.arrived(name, data, now_s)

    def _handle_control_datagram(self, neighbor: KnownNeighbor, data: bytes, now_s: float) -> None:
        try:
            message = read_control_datagram(neighbor.contact.node, neighbor.key, data)
        except ProtocolError:
            self.counts["refused_unreadable_message"] += 1
            return
        if message is None:
            self.counts["refused_wrong_proof"] += 1
            return
        neighbor.heartbeat.note_sign_of_life(now_s)
        if isinstance(message, Ping):
            self._pinged(neighbor, message, now_s)
        elif isinstance(message, GeneralMessage) and isinstance(message.body, Nack):
            self._distribution.repeat(neighbor.contact.node, message.body)
        else:
            self.counts["unexpected_message"] += 1

    def _pinged(self, neighbor: KnownNeighbor, ping: Ping, now_s: float) -> None:
        if ping.stream is not None:
            self._tracing.handle_ping(neighbor.contact.node, ping, now_s, plays=ping.stream in self._plays)
        elif not ping.answer:
            neighbor.measure.pinged(ping.number)
            neighbor.heartbeat.announced(ping.number, ping.interval_ms)
            answer = Ping(node=self.settings.name, number=ping.number, answer=True, held_us=held_us(now_s))
            self._links.send_control(neighbor, answer)
        elif (round_trip_s := neighbor.heartbeat.round_trip_s(ping.number, now_s)) is not None:
            neighbor.measure.answered(max(round_trip_s - ping.held_us / 1e6, 0.0))

    # For the owner of the node

    def feeds(self, stream: str) -> bool:
        """Whether the stream has a child here."""
        return stream in self.streams and bool(self.streams[stream].children)

    def originate(self, stream: str, rtp: bytes) -> None:
        """Send an RTP packet into the stream's tree; without a tree it is discarded."""
        self._distribution.originate(stream, rtp)
