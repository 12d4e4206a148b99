"""How a node sends to its neighbours: on UDP and TCP, or everything on TCP if the topology demands it."""

import time
from collections import Counter

from overlay.control_datagram import control_datagram
from overlay.datagrams import Datagrams
from overlay.known_neighbor import KnownNeighbor
from overlay.messages import Body, Control, Data, GeneralMessage, Graft, Nack, Ping

UNKNOWN_ROUND_TRIP_S = 0.05
IP_UDP_BYTES = 28
IP_TCP_BYTES = 52
MOST_QUEUED_BYTES = 128 * 1024
"""Media that waits for a slow receiver on a link with TCP, or for a full network interface: one second of 1 Mbit/s. Further packets
are dropped."""


class NeighborLinks:
    """The links of one node (`distribution.Links`, `tracing.TraceLinks`)."""

    def __init__(self, node: str, neighbors: dict[str, KnownNeighbor], counts: Counter[str]) -> None:
        self._node, self._neighbors, self._counts = node, neighbors, counts
        self.datagrams: Datagrams | None = None
        self.sent_bytes = 0
        """The bytes of datagrams with IP and UDP headers, and of media on TCP."""

    def read(self) -> None:
        """Read the datagrams that wait."""
        if self.datagrams is not None:
            self.datagrams.read()

    def read_each(self, each: bool) -> None:
        """Whether to read each datagram when it arrives, or only with `read`."""
        if self.datagrams is not None:
            self.datagrams.read_each(each)

    def send_message(self, neighbor: str, body: Body) -> bool:
        """Send a control message on TCP; False if there is no connection."""
        known = self._neighbors.get(neighbor)
        if known is None or known.connection is None:
            return False
        known.connection.send(GeneralMessage(node=self._node, body=body))
        if isinstance(body, Graft):
            known.heartbeat.asked(time.monotonic())
        return True

    def send(self, neighbor: str, packet: bytes) -> None:
        """Send a media packet."""
        known = self._neighbors.get(neighbor)
        if known is None:
            self._counts["data_without_address"] += 1
            return
        taken = self._send_on_tcp(known, packet) if known.uses_tcp else self._send_datagram(known, packet)
        if taken:
            known.media_sent_s = time.monotonic()

    def request(self, neighbor: str, body: Nack) -> None:
        """Send a request for packets."""
        if neighbor in self._neighbors:
            self.send_control(self._neighbors[neighbor], GeneralMessage(node=self._node, body=body))

    def ping(self, neighbor: str, ping: Ping) -> None:
        """Send a trace."""
        if neighbor not in self._neighbors:
            return
        try:
            self.send_control(self._neighbors[neighbor], ping)
        except ValueError:
            self._counts["traces_dropped"] += 1  # with long names, the path does not fit into a datagram

    def round_trip_s(self, neighbor: str) -> float:
        """The measured time to a neighbour and back; 50 ms before the first measurement."""
        known = self._neighbors.get(neighbor)
        measured = known.measure.round_trip_s if known is not None else None
        return UNKNOWN_ROUND_TRIP_S if measured is None else measured

    def send_control(self, known: KnownNeighbor, message: Control) -> None:
        """Send a message that may be lost: in a datagram, or on TCP where the link has no datagrams."""
        if not known.uses_tcp:
            self._send_datagram(known, control_datagram(self._node, known.key, message))
        elif known.connection is not None:
            known.connection.send(message)

    def _send_datagram(self, known: KnownNeighbor, data: bytes) -> bool:
        """Send a datagram. The kernel may refuse it for now, so it waits here within a limit; False if there is no room."""
        if self.datagrams is None:
            return False
        if self.datagrams.queued_bytes > MOST_QUEUED_BYTES:
            self._counts["data_dropped_for_full_interface"] += 1
            known.dropped += 1
            return False
        self.sent_bytes += IP_UDP_BYTES + len(data)
        self.datagrams.send(data, (known.contact.host, known.contact.udp_port))
        return True

    def _send_on_tcp(self, known: KnownNeighbor, packet: bytes) -> bool:
        """Send on TCP. False if the packet is dropped because the receiver is too slow; the receiver then requests it with NACK."""
        if known.connection is None:
            self._counts["data_without_connection"] += 1
        elif known.connection.unsent_bytes() > MOST_QUEUED_BYTES:
            self._counts["data_dropped_for_slow_receiver"] += 1
            known.dropped += 1
        else:
            self.sent_bytes += IP_TCP_BYTES + len(packet)
            known.connection.send(Data(packet=packet))
            return True
        return False
