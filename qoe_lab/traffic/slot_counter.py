"""Divides the packets of a session into slots of one second, while they arrive. The same code reads a file and a live capture.

    slots = SlotCounter(client="10.64.0.2")
    for packet in CaptureReader(path):
        for slot in slots.add(packet):
            ...  # the second of this slot is over
    last = slots.end()

A live capture also calls `advance` with the time of the clock, so that a slot without packets ends in time.
"""

import ipaddress
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qoe_lab.traffic.flow_table import Flow, FlowPacket, FlowTable
from qoe_lab.traffic.packet_headers import UDP, Packet
from qoe_lab.traffic.session_chunks import CHUNK_NUMBERS, SessionChunks
from qoe_lab.traffic.slot_features import (
    BINS_PER_SLOT,
    SLOT_FEATURES,
    SLOT_SECONDS,
    TREND_SLOTS,
    SlotValue,
    window_values,
)
from qoe_lab.traffic.slot_sums import SlotSums

SLOT_NS = SLOT_SECONDS * 1_000_000_000
BIN_NS = SLOT_NS // BINS_PER_SLOT
LOOKUP_PORTS = frozenset({53, 1900, 5353})
"""UDP ports of DNS, SSDP and mDNS. A browser sends such packets on its own; they are no media, so they count in no slot."""
MOST_EMPTY_SLOTS = 3600
"""After a longer time without packets, slots are skipped: their numbers are missing, and the skipped ones are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSlot:
    """One second of traffic. `values` are in the order of SLOT_FEATURES."""

    number: int
    """0 is the first second of the session."""
    begin_ns: int
    values: tuple[SlotValue, ...]

    def row(self) -> dict[str, SlotValue]:
        """The values by the names of the features."""
        return {feature.name: value for feature, value in zip(SLOT_FEATURES, self.values, strict=True)}


class SlotCounter:
    """The slots of one session. Add its packets in the order of the capture."""

    def __init__(self, *, client: str | None = None, begin_ns: int | None = None, statistics: bool = True) -> None:
        """`client`: the address of the client; None: the side that begins a flow is its client.

        `begin_ns`: when the first slot begins; None: at the first packet. Earlier packets belong to flows, but to no slot.

        `statistics`: whether `flows` has the statistics of TCP. Without them, a packet costs half.
        """
        self._table = FlowTable(client=None if client is None else ipaddress.ip_address(client).packed, statistics=statistics)
        self._begin_ns = begin_ns
        self._slot_ns = 0 if begin_ns is None else begin_ns
        self._number = 0
        self._sums = SlotSums(slots=1)
        self._bins = [0] * BINS_PER_SLOT
        self._filled_bins: set[int] = set()
        self._recent: deque[SlotSums] = deque(maxlen=TREND_SLOTS)
        self._total = SlotSums()
        self._chunks = SessionChunks(self._slot_ns)

    def add(self, packet: Packet) -> Sequence[TrafficSlot]:
        """Count a packet. The result has the slots that were over when it came, usually none.

        A packet with an earlier time than one before it counts in the open slot.
        """
        now_ns = packet.time_ns
        if self._begin_ns is None:
            self._begin_ns = self._slot_ns = now_ns
            self._chunks = SessionChunks(now_ns)
        ended = self.advance(now_ns) if now_ns >= self._slot_ns + SLOT_NS else ()
        repeated = self._table.up_events.rexmit_pkts
        found = self._table.add(packet)
        if now_ns < self._begin_ns:
            self._table.up_events.take(), self._table.down_events.take()
        elif found is not None:
            self._count(packet, found, is_new=self._table.up_events.rexmit_pkts == repeated)
        return ended

    def advance(self, now_ns: int) -> Sequence[TrafficSlot]:
        """The slots that are over at a time."""
        if self._begin_ns is None or now_ns < self._slot_ns + SLOT_NS:
            return ()
        slots = []
        pause = (now_ns - self._slot_ns) // SLOT_NS
        if pause > MOST_EMPTY_SLOTS:
            slots.append(self._end_slot())
            self._number += pause - 1
            self._slot_ns += (pause - 1) * SLOT_NS
            self._recent.clear()
        while now_ns >= self._slot_ns + SLOT_NS:
            slots.append(self._end_slot())
        return slots

    def end(self) -> TrafficSlot | None:
        """The session is over: the slot that is open, or None if there was no packet."""
        return None if self._begin_ns is None else self._end_slot()

    def flows(self) -> list[Flow]:
        """The flows of all packets."""
        return self._table.flows()

    def _count(self, packet: Packet, found: FlowPacket, *, is_new: bool) -> None:
        sums, payload = self._sums, packet.payload_bytes
        if packet.tcp is not None:
            sums.tcp_packets += 1
        elif packet.protocol == UDP and (packet.source_port in LOOKUP_PORTS or packet.destination_port in LOOKUP_PORTS):
            return
        if found.from_client:
            sums.up_packets += 1
            sums.up_bytes += packet.ip_bytes
            if payload and is_new:
                self._chunks.up(found.flow, payload, packet.time_ns, sums)
            return
        sums.down_packets += 1
        sums.down_bytes += packet.ip_bytes
        place = (packet.time_ns - self._slot_ns) // BIN_NS if packet.time_ns > self._slot_ns else 0
        self._bins[place] += packet.ip_bytes
        if payload:
            self._filled_bins.add(place)
            self._chunks.down(found.flow, payload, packet.time_ns)

    def _end_slot(self) -> TrafficSlot:
        sums, end_ns = self._sums, self._slot_ns + SLOT_NS
        self._chunks.end_slot(end_ns, sums)
        sums.add_events(self._table.up_events.take(), self._table.down_events.take())
        sums.peak_bin_bytes = max(self._bins)
        sums.idle_bins = BINS_PER_SLOT - len(self._filled_bins)
        self._recent.append(sums)
        self._total.join(sums)
        trend = SlotSums()
        for each in self._recent:
            trend.join(each)
        values = (*window_values(sums), *window_values(trend), *window_values(self._total), *self._state(end_ns))
        slot = TrafficSlot(number=self._number, begin_ns=self._slot_ns, values=values)
        self._number, self._slot_ns = self._number + 1, end_ns
        self._sums, self._bins, self._filled_bins = SlotSums(slots=1), [0] * BINS_PER_SLOT, set()
        return slot

    def _state(self, end_ns: int) -> Iterator[SlotValue]:
        """The values of STATE_FEATURES."""
        begin_ns = self._begin_ns or 0
        asked_ns, handshake_ns = self._chunks.oldest_request_ns(), self._table.up_events.first_handshake_ns
        yield (end_ns - begin_ns) / 1e9
        yield self._chunks.open_bytes()
        yield None if asked_ns is None else (end_ns - asked_ns) / 1e6
        yield None if handshake_ns is None else handshake_ns / 1e6
        ends_ns = self._chunks.ends_ns
        for number in CHUNK_NUMBERS:
            yield (ends_ns[number - 1] - begin_ns) / 1e6 if number <= len(ends_ns) else None
        yield from self._chunks.players.values(end_ns)
        yield from self._chunks.hints.values()
