"""Flows: the packets of one transport protocol between two addresses and ports, in both directions.

The client of a flow is the side that began it: the sender of the SYN, and without one the sender of the first packet. Where the
address of the client is known, as in a capture at it, that decides. A TCP connection that begins between the ports of an earlier
one is another flow.
"""

from dataclasses import dataclass
from typing import NamedTuple

from qoe_lab.traffic.packet_headers import ACK, SYN, TCP, UDP, Packet, TcpHeader, address_text
from qoe_lab.traffic.side_events import EventSink
from qoe_lab.traffic.slot_connection import SlotConnection
from qoe_lab.traffic.tcp_connection import TcpConnection
from qoe_lab.traffic.tcp_statistics import TcpStatistics

PROTOCOLS = {1: "icmp", 2: "igmp", TCP: "tcp", UDP: "udp", 58: "icmpv6", 132: "sctp"}
MOST_FRAGMENTED = 4096
"""Fragmented packets whose first fragment is remembered."""
MOST_KNOWN_FLOWS = 1000
"""Without statistics: a live capture may run for months, and a port scan has a new flow in each packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDirection:
    """The packets in one direction of a flow."""

    packets: int
    frame_bytes: int
    """On the wire, with the headers of the link."""
    ip_bytes: int
    payload_bytes: int
    """Behind the headers of TCP or UDP."""
    tcp: TcpStatistics | None
    """None for other protocols, and in a table without statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow as far as it was captured. `up` is from the client to the server."""

    protocol: str
    client: str
    client_port: int
    server: str
    server_port: int
    begin_ns: int
    end_ns: int
    up: FlowDirection
    down: FlowDirection

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9

    @property
    def goodput_up_kbps(self) -> float | None:
        return self._goodput_kbps(self.up)

    @property
    def goodput_down_kbps(self) -> float | None:
        return self._goodput_kbps(self.down)

    def _goodput_kbps(self, direction: FlowDirection) -> float | None:
        """Payload that is not a repetition, per duration; None for a flow of one moment."""
        size = direction.payload_bytes if direction.tcp is None else direction.tcp.unique_bytes
        return size * 8 / 1000 / self.duration_s if self.end_ns > self.begin_ns else None


class _Sums:
    """Of one direction."""

    __slots__ = ("frame_bytes", "ip_bytes", "packets", "payload_bytes")

    def __init__(self) -> None:
        self.packets = self.frame_bytes = self.ip_bytes = self.payload_bytes = 0

    def direction(self, tcp: TcpStatistics | None) -> FlowDirection:
        return FlowDirection(
            packets=self.packets,
            frame_bytes=self.frame_bytes,
            ip_bytes=self.ip_bytes,
            payload_bytes=self.payload_bytes,
            tcp=tcp,
        )


class OpenFlow:
    """A flow whose packets are still being counted."""

    __slots__ = ("_down", "_up", "begin_ns", "client", "client_port", "end_ns", "protocol", "server", "server_port", "tcp")

    def __init__(self, packet: Packet, *, from_client: bool, tcp: TcpConnection | SlotConnection | None) -> None:
        self.protocol, self.tcp = packet.protocol, tcp
        self.client, self.client_port = packet.source, packet.source_port
        self.server, self.server_port = packet.destination, packet.destination_port
        if not from_client:
            self.client, self.client_port, self.server, self.server_port = (
                self.server,
                self.server_port,
                self.client,
                self.client_port,
            )
        self.begin_ns = self.end_ns = packet.time_ns
        self._up, self._down = _Sums(), _Sums()

    def add(self, packet: Packet, *, from_client: bool) -> None:
        sums = self._up if from_client else self._down
        sums.packets += 1
        sums.frame_bytes += packet.frame_bytes
        sums.ip_bytes += packet.ip_bytes
        sums.payload_bytes += packet.payload_bytes
        if packet.time_ns > self.end_ns:
            self.end_ns = packet.time_ns
        elif packet.time_ns < self.begin_ns:
            self.begin_ns = packet.time_ns
        if self.tcp is not None and packet.tcp is not None:
            self.tcp.add(packet, packet.tcp, from_client=from_client)

    def flow(self) -> Flow:
        """The flow up to now."""
        up, down = self.tcp.statistics(self.begin_ns) if isinstance(self.tcp, TcpConnection) else (None, None)
        return Flow(
            protocol=PROTOCOLS.get(self.protocol, str(self.protocol)),
            client=address_text(self.client),
            client_port=self.client_port,
            server=address_text(self.server),
            server_port=self.server_port,
            begin_ns=self.begin_ns,
            end_ns=self.end_ns,
            up=self._up.direction(up),
            down=self._down.direction(down),
        )


class FlowPacket(NamedTuple):
    """To which flow a packet belongs, and whether its client sent it."""

    flow: OpenFlow
    from_client: bool


_Ends = tuple[int, bytes, int, bytes, int]


class FlowTable:
    """The flows of a capture. `add` the packets in the order of the capture."""

    def __init__(self, *, client: bytes | None = None, statistics: bool = True) -> None:
        """`client` is the address of the client, if it is known. `statistics`: whether flows of TCP get their statistics.

        Without them, the table forgets the flows that have been silent for longest when it has MOST_KNOWN_FLOWS, and `flows` is
        empty.
        """
        self.up_events, self.down_events = EventSink(), EventSink()
        self._client = client
        self._keep = statistics
        self._connection = TcpConnection if statistics else SlotConnection
        self._open: dict[_Ends, FlowPacket] = {}
        self._all: list[OpenFlow] = []
        self._fragmented: dict[tuple[int, bytes, bytes, int | None], FlowPacket] = {}

    def add(self, packet: Packet) -> FlowPacket | None:
        """Count a packet. None for a later fragment whose first one is not in the capture."""
        if packet.later_fragment:
            found = self._fragmented.get((packet.protocol, packet.source, packet.destination, packet.ip_id))
            if found is None:
                return None
        else:
            ends = (packet.protocol, packet.source, packet.source_port, packet.destination, packet.destination_port)
            found = self._open.get(ends)
            if found is None or (packet.tcp is not None and packet.tcp.flags & SYN and _is_another(found, packet.tcp)):
                found = self._begin(packet, ends)
            if packet.first_fragment:
                self._remember(packet, found)
        found.flow.add(packet, from_client=found.from_client)
        return found

    def flows(self) -> list[Flow]:
        """All flows up to now, in the order of their first packets; none without statistics."""
        return [each.flow() for each in self._all]

    def _begin(self, packet: Packet, ends: _Ends) -> FlowPacket:
        connection = self._connection(self.up_events, self.down_events) if packet.tcp else None
        found = FlowPacket(OpenFlow(packet, from_client=self._is_client(packet), tcp=connection), self._is_client(packet))
        protocol, source, source_port, destination, destination_port = ends
        back = (protocol, destination, destination_port, source, source_port)
        if back != ends:
            self._open[back] = FlowPacket(found.flow, not found.from_client)
        self._open[ends] = found
        if self._keep:
            self._all.append(found.flow)
        elif len(self._open) > 2 * MOST_KNOWN_FLOWS:
            self._forget_half()
        return found

    def _forget_half(self) -> None:
        """Forget the flows that have been silent for longest; a later packet of one begins a flow again."""
        by_end = sorted(self._open.items(), key=lambda item: item[1].flow.end_ns)
        self._open = dict(by_end[len(by_end) // 2 :])

    def _is_client(self, packet: Packet) -> bool:
        """Whether the sender of a flow's first packet is the client."""
        if self._client is not None and self._client in (packet.source, packet.destination):
            return packet.source == self._client
        return packet.tcp is None or packet.tcp.flags & (SYN | ACK) != SYN | ACK

    def _remember(self, packet: Packet, found: FlowPacket) -> None:
        self._fragmented[packet.protocol, packet.source, packet.destination, packet.ip_id] = found
        if len(self._fragmented) > MOST_FRAGMENTED:
            del self._fragmented[next(iter(self._fragmented))]


def _is_another(found: FlowPacket, tcp: TcpHeader) -> bool:
    """Whether a segment begins another connection between the ports of a flow."""
    connection = found.flow.tcp
    return connection is not None and connection.is_followed_by(tcp, from_client=found.from_client)
