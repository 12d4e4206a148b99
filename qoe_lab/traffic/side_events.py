"""What happened on the TCP connections in one direction since the events were last taken. The slots are made of these."""

from typing import NamedTuple


class SideEvents(NamedTuple):
    """Sums over all connections. `up` or `down` is the direction of the data; a round trip is of data and its acknowledgement."""

    rtt_count: int = 0
    rtt_sum_ns: int = 0
    rtt_min_ns: int | None = None
    rtt_max_ns: int | None = None
    rexmit_pkts: int = 0
    out_seq_pkts: int = 0
    zero_windows: int = 0


class EventSink:
    """Receives the events of many connections."""

    __slots__ = ("_out_seq", "_rtt_count", "_rtt_max", "_rtt_min", "_rtt_sum", "_zero_windows", "first_handshake_ns", "rexmit_pkts")

    def __init__(self) -> None:
        self.first_handshake_ns: int | None = None
        """The round trip of the first handshake of all."""
        self._clear()

    def take(self) -> SideEvents:
        """The events since the last call."""
        events = SideEvents(
            rtt_count=self._rtt_count,
            rtt_sum_ns=self._rtt_sum,
            rtt_min_ns=self._rtt_min,
            rtt_max_ns=self._rtt_max,
            rexmit_pkts=self.rexmit_pkts,
            out_seq_pkts=self._out_seq,
            zero_windows=self._zero_windows,
        )
        self._clear()
        return events

    def _clear(self) -> None:
        self._rtt_count = self._rtt_sum = self.rexmit_pkts = self._out_seq = self._zero_windows = 0
        self._rtt_min: int | None = None
        self._rtt_max: int | None = None

    def round_trip(self, sample_ns: int) -> None:
        self._rtt_count += 1
        self._rtt_sum += sample_ns
        if self._rtt_min is None or sample_ns < self._rtt_min:
            self._rtt_min = sample_ns
        if self._rtt_max is None or sample_ns > self._rtt_max:
            self._rtt_max = sample_ns

    def handshake(self, sample_ns: int) -> None:
        if self.first_handshake_ns is None:
            self.first_handshake_ns = sample_ns

    def retransmission(self) -> None:
        self.rexmit_pkts += 1

    def out_of_sequence(self) -> None:
        self._out_seq += 1

    def zero_window(self) -> None:
        self._zero_windows += 1
