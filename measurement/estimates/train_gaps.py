"""The capacity of a path and its available bandwidth, from packet trains (IGI/PTR, Hu and Steenkiste 2003).

A train is sent with equal gaps. Where the path is slower, or other traffic queues, the gaps become larger. Gaps are in
microseconds, bandwidths in kbit/s at the IP layer: the length of a packet includes its IP and UDP headers. The original tool
leaves the headers out, so its results are 5 % lower with packets of 500 bytes.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

UDP_HEADER_BYTES = 8
IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40

SMALLEST_BIN_US = 25.0
CLEAR_INCREASE_US = 5.0
"""A smaller growth of a gap may be an error of the time stamps."""
OVERLOADED = 1.08
"""If gaps grow by this factor, the train was clearly faster than the available bandwidth."""
OVERLOADED_PHASES = 3
"""The number of such phases that the direct estimate needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """One train: when each packet was sent, and which packets arrived when. Times are in ns; the two clocks need not agree."""

    wanted_gap_us: float
    sent_ns: Sequence[int]
    """By sequence number, from 0."""
    arrivals: Sequence[tuple[int, int]]
    """Sequence number and time of each packet, in the order of arrival."""

    @property
    def lost(self) -> int:
        """Packets that did not arrive."""
        return len(self.sent_ns) - len({number for number, _ in self.arrivals})

    def source_gaps_us(self) -> list[float]:
        """The gaps with which the packets were sent."""
        return [(later - earlier) / 1e3 for earlier, later in pairwise(self.sent_ns)]

    def destination_gaps_us(self) -> list[float]:
        """The gaps between packets that were sent one after the other and arrived one after the other."""
        return [(late - early) / 1e3 for (first, early), (second, late) in pairwise(self.arrivals) if second - first == 1]

    def source_gap_us(self) -> float:
        """The mean gap at the sender; 0 for fewer than two packets."""
        return statistics.fmean(self.source_gaps_us()) if len(self.sent_ns) > 1 else 0.0

    def destination_gap_us(self) -> float | None:
        """The mean gap at the destination; None if no two packets arrived in order."""
        gaps = self.destination_gaps_us()
        return statistics.fmean(gaps) if gaps else None


def badly_sent(train: Train) -> bool:
    """Whether the sender was interrupted, so that the train says more about the sender than about the path.

    A hole in the train makes the gaps of both sides equally large, which looks like the turning point.
    """
    gaps, wanted = train.source_gaps_us(), train.wanted_gap_us
    if wanted <= 0 or not gaps:
        return False
    return abs(statistics.fmean(gaps) - wanted) > max(0.02 * wanted, 2.0) or max(gaps) > 5 * wanted


def usual_gap_us(gaps_us: Sequence[float]) -> float | None:
    """The most frequent gap of a train that was sent without gaps: the time that the slowest link needs for one packet.

    A histogram finds it, because other traffic only makes some of the gaps larger or smaller. The bins are 5 % of the median gap
    wide, but at least 25 us, unless the gaps are so short that this would mix all of them. None without a positive gap.
    """
    gaps = [gap for gap in gaps_us if gap > 0 and math.isfinite(gap)]
    if not gaps:
        return None
    median = statistics.median(gaps)
    bin_us = max(0.05 * median, min(SMALLEST_BIN_US, 0.25 * median))
    bins = Counter(int(gap / bin_us) for gap in gaps)
    fullest = max(bins, key=lambda place: (bins[place], -place))
    first = fullest - 1 if bins[fullest - 1] else fullest
    last = fullest + 1 if bins[fullest + 1] else fullest
    return statistics.fmean(gap for gap in gaps if first <= int(gap / bin_us) <= last)


def rate_kbps(packet_bytes: int, gap_us: float) -> float:
    """The bandwidth of packets of `packet_bytes`, with their IP headers, with gaps of `gap_us`."""
    return packet_bytes * 8e3 / gap_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Trains with the same gap."""

    trains: Sequence[Train]

    @property
    def source_gap_us(self) -> float:
        """S: the mean gap at the sender."""
        return statistics.fmean(train.source_gap_us() for train in self.trains)

    @property
    def destination_gap_us(self) -> float:
        """D: the mean gap at the destination, of the trains that have one; 0 if none has."""
        gaps = [gap for train in self.trains if (gap := train.destination_gap_us()) is not None]
        return statistics.fmean(gaps) if gaps else 0.0

    def equal_gaps(self, tolerance: float) -> bool:
        """Whether the gaps did not grow by more than `tolerance`, such as 0.05: the train was not faster than the path allows."""
        return self.destination_gap_us <= self.source_gap_us * (1 + tolerance)


class GapSearch:
    """Which gap to try next, until the turning point: the shortest gap that the path does not make larger.

    The search begins at half of the gap that trains without gaps have at the destination, and goes in eighths of it.
    """

    def __init__(self, unpaced_gap_us: float, *, tolerance: float = 0.05) -> None:
        self.phases: list[Phase] = []
        self.turning: Phase | None = None
        """The first of two successive phases with equal gaps, once it is found."""
        self._step_us = unpaced_gap_us / 8
        self._gap_us = unpaced_gap_us / 2
        self._tolerance = tolerance
        self._equal: Phase | None = None

    @property
    def next_gap_us(self) -> float | None:
        """The gap for the next phase; None when the turning point is found."""
        return None if self.turning else self._gap_us

    def add(self, phase: Phase) -> None:
        """Add the phase with the gap that `next_gap_us` returned."""
        source, destination = phase.source_gap_us, phase.destination_gap_us
        if phase.equal_gaps(self._tolerance):
            self.turning, self._equal = self._equal, phase
        else:
            self._equal = None
            if self.phases and destination >= 1.5 * source:  # far from the turning point: a larger step
                self._gap_us = max(self._gap_us, (source + destination) / 2)
        self.phases.append(phase)
        self._gap_us += self._step_us


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthEstimate:
    """In kbit/s. `available_kbps` is the direct estimate if there is one, else PTR."""

    capacity_kbps: float
    available_kbps: float
    method: str
    """`direct` or `ptr`."""
    direct_kbps: float | None
    ptr_kbps: float
    igi_kbps: float
    """Up to 60 % too high when the other traffic comes in bursts."""
    turning_gap_us: float
    is_lower_bound: bool
    """The sender could not send faster than the path, so the available bandwidth is a lower bound."""


def estimate_bandwidth(search: GapSearch, *, usual_gap: float, packet_bytes: int) -> BandwidthEstimate | None:
    """The estimates of a search. None before its turning point is found, or if no packets arrived there."""
    turning = search.turning
    if turning is None or turning.destination_gap_us <= 0:
        return None
    capacity = rate_kbps(packet_bytes, usual_gap)
    direct = direct_kbps(search.phases, capacity, packet_bytes)
    ptr = min(rate_kbps(packet_bytes, turning.destination_gap_us), capacity)
    return BandwidthEstimate(
        capacity_kbps=capacity,
        available_kbps=ptr if direct is None else direct,
        method="ptr" if direct is None else "direct",
        direct_kbps=direct,
        ptr_kbps=ptr,
        igi_kbps=max(capacity - statistics.median(igi_cross_kbps(each, usual_gap, capacity) for each in turning.trains), 0.0),
        turning_gap_us=turning.source_gap_us,
        is_lower_bound=turning is search.phases[0],
    )


def igi_cross_kbps(train: Train, usual_gap: float, capacity_kbps: float) -> float:
    """The competing traffic by the formula of IGI: gaps that grew beyond the usual gap were filled by it.

    A gap counts if it exceeds the larger one of the usual gap and the mean source gap. If every gap above the usual one counted,
    the result would be that of PTR.
    """
    gaps = train.destination_gaps_us()
    total = sum(gaps)
    if total <= 0:
        return 0.0
    threshold = max(usual_gap, train.source_gap_us()) + CLEAR_INCREASE_US
    return capacity_kbps * sum(gap - usual_gap for gap in gaps if gap > threshold) / total


def direct_kbps(phases: Sequence[Phase], capacity_kbps: float, packet_bytes: int) -> float | None:
    """The bandwidth that other traffic leaves, from all phases that were clearly too fast; None if there are fewer than three.

    In a fluid model, a train with rate R leaves an overloaded link of capacity C with its gaps grown by (R + cross) / C.
    """
    cross = [
        capacity_kbps * phase.destination_gap_us / phase.source_gap_us - rate_kbps(packet_bytes, phase.source_gap_us)
        for phase in phases
        if phase.source_gap_us > 0 and phase.destination_gap_us > OVERLOADED * phase.source_gap_us
    ]
    if len(cross) < OVERLOADED_PHASES:
        return None
    return min(max(capacity_kbps - statistics.median(cross), 0.0), capacity_kbps)
