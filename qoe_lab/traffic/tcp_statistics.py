"""The statistics of one direction of a TCP connection, under tstat's names, and what each column means.

The names are the short descriptions of tstat's `log_tcp_complete`, in one spelling, with the unit at their end. A value that the
capture cannot show is None, not 0: no round trip without acknowledged data, no window without both handshakes.
"""

from dataclasses import dataclass

from qoe_lab.traffic.traffic_column import TrafficColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpStatistics:
    """One direction. TCP_COLUMNS explains each value."""

    packets: int
    rst_sent: bool
    ack_sent: int
    pure_ack_sent: int
    unique_bytes: int
    data_pkts: int
    data_bytes: int
    rexmit_pkts: int
    rexmit_bytes: int
    out_seq_pkts: int
    syn_count: int
    fin_count: int
    first_payload_ms: float | None
    last_payload_ms: float | None
    first_ack_ms: float | None
    rtt_avg_ms: float | None
    rtt_min_ms: float | None
    rtt_max_ms: float | None
    stdev_rtt_ms: float | None
    rtt_count: int
    handshake_rtt_ms: float | None
    ttl_min: int | None
    ttl_max: int | None
    window_scale_sent: bool | None
    timestamps_sent: bool | None
    window_scale: int | None
    sack_req: bool | None
    sack_sent: int
    mss_bytes: int | None
    max_seg_size_bytes: int | None
    min_seg_size_bytes: int | None
    win_max_bytes: int | None
    win_min_bytes: int | None
    win_zero: int
    cwin_max_bytes: int | None
    cwin_min_bytes: int | None
    initial_cwin_bytes: int | None
    rtx_rto: int
    rtx_fr: int
    reordering: int
    net_dup: int
    unknown: int
    flow_control: int
    unnece_rtx_rto: int
    unnece_rtx_fr: int
    different_syn_seqno: bool | None


TCP_COLUMNS = (
    TrafficColumn("packets", "", "segments, also those without data"),
    TrafficColumn("rst_sent", "0/1", "a segment had the flag RST"),
    TrafficColumn("ack_sent", "", "segments with the flag ACK"),
    TrafficColumn("pure_ack_sent", "", "segments with the flag ACK that have no data, and none of SYN, FIN and RST"),
    TrafficColumn("unique_bytes", "bytes", "payload, each byte once"),
    TrafficColumn("data_pkts", "", "segments with payload"),
    TrafficColumn("data_bytes", "bytes", "payload, with that of retransmitted segments"),
    TrafficColumn("rexmit_pkts", "", "segments with a byte, SYN or FIN that the capture had seen before"),
    TrafficColumn("rexmit_bytes", "bytes", "payload that the capture had seen before"),
    TrafficColumn("out_seq_pkts", "", "segments that fill a gap in the sequence and repeat nothing"),
    TrafficColumn("syn_count", "", "segments with the flag SYN"),
    TrafficColumn("fin_count", "", "segments with the flag FIN"),
    TrafficColumn("first_payload_ms", "ms", "from the first packet of the flow to the first payload"),
    TrafficColumn("last_payload_ms", "ms", "from the first packet of the flow to the last payload"),
    TrafficColumn("first_ack_ms", "ms", "from the first packet of the flow to the first ACK without SYN"),
    TrafficColumn("rtt_avg_ms", "ms", "mean of the round trips"),
    TrafficColumn("rtt_min_ms", "ms", "shortest round trip"),
    TrafficColumn("rtt_max_ms", "ms", "longest round trip"),
    TrafficColumn("stdev_rtt_ms", "ms", "standard deviation of the round trips, with their number as the divisor"),
    TrafficColumn("rtt_count", "", "segments with a round trip, from data to the ACK or SACK block that covers it"),
    TrafficColumn("handshake_rtt_ms", "ms", "from SYN to the acknowledgement that covers it; not part of the round trips"),
    TrafficColumn("ttl_min", "", "smallest time to live, or hop limit"),
    TrafficColumn("ttl_max", "", "largest time to live, or hop limit"),
    TrafficColumn("window_scale_sent", "0/1", "SYN had the option *window scale* (RFC 7323)"),
    TrafficColumn("timestamps_sent", "0/1", "SYN had the option *timestamps* (RFC 7323)"),
    TrafficColumn("window_scale", "", "exponent of the window scale in SYN"),
    TrafficColumn("sack_req", "0/1", "SYN had the option *SACK permitted* (RFC 2018)"),
    TrafficColumn("sack_sent", "", "segments with a SACK block"),
    TrafficColumn("mss_bytes", "bytes", "largest segment size that SYN declares"),
    TrafficColumn("max_seg_size_bytes", "bytes", "largest payload of a segment"),
    TrafficColumn("min_seg_size_bytes", "bytes", "smallest payload of a segment that has some"),
    TrafficColumn("win_max_bytes", "bytes", "largest announced receive window, scaled, without SYN and RST"),
    TrafficColumn("win_min_bytes", "bytes", "smallest announced receive window, scaled, without SYN and RST"),
    TrafficColumn("win_zero", "", "segments that announce a receive window of zero, without SYN and RST"),
    TrafficColumn("cwin_max_bytes", "bytes", "most data in flight, sent and not acknowledged, when data is sent"),
    TrafficColumn("cwin_min_bytes", "bytes", "least data in flight when data is sent"),
    TrafficColumn("initial_cwin_bytes", "bytes", "data sent before the first acknowledgement of data"),
    TrafficColumn("rtx_rto", "", "retransmitted after a timeout"),
    TrafficColumn("rtx_fr", "", "retransmitted after the receiver reported a loss (fast retransmit and recovery)"),
    TrafficColumn("reordering", "", "not retransmitted: the segment fills a gap sooner than a retransmission could"),
    TrafficColumn("net_dup", "", "the same IP packet again, duplicated by the network"),
    TrafficColumn("unknown", "", "retransmitted or out of sequence for none of the other reasons"),
    TrafficColumn("flow_control", "", "at most one byte, to probe a receive window of zero"),
    TrafficColumn("unnece_rtx_rto", "", "retransmitted after a timeout, although it was already acknowledged"),
    TrafficColumn("unnece_rtx_fr", "", "retransmitted after a reported loss, although it was already acknowledged"),
    TrafficColumn("different_syn_seqno", "0/1", "SYN segments had different sequence numbers"),
)
"""In the order of the fields of TcpStatistics. Null where the capture cannot show the value."""
