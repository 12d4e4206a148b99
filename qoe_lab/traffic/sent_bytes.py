"""Follows the data of one direction: what is in flight, its round trips, and why a segment is not the next in sequence."""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable

from qoe_lab.traffic.retransmission_kind import RetransmissionKind, SegmentEvidence, retransmission_kind
from qoe_lab.traffic.rtt_samples import RoundTrips, shortest_ns, timeout_ns
from qoe_lab.traffic.sequence_space import Seen, SequenceSpace
from qoe_lab.traffic.side_events import EventSink

REPORTS_LOSS = 3
"""Duplicate acknowledgements after which a sender retransmits (RFC 5681)."""

MOST_IN_FLIGHT = 65_536
"""Segments without acknowledgement that are kept. More are in flight only in a capture without the other direction."""

KEPT_ACKNOWLEDGED = 256


class SentSegment:
    """A segment with data, SYN or FIN."""

    __slots__ = ("begin", "end", "has_arrived", "ip_id", "is_syn", "payload", "reported", "sends", "sent_ns")

    def __init__(self, begin: int, payload: int, *, syn: bool, fin: bool, ip_id: int | None, now_ns: int) -> None:
        self.begin, self.end = begin, begin + payload + syn + fin
        self.payload, self.is_syn, self.ip_id = payload, syn, ip_id
        self.sent_ns = now_ns
        """When it was last sent."""
        self.sends = 1
        """How often the capture saw it."""
        self.has_arrived = False
        """A SACK block has it."""
        self.reported = False
        """The receiver reported that it was missing."""


class SentBytes:
    """The sequence numbers of one direction. SYN and FIN take one position each (RFC 9293)."""

    def __init__(self, first_number: int, *, there: RoundTrips, back: RoundTrips, events: EventSink) -> None:
        """`there` receives the round trips; `back` has those of the other direction."""
        self.kinds: Counter[RetransmissionKind] = Counter()
        self.unique_bytes = self.rexmit_pkts = self.rexmit_bytes = self.out_seq_pkts = 0
        self.in_flight_max: int | None = None
        self.in_flight_min: int | None = None
        self.initial_in_flight: int | None = None
        """None if the capture began after the handshake."""
        self._there, self._back, self._events = there, back, events
        self.begin_at(first_number)

    def begin_at(self, first_number: int) -> None:
        """Follow other sequence numbers from now on. The counts continue."""
        self._space = SequenceSpace(first_number)
        self._acknowledged: int | None = None
        self._last_number: int | None = None
        """The last acknowledgement number."""
        self._duplicates = 0
        self._arrived_end = first_number
        """The end of the highest SACK block."""
        self._recovery_end: int | None = None
        """Until this position is acknowledged, retransmissions have the reason `_recovery`."""
        self._recovery = RetransmissionKind.UNKNOWN
        self._unacknowledged: list[SentSegment] = []
        self._past: deque[SentSegment] = deque(maxlen=KEPT_ACKNOWLEDGED)
        self._has_syn = self._has_fin = self._data_acknowledged = False

    def may_begin_with(self, number: int) -> bool:
        """Whether a SYN with this number belongs to the sequence numbers that were seen, only later in the capture."""
        return self._space.may_begin_with(number)

    def send(self, number: int, payload: int, *, syn: bool, fin: bool, ip_id: int | None, now_ns: int, probe: bool) -> None:
        """See a segment with data, SYN or FIN. `probe`: it may be a probe of a receive window of zero."""
        segment = SentSegment(self._space.position(number), payload, syn=syn, fin=fin, ip_id=ip_id, now_ns=now_ns)
        if segment.begin >= self._space.highest:
            self._space.extend(segment.begin, segment.end, now_ns)
            self.unique_bytes += payload
            self._unacknowledged.append(segment)
            if len(self._unacknowledged) > MOST_IN_FLIGHT:
                del self._unacknowledged[: MOST_IN_FLIGHT // 2]
        else:
            self._send_again(segment, fin=fin, probe=probe)
        self._has_syn |= syn
        self._has_fin |= fin
        if payload and self._acknowledged is not None:
            self._note_in_flight(self._space.highest - self._has_fin - self._acknowledged)

    def acknowledge(self, number: int, now_ns: int, *, may_report_loss: bool) -> None:
        """See an acknowledgement. `may_report_loss`: it has no data, and the same window as before or SACK blocks."""
        if number == self._last_number and not may_report_loss:
            return  # most segments of a download
        self._last_number = number
        position = self._space.position(number)
        if self._acknowledged is None or position > self._acknowledged:
            self._advance(position, now_ns)
        elif may_report_loss and position == self._acknowledged and self._space.highest > position:
            self._duplicates += 1

    def acknowledge_block(self, begin_number: int, end_number: int, now_ns: int) -> None:
        """See a SACK block. Segments that are new in it have a round trip now; the acknowledgement that covers them comes later."""
        begin, end = self._space.position(begin_number), self._space.position(end_number)
        self._arrived_end = max(self._arrived_end, min(end, self._space.highest))
        at = bisect_right(self._unacknowledged, end, key=_end) - 1
        while at >= 0:
            segment = self._unacknowledged[at]
            if segment.has_arrived or segment.begin < begin:
                return
            segment.has_arrived = True
            self._sample(segment, now_ns)
            at -= 1

    def _note_in_flight(self, size: int) -> None:
        if size <= 0:  # the receiver acknowledged what the capture has only seen now
            return
        if self.in_flight_max is None or size > self.in_flight_max:
            self.in_flight_max = size
        if self.in_flight_min is None or size < self.in_flight_min:
            self.in_flight_min = size
        if self._has_syn and not self._data_acknowledged:
            self.initial_in_flight = max(size, self.initial_in_flight or 0)

    def _advance(self, position: int, now_ns: int) -> None:
        covered, latest_ns = 0, 0
        for segment in self._unacknowledged:
            if segment.end > position:
                break
            covered += 1
            # A segment that was sent before one that precedes it has waited for that one at the receiver.
            if segment.sent_ns >= latest_ns:
                latest_ns = segment.sent_ns
                if not segment.has_arrived:
                    self._sample(segment, now_ns)
            self._data_acknowledged |= segment.payload > 0
        if covered:
            first = self._unacknowledged[0]
            first.reported |= self._is_reported(first)
            self._past.extend(self._unacknowledged[:covered])
            del self._unacknowledged[:covered]
        self._acknowledged, self._duplicates = position, 0
        if self._recovery_end is not None and position >= self._recovery_end:
            self._recovery_end = None

    def _is_reported(self, segment: SentSegment) -> bool:
        """Whether the receiver has reported that a segment, which it has not acknowledged, is missing."""
        return self._duplicates >= REPORTS_LOSS or segment.end < self._arrived_end

    def _sample(self, segment: SentSegment, now_ns: int) -> None:
        """Take a round trip, unless it is unknown which of several transmissions the receiver has got (Karn's rule)."""
        if segment.sends > 1 or now_ns < segment.sent_ns:
            return
        if segment.payload:
            self._there.add(now_ns - segment.sent_ns)
            self._events.round_trip(now_ns - segment.sent_ns)
        elif segment.is_syn:
            self._there.add_handshake(now_ns - segment.sent_ns)
            self._events.handshake(now_ns - segment.sent_ns)

    def _send_again(self, segment: SentSegment, *, fin: bool, probe: bool) -> None:
        fresh_fin = fin and segment.end > self._space.highest
        seen = self._space.see(segment.begin, segment.end, segment.sent_ns)
        fresh_bytes = max(0, min(segment.payload, seen.fresh - fresh_fin))
        self.unique_bytes += fresh_bytes
        if seen.repeated:
            self.rexmit_pkts += 1
            self.rexmit_bytes += segment.payload - fresh_bytes
            self._events.retransmission()
        else:
            self.out_seq_pkts += 1
            self._events.out_of_sequence()
        kind = retransmission_kind(
            self._evidence(segment, seen, probe=probe),
            timeout_ns=timeout_ns(self._there, self._back),
            shortest_ns=shortest_ns(self._there, self._back),
        )
        self.kinds[kind] += 1
        if kind in (RetransmissionKind.RTO, RetransmissionKind.FAST):
            self._recovery, self._recovery_end = kind, self._space.highest
        self._keep_sent_again(segment)

    def _evidence(self, segment: SentSegment, seen: Seen, *, probe: bool) -> SegmentEvidence:
        acknowledged = self._acknowledged is not None and segment.end <= self._acknowledged
        earlier = _overlapping(self._past, segment) if acknowledged else self._overlapping_in_flight(segment)
        if seen.repeated:
            waited_ns = segment.sent_ns - max(each.sent_ns for each in earlier) if earlier else None
        else:
            waited_ns = None if seen.awaited_since_ns is None else segment.sent_ns - seen.awaited_since_ns
        recovering = not acknowledged and self._recovery_end is not None
        return SegmentEvidence(
            seen_before=seen.repeated > 0,
            acknowledged=acknowledged,
            same_ip_id=bool(segment.ip_id) and any(each.ip_id == segment.ip_id for each in earlier),
            probes_window=probe,
            keeps_alive=acknowledged and segment.end == self._space.highest and segment.end - segment.begin == 1,
            loss_reported=any(each.reported for each in earlier)
            or (not acknowledged and self._is_reported(segment))
            or (recovering and self._recovery is RetransmissionKind.FAST),
            after_timeout=recovering and self._recovery is RetransmissionKind.RTO,
            waited_ns=waited_ns,
        )

    def _keep_sent_again(self, segment: SentSegment) -> None:
        """Mark what was sent before; keep the segment itself if none of it was, so that it waits for its acknowledgement."""
        earlier = self._overlapping_in_flight(segment)
        for each in earlier:
            each.sends += 1
            each.sent_ns, each.ip_id = segment.sent_ns, segment.ip_id
        if self._acknowledged is not None and segment.end <= self._acknowledged:
            return
        if not earlier or segment.end > earlier[-1].end:
            segment.sends += bool(earlier)
            self._unacknowledged.insert(bisect_left(self._unacknowledged, segment.end, key=_end), segment)

    def _overlapping_in_flight(self, other: SentSegment) -> list[SentSegment]:
        """The list is in the order of the ends, and may be long."""
        first = bisect_right(self._unacknowledged, other.begin, key=_end)
        last = bisect_left(self._unacknowledged, other.end, lo=first, key=_end) + 1
        return _overlapping(self._unacknowledged[first:last], other)


def _overlapping(segments: Iterable[SentSegment], other: SentSegment) -> list[SentSegment]:
    return [each for each in segments if each.begin < other.end and other.begin < each.end]


def _end(segment: SentSegment) -> int:
    return segment.end
