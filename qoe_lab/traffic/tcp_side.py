"""One side of a TCP connection: counts the segments that it sends."""

from typing import Any

from qoe_lab.traffic.packet_headers import ACK, FIN, RST, SYN, Packet, TcpHeader
from qoe_lab.traffic.retransmission_kind import RetransmissionKind
from qoe_lab.traffic.rtt_samples import RoundTrips
from qoe_lab.traffic.sent_bytes import SentBytes
from qoe_lab.traffic.side_events import EventSink
from qoe_lab.traffic.tcp_options import ONLY_TIMESTAMPS, TcpOptions, read_options
from qoe_lab.traffic.tcp_statistics import TcpStatistics

NO_OPTIONS = TcpOptions()


class TcpSide:
    """The segments of one side. `sent` follows their data."""

    def __init__(self, events: EventSink) -> None:
        self.sent: SentBytes | None = None
        """None until a segment shows a sequence number or is acknowledged."""
        self.syn: TcpOptions | None = None
        """The options of its SYN; None if the capture has no SYN of this side."""
        self.window: int | None = None
        """The receive window of the last segment, not scaled."""
        self.syn_number: int | None = None
        self.round_trips = RoundTrips()
        """From its data to the acknowledgements of the other side."""
        self._events = events
        self._packets = self._acks = self._pure_acks = self._data_pkts = self._data_bytes = 0
        self._syns = self._fins = self._sacks = self._zero_windows = 0
        self._has_reset = self._different_syn = False
        self._first_payload_ns: int | None = None
        self._last_payload_ns: int | None = None
        self._first_ack_ns: int | None = None
        self._ttl_min, self._ttl_max = 256, -1
        self._largest_payload, self._smallest_payload = 0, 1 << 32
        self._window_min, self._window_max = 1 << 16, -1

    def count(self, packet: Packet, tcp: TcpHeader) -> TcpOptions:
        """Count the header of a segment. The result has its options."""
        flags, payload = tcp.flags, packet.payload_bytes
        self._packets += 1
        if packet.ttl < self._ttl_min:
            self._ttl_min = packet.ttl
        if packet.ttl > self._ttl_max:
            self._ttl_max = packet.ttl
        if payload and not flags & RST:  # a reset may have a text that explains it (RFC 9293, 3.5.3)
            self._count_payload(payload, packet.time_ns)
        if flags & ACK:
            self._acks += 1
            if not payload and not flags & (SYN | FIN | RST):
                self._pure_acks += 1
            if self._first_ack_ns is None and not flags & SYN:
                self._first_ack_ns = packet.time_ns
        options = NO_OPTIONS
        if tcp.options and not (len(tcp.options) == 12 and tcp.options.startswith(ONLY_TIMESTAMPS)):
            options = read_options(tcp.options)
            self._sacks += options.sack_block is not None
        if flags & (SYN | FIN | RST):
            self._count_flags(tcp, options)
        elif tcp.window != self.window or tcp.window == 0:
            self._count_window(tcp.window)
        return options

    def may_begin_with(self, number: int) -> bool:
        """Whether a SYN with this number may belong to what the side has sent so far."""
        if self.syn_number is not None:
            return self.syn_number == number
        return self.sent is None or self.sent.may_begin_with(number)

    def follow(self, first_number: int, peer: "TcpSide") -> SentBytes:
        """Begin to follow the data at a sequence number."""
        self.sent = SentBytes(first_number, there=self.round_trips, back=peer.round_trips, events=self._events)
        return self.sent

    def statistics(self, begin_ns: int, *, scaled: bool | None) -> TcpStatistics:
        """The columns. `begin_ns` is the time of the flow's first packet. `scaled`: both sides scale; None: unknown."""
        window_min, window_max = self._windows(scaled=scaled)
        return TcpStatistics(
            packets=self._packets,
            rst_sent=self._has_reset,
            ack_sent=self._acks,
            pure_ack_sent=self._pure_acks,
            data_pkts=self._data_pkts,
            data_bytes=self._data_bytes,
            syn_count=self._syns,
            fin_count=self._fins,
            first_payload_ms=_ms_since(begin_ns, self._first_payload_ns),
            last_payload_ms=_ms_since(begin_ns, self._last_payload_ns),
            first_ack_ms=_ms_since(begin_ns, self._first_ack_ns),
            ttl_min=self._ttl_min if self._packets else None,
            ttl_max=self._ttl_max if self._packets else None,
            sack_sent=self._sacks,
            max_seg_size_bytes=self._largest_payload if self._data_pkts else None,
            min_seg_size_bytes=self._smallest_payload if self._data_pkts else None,
            win_max_bytes=window_max,
            win_min_bytes=window_min,
            win_zero=self._zero_windows,
            different_syn_seqno=self._different_syn if self._syns else None,
            **self._options_of_syn(),
            **self._round_trips(),
            **self._of_sent_bytes(),
        )

    def _options_of_syn(self) -> dict[str, Any]:
        syn = self.syn
        return {
            "window_scale_sent": None if syn is None else syn.window_scale is not None,
            "timestamps_sent": None if syn is None else syn.timestamps,
            "window_scale": None if syn is None else syn.window_scale,
            "sack_req": None if syn is None else syn.sack_permitted,
            "mss_bytes": None if syn is None else syn.mss,
        }

    def _round_trips(self) -> dict[str, Any]:
        trips = self.round_trips
        return {
            "rtt_avg_ms": _ms(trips.mean_ns),
            "rtt_min_ms": _ms(trips.min_ns),
            "rtt_max_ms": _ms(trips.max_ns),
            "stdev_rtt_ms": _ms(trips.deviation_ns),
            "rtt_count": trips.count,
            "handshake_rtt_ms": _ms(trips.handshake_ns),
        }

    def _of_sent_bytes(self) -> dict[str, Any]:
        sent = self.sent
        return {
            "unique_bytes": sent.unique_bytes if sent else 0,
            "rexmit_pkts": sent.rexmit_pkts if sent else 0,
            "rexmit_bytes": sent.rexmit_bytes if sent else 0,
            "out_seq_pkts": sent.out_seq_pkts if sent else 0,
            "cwin_max_bytes": sent.in_flight_max if sent else None,
            "cwin_min_bytes": sent.in_flight_min if sent else None,
            "initial_cwin_bytes": sent.initial_in_flight if sent else None,
            **{kind.value: sent.kinds[kind] if sent else 0 for kind in RetransmissionKind},
        }

    def _count_payload(self, payload: int, now_ns: int) -> None:
        self._data_pkts += 1
        self._data_bytes += payload
        self._largest_payload = max(self._largest_payload, payload)
        self._smallest_payload = min(self._smallest_payload, payload)
        if self._first_payload_ns is None:
            self._first_payload_ns = now_ns
        self._last_payload_ns = now_ns

    def _count_flags(self, tcp: TcpHeader, options: TcpOptions) -> None:
        self._has_reset |= bool(tcp.flags & RST)
        self._fins += bool(tcp.flags & FIN)
        if tcp.flags & SYN:
            self._syns += 1
            self._different_syn |= self.syn_number not in (None, tcp.seq)
            if self.syn_number != tcp.seq:
                if self.sent is not None and not self.may_begin_with(tcp.seq):
                    self.sent.begin_at(tcp.seq)
                self.syn_number, self.syn = tcp.seq, options
        elif not tcp.flags & RST:
            self._count_window(tcp.window)

    def _count_window(self, window: int) -> None:
        self.window = window
        self._window_min, self._window_max = min(window, self._window_min), max(window, self._window_max)
        if window == 0:
            self._zero_windows += 1
            self._events.zero_window()

    def _windows(self, *, scaled: bool | None) -> tuple[int | None, int | None]:
        """The smallest and the largest announced window in bytes."""
        if scaled is None or self._window_max < 0:
            return None, None
        shift = (self.syn.window_scale or 0) if scaled and self.syn else 0
        return self._window_min << shift, self._window_max << shift


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6


def _ms_since(begin_ns: int, ns: int | None) -> float | None:
    return None if ns is None else (ns - begin_ns) / 1e6
