"""The features of a slot: what the traffic of one second, of the last five, and of the session so far says about the playback.

They follow what predicts quality best in the literature: sizes, durations and gaps of chunks and requests (Requet; Loh et al.
2021), silence and volume (eMIMIC), three windows of constant memory (ViCrypt), and, where TCP shows them, round trips and losses. A
feature that the window cannot show is None, not 0: no round trip without TCP, no mean size without a chunk.
"""

from collections.abc import Callable
from typing import NamedTuple

from qoe_lab.traffic.segment_hints import HINTS
from qoe_lab.traffic.slot_sums import SlotSums
from qoe_lab.traffic.traffic_column import TrafficColumn
from qoe_lab.traffic.virtual_playback import VIRTUAL_FEATURES

SLOT_SECONDS = 1
BINS_PER_SLOT = 10
TREND_SLOTS = 5
BIN_MS = 1000 // BINS_PER_SLOT
WINDOWS = {
    "": "in the slot",
    "trend_": f"in the last {TREND_SLOTS} slots",
    "total_": "since the first slot",
}
"""Prefix of the name → the window."""

SlotValue = float | None


class _WindowFeature(NamedTuple):
    name: str
    unit: str
    meaning: str
    value: Callable[[SlotSums], SlotValue]


def _share(amount: float, number: float) -> SlotValue:
    return amount / number if number else None


def _ms(ns: int | None) -> SlotValue:
    return None if ns is None else ns / 1e6


def _if_tcp(value: Callable[[SlotSums], int]) -> Callable[[SlotSums], SlotValue]:
    """None for a window without a TCP packet, such as one with QUIC."""
    return lambda sums: value(sums) if sums.tcp_packets else None


WINDOW_FEATURES = (
    _WindowFeature("up_packets", "", "packets from the client", lambda sums: sums.up_packets),
    _WindowFeature("up_bytes", "bytes", "IP packets from the client", lambda sums: sums.up_bytes),
    _WindowFeature("down_packets", "", "packets to the client", lambda sums: sums.down_packets),
    _WindowFeature("down_bytes", "bytes", "IP packets to the client", lambda sums: sums.down_bytes),
    _WindowFeature(
        "down_packet_bytes",
        "bytes",
        "mean size of the packets to the client",
        lambda sums: _share(sums.down_bytes, sums.down_packets),
    ),
    _WindowFeature(
        "down_kbps", "kbit/s", "mean rate to the client", lambda sums: _share(sums.down_bytes * 8 / 1000, sums.slots * SLOT_SECONDS)
    ),
    _WindowFeature(
        "down_peak_kbps", "kbit/s", "largest rate to the client in a bin of 100 ms", lambda sums: sums.peak_bin_bytes * 8 / BIN_MS
    ),
    _WindowFeature("idle_ms", "ms", "time in bins of 100 ms without payload from the server", lambda sums: sums.idle_bins * BIN_MS),
    _WindowFeature(
        "silence_ms",
        "ms",
        "longest time without payload from the server, also from an earlier slot on",
        lambda sums: _ms(sums.silence_ns),
    ),
    _WindowFeature("requests", "", "requests of the client", lambda sums: sums.requests),
    _WindowFeature(
        "request_gap_ms", "ms", "mean time since the request before", lambda sums: _ms_share(sums.request_gap_ns, sums.request_gaps)
    ),
    _WindowFeature("chunks", "", "chunks that were complete", lambda sums: sums.chunks),
    _WindowFeature("chunk_bytes", "bytes", "mean payload of these chunks", lambda sums: _share(sums.chunk_bytes, sums.chunks)),
    _WindowFeature("chunk_max_bytes", "bytes", "largest payload of one of them", lambda sums: sums.chunk_max_bytes),
    _WindowFeature(
        "chunk_ms", "ms", "their mean time from the request to the last data", lambda sums: _ms_share(sums.chunk_ns, sums.chunks)
    ),
    _WindowFeature(
        "chunk_kbps", "kbit/s", "their payload divided by their time", lambda sums: _share(sums.chunk_bytes * 8e6, sums.chunk_ns)
    ),
    _WindowFeature("rtt_min_ms", "ms", "shortest round trip of data of the client", lambda sums: _ms(sums.rtt_min_ns)),
    _WindowFeature(
        "rtt_avg_ms", "ms", "mean round trip of data of the client", lambda sums: _ms_share(sums.rtt_sum_ns, sums.rtt_count)
    ),
    _WindowFeature("rtt_max_ms", "ms", "longest round trip of data of the client", lambda sums: _ms(sums.rtt_max_ns)),
    _WindowFeature("up_rexmit_pkts", "", "retransmitted segments of the client", _if_tcp(lambda sums: sums.up_rexmit_pkts)),
    _WindowFeature(
        "down_rexmit_pkts",
        "",
        "segments of the server that the capture had seen before",
        _if_tcp(lambda sums: sums.down_rexmit_pkts),
    ),
    _WindowFeature(
        "down_out_seq_pkts",
        "",
        "segments of the server that fill a gap: lost before the capture, or reordered",
        _if_tcp(lambda sums: sums.down_out_seq_pkts),
    ),
    _WindowFeature(
        "up_zero_windows", "", "segments in which the client announces a window of zero", _if_tcp(lambda sums: sums.up_zero_windows)
    ),
)


def _ms_share(ns: int, number: int) -> SlotValue:
    return ns / 1e6 / number if number else None


STATE_FEATURES = (
    TrafficColumn("elapsed_s", "s", "from the beginning of the first slot to the end of this one"),
    TrafficColumn("open_chunk_bytes", "bytes", "payload so far of the chunks that are not complete at the end of the slot"),
    TrafficColumn("open_chunk_ms", "ms", "time since the oldest request whose chunk is not complete; null without one"),
    TrafficColumn("handshake_ms", "ms", "round trip of the first TCP handshake, from SYN of the client; null without one"),
    TrafficColumn("chunk_1_ms", "ms", "from the beginning of the first slot to the end of the first chunk; null before"),
    TrafficColumn("chunk_2_ms", "ms", "the same for the second chunk"),
    TrafficColumn("chunk_4_ms", "ms", "the same for the fourth chunk"),
    *VIRTUAL_FEATURES,
    *HINTS,
)

SLOT_FEATURES = (
    *(
        TrafficColumn(prefix + each.name, each.unit, f"{each.meaning}, {window}")
        for prefix, window in WINDOWS.items()
        for each in WINDOW_FEATURES
    ),
    *STATE_FEATURES,
)
"""Name, unit and meaning of each value of a slot, in order."""


def window_values(sums: SlotSums) -> list[SlotValue]:
    """The values of WINDOW_FEATURES for one window."""
    return [each.value(sums) for each in WINDOW_FEATURES]
