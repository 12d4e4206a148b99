"""A TCP connection as slots need it: round trips of the client's data, segments out of sequence, and windows of zero.

It reports the same events as `TcpConnection`, at less than half the cost: of the server's data it only keeps which bytes were seen.
"""

from qoe_lab.traffic.packet_headers import ACK, FIN, RST, SYN, Packet, TcpHeader
from qoe_lab.traffic.rtt_samples import RoundTrips
from qoe_lab.traffic.sent_bytes import SentBytes
from qoe_lab.traffic.sequence_space import SequenceSpace
from qoe_lab.traffic.side_events import EventSink
from qoe_lab.traffic.tcp_options import ONLY_TIMESTAMPS, read_options


class SlotConnection:
    """`up` is the side of the client, `down` that of the server."""

    __slots__ = ("_down", "_down_events", "_down_syn", "_has_data", "_over", "_up", "_up_events", "_up_syn")

    def __init__(self, up_events: EventSink, down_events: EventSink) -> None:
        self._up_events, self._down_events = up_events, down_events
        self._up: SentBytes | None = None
        """The data of the client; None until a segment shows a sequence number or is acknowledged."""
        self._down: SequenceSpace | None = None
        self._up_syn: int | None = None
        self._down_syn: int | None = None
        self._over = self._has_data = False

    def is_followed_by(self, tcp: TcpHeader, *, from_client: bool) -> bool:
        """Whether the segment begins another connection between the same ports."""
        if not tcp.flags & SYN or tcp.flags & ACK:
            return False
        return not self._may_begin_with(tcp.seq, from_client=from_client) and (self._over or self._has_data)

    def add(self, packet: Packet, tcp: TcpHeader, *, from_client: bool) -> None:
        """See a segment."""
        flags = tcp.flags
        if flags & SYN:
            self._see_syn(tcp.seq, from_client=from_client)
        if flags & RST:
            self._over = True
        elif from_client:
            self._add_up(packet, tcp)
        else:
            self._add_down(packet, tcp)

    def _add_up(self, packet: Packet, tcp: TcpHeader) -> None:
        flags, payload = tcp.flags, packet.payload_bytes
        if tcp.window == 0 and not flags & SYN:
            self._up_events.zero_window()
        if self._down is None and flags & ACK:
            self._down = SequenceSpace(tcp.ack)
        if payload or flags & (SYN | FIN):
            self._has_data |= payload > 0
            sent = self._up or self._follow_up(tcp.seq)
            sent.send(
                tcp.seq,
                payload,
                syn=bool(flags & SYN),
                fin=bool(flags & FIN),
                ip_id=packet.ip_id,
                now_ns=packet.time_ns,
                probe=False,
            )

    def _add_down(self, packet: Packet, tcp: TcpHeader) -> None:
        number, ack, flags, _, options = tcp
        if flags & ACK:
            sent = self._up or self._follow_up(ack)
            sent.acknowledge(ack, packet.time_ns, may_report_loss=False)
            if options and not (len(options) == 12 and options.startswith(ONLY_TIMESTAMPS)):
                block = read_options(options).sack_block
                if block is not None:
                    sent.acknowledge_block(*block, packet.time_ns)
        payload = packet.payload_bytes
        if payload or flags & (SYN | FIN):
            self._has_data |= payload > 0
            self._see_down(number, payload + bool(flags & SYN) + bool(flags & FIN), packet.time_ns)

    def _see_down(self, number: int, size: int, now_ns: int) -> None:
        space = self._down
        if space is None:
            space = self._down = SequenceSpace(number)
        begin = space.position(number)
        if begin >= space.highest:
            space.extend(begin, begin + size, now_ns)
        elif space.see(begin, begin + size, now_ns).repeated:
            self._down_events.retransmission()
        else:
            self._down_events.out_of_sequence()

    def _follow_up(self, first_number: int) -> SentBytes:
        self._up = SentBytes(first_number, there=RoundTrips(), back=RoundTrips(), events=self._up_events)
        return self._up

    def _may_begin_with(self, number: int, *, from_client: bool) -> bool:
        """Whether a SYN with this number may belong to what the side has sent so far."""
        syn, sent = (self._up_syn, self._up) if from_client else (self._down_syn, self._down)
        if syn is not None:
            return syn == number
        return sent is None or sent.may_begin_with(number)

    def _see_syn(self, number: int, *, from_client: bool) -> None:
        may_begin = self._may_begin_with(number, from_client=from_client)
        if from_client:
            if self._up is not None and not may_begin:
                self._up.begin_at(number)
            self._up_syn = number
        else:
            if self._down is not None and not may_begin:
                self._down = SequenceSpace(number)
            self._down_syn = number
