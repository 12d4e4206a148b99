"""A TCP connection as a capture sees it: what the acknowledgements of one side say about the data of the other."""

from qoe_lab.traffic.packet_headers import ACK, FIN, RST, SYN, Packet, TcpHeader
from qoe_lab.traffic.side_events import EventSink
from qoe_lab.traffic.tcp_side import TcpSide
from qoe_lab.traffic.tcp_statistics import TcpStatistics


class TcpConnection:
    """`up` is the side of the client, `down` that of the server."""

    def __init__(self, up_events: EventSink, down_events: EventSink) -> None:
        self.up, self.down = TcpSide(up_events), TcpSide(down_events)
        self._over = self._has_data = False

    def is_followed_by(self, tcp: TcpHeader, *, from_client: bool) -> bool:
        """Whether the segment begins another connection between the same ports."""
        if not tcp.flags & SYN or tcp.flags & ACK:
            return False
        side = self.up if from_client else self.down
        return not side.may_begin_with(tcp.seq) and (self._over or self._has_data)

    def add(self, packet: Packet, tcp: TcpHeader, *, from_client: bool) -> None:
        """See a segment."""
        side, peer = (self.up, self.down) if from_client else (self.down, self.up)
        flags, payload, window = tcp.flags, packet.payload_bytes, side.window
        options = side.count(packet, tcp)
        if flags & RST:
            self._over = True
            return
        if flags & ACK:
            reports_loss = not payload and not flags & (SYN | FIN) and (window == tcp.window or options.sack_block is not None)
            sent = peer.sent or peer.follow(tcp.ack, side)
            sent.acknowledge(tcp.ack, packet.time_ns, may_report_loss=reports_loss)
            if options.sack_block is not None:
                sent.acknowledge_block(*options.sack_block, packet.time_ns)
        if payload or flags & (SYN | FIN):
            self._has_data |= payload > 0
            sent = side.sent or side.follow(tcp.seq, peer)
            sent.send(
                tcp.seq,
                payload,
                syn=bool(flags & SYN),
                fin=bool(flags & FIN),
                ip_id=packet.ip_id,
                now_ns=packet.time_ns,
                probe=payload <= 1 and peer.window == 0,
            )

    def statistics(self, begin_ns: int) -> tuple[TcpStatistics, TcpStatistics]:
        """Up and down. `begin_ns` is the time of the flow's first packet."""
        up, down = self.up.syn, self.down.syn
        scaled = None if up is None or down is None else up.window_scale is not None and down.window_scale is not None
        return self.up.statistics(begin_ns, scaled=scaled), self.down.statistics(begin_ns, scaled=scaled)
