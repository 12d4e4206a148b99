"""What a player receives of a stream: packets, losses, gaps, jitter. RTP in, numbers out."""

from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

RTP_CLOCK_HZ = 90_000
DELAYS = 2000
"""The number of newest packets whose delays are kept: about 10 s at 2 Mbit/s."""


class Arrival(Struct, frozen=True, gc=False):
    """An RTP packet that is new at this node."""

    stream: str
    rtp: bytes
    now_s: float
    """When it arrived, on a clock that never steps."""
    delay_ms: float
    """The time since the source sent it, with the difference between the clocks of the two machines."""
    depth: int
    """The number of links that it has passed."""


@dataclass(slots=True)
class Reception:
    """Counts packets by extended sequence number (RFC 3550, A.1), so late and replayed packets are no loss."""

    asked_s: float | None = None
    """When the stream was requested."""
    first_s: float | None = None
    """When its first packet arrived."""
    received: int = 0
    received_bytes: int = 0
    earlier: int = 0
    """Packets from before the first one, which a relay above has repaired. They were sent before this player was fed."""
    largest_gap_ms: float = 0.0
    jitter_ms: float = 0.0
    delays_ms: deque[float] = field(default_factory=lambda: deque(maxlen=DELAYS))
    depth: int = 0
    path: list[str] = field(default_factory=list)
    """The path from the source to this node, by the latest trace."""
    _first: int | None = None
    _expected_before: int = 0
    """Expected packets before the source was restarted."""
    _highest: int = 0
    _arrived_s: float = 0.0
    _transit_ms: float | None = None

    @property
    def lost(self) -> int:
        """Packets between the first and the newest one that have not arrived so far."""
        return self.expected - self.received

    @property
    def expected(self) -> int:
        """All packets from the first to the newest one that arrived."""
        return self._expected_before + (0 if self._first is None else self._highest - self._first + 1)

    def delay_ms(self, share: float) -> float | None:
        """The delay that this share of the newest packets does not exceed; None before the first packet."""
        ordered = sorted(self.delays_ms)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None

    def count_arrival(self, arrival: Arrival) -> int | None:
        """Count a new packet with its delay and hops. Returns its extended sequence number, like `arrived`."""
        sequence = self.arrived(arrival.rtp, arrival.now_s)
        if sequence is not None:
            self.delays_ms.append(arrival.delay_ms)
            self.depth = arrival.depth
        return sequence

    def begin_again(self) -> None:
        """The source was started again, with other sequence numbers."""
        self._expected_before, self._first, self._transit_ms = self.expected, None, None

    def arrived(self, rtp: bytes, now_s: float) -> int | None:
        """Count a new packet. Returns its extended sequence number, or None if it is from before the first one."""
        sequence, timestamp = int.from_bytes(rtp[2:4], "big"), int.from_bytes(rtp[4:8], "big")
        if self._first is None:
            extended = self._first = self._highest = sequence
            self.first_s = self.first_s or now_s
        else:
            extended = self._highest + (sequence - self._highest + 32768) % 65536 - 32768
            if extended < self._first:
                self.earlier += 1
                return None
            self._highest = max(self._highest, extended)
            self.largest_gap_ms = max(self.largest_gap_ms, (now_s - self._arrived_s) * 1000)
        self.received += 1
        self.received_bytes += len(rtp)
        self._arrived_s = now_s
        self._measure_jitter(timestamp, now_s)
        return extended

    def _measure_jitter(self, timestamp: int, now_s: float) -> None:
        """RFC 3550, 6.4.1: the mean deviation of the transit time, smoothed by 1/16."""
        transit_ms = now_s * 1000 - timestamp * 1000 / RTP_CLOCK_HZ
        if self._transit_ms is not None:
            change_ms = abs(transit_ms - self._transit_ms)
            if change_ms < 10_000:  # a wrap of the timestamp is no jitter
                self.jitter_ms += (change_ms - self.jitter_ms) / 16
        self._transit_ms = transit_ms
