"""What happened in one window of time: a slot, or several. Sums of two windows can be joined."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from qoe_lab.traffic.chunk_detector import Chunk
from qoe_lab.traffic.side_events import SideEvents


@dataclass(slots=True, kw_only=True)
class SlotSums:
    """Sums, and the values in LEAST and MOST. None: the window has no such value."""

    slots: int = 0
    up_packets: int = 0
    up_bytes: int = 0
    down_packets: int = 0
    down_bytes: int = 0
    tcp_packets: int = 0
    idle_bins: int = 0
    """Bins of 100 ms without payload from the server."""
    peak_bin_bytes: int = 0
    silence_ns: int = 0
    """The longest time without payload from the server, up to the end of the window."""
    requests: int = 0
    request_gaps: int = 0
    request_gap_ns: int = 0
    chunks: int = 0
    chunk_bytes: int = 0
    chunk_ns: int = 0
    chunk_max_bytes: int | None = None
    rtt_count: int = 0
    rtt_sum_ns: int = 0
    rtt_min_ns: int | None = None
    rtt_max_ns: int | None = None
    up_rexmit_pkts: int = 0
    down_rexmit_pkts: int = 0
    down_out_seq_pkts: int = 0
    up_zero_windows: int = 0

    def join(self, other: "SlotSums") -> None:
        """Extend this window by another one."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in LEAST:
            setattr(self, name, _best(min, getattr(self, name), getattr(other, name)))
        for name in MOST:
            setattr(self, name, _best(max, getattr(self, name), getattr(other, name)))

    def add_chunk(self, chunk: Chunk) -> None:
        self.chunks += 1
        self.chunk_bytes += chunk.bytes
        self.chunk_ns += chunk.end_ns - chunk.begin_ns
        self.chunk_max_bytes = max(chunk.bytes, self.chunk_max_bytes or 0)

    def add_events(self, up: SideEvents, down: SideEvents) -> None:
        """Add what happened on the TCP connections. The round trips are those of the client's data."""
        self.rtt_count += up.rtt_count
        self.rtt_sum_ns += up.rtt_sum_ns
        self.rtt_min_ns = _best(min, self.rtt_min_ns, up.rtt_min_ns)
        self.rtt_max_ns = _best(max, self.rtt_max_ns, up.rtt_max_ns)
        self.up_rexmit_pkts += up.rexmit_pkts
        self.down_rexmit_pkts += down.rexmit_pkts
        self.down_out_seq_pkts += down.out_seq_pkts
        self.up_zero_windows += up.zero_windows


LEAST = ("rtt_min_ns",)
MOST = ("peak_bin_bytes", "silence_ns", "chunk_max_bytes", "rtt_max_ns")
SUMS = tuple(each.name for each in fields(SlotSums) if each.name not in LEAST + MOST)


def _best(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return choose(one, other)
