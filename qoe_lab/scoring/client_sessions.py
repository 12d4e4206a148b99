"""Finds the sessions in packets: who is the client of each flow, and which clients receive enough to be playing video.

The client of a flow is the side that sent its SYN. Without one, it is the side with the higher port: servers have the low ones. All
flows of a client belong to one session, which ends after half a minute without a packet.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from qoe_lab.models.lab_model import LabModel
from qoe_lab.scoring.session_scorer import SessionScorer, SlotInference
from qoe_lab.traffic.packet_headers import ACK, SYN, Packet, address_text
from qoe_lab.traffic.slot_counter import SlotCounter, TrafficSlot

IDLE_NS = 30_000_000_000
LEAST_BYTES = 100_000
"""A session that has received less is no candidate: not even the lowest representation needs so little for long."""
MOST_FLOWS = 100_000
MOST_CLIENTS = 1000

_Flow = tuple[bytes, bytes, int, int, int]
_Inferred = tuple["ClientSession", SlotInference]


@dataclass(slots=True, kw_only=True)
class ClientSession:
    """A session of one client. `inferences` are those of the slots that are over."""

    address: str
    begin_ns: int
    received_bytes: int = 0
    inferences: list[SlotInference] = field(default_factory=list)

    @property
    def is_candidate(self) -> bool:
        return self.received_bytes >= LEAST_BYTES


@dataclass(slots=True, kw_only=True)
class _Running:
    """What only a session that has not ended needs: ten kilobytes."""

    session: ClientSession
    slots: SlotCounter
    scorer: SessionScorer
    last_ns: int


class ClientSessions:
    """All sessions in a stream of packets. `keep` is False for a live capture, which does not keep what it has handed out."""

    def __init__(self, model: LabModel, *, client: str | None = None, keep: bool = True) -> None:
        """`client`: the address of the only client that counts; None: every client. ValueError if it is no address."""
        self._model, self._keep = model, keep
        self._client = None if client is None else ipaddress.ip_address(client).packed
        self._clients: dict[_Flow, bytes] = {}
        self._running: dict[bytes, _Running] = {}
        self.ended: list[ClientSession] = []
        """The candidates among the sessions that have ended."""
        self.dropped: Counter[str] = Counter()
        """What was left out, by reason."""
        self.too_small = 0
        """Sessions that have ended and were no candidates."""

    def add(self, packet: Packet) -> Sequence[_Inferred]:
        """The inferences of the slots of this client that were over when the packet came."""
        client = self._client_of(packet)
        if client is None:
            return ()
        inferred: list[_Inferred] = []
        running = self._running.get(client)
        if running is not None and packet.time_ns - running.last_ns > IDLE_NS:
            inferred += self._finish(client)
            running = None
        if running is None:
            running = self._begin(client, packet.time_ns)
            if running is None:
                return inferred
        if slots := running.slots.add(packet):
            inferred += self._inferred(running, slots)
        running.last_ns = packet.time_ns
        if packet.destination == client:
            running.session.received_bytes += packet.ip_bytes
        return inferred

    def advance(self, now_ns: int) -> Iterator[_Inferred]:
        """The inferences of all slots that are over at a time; sessions without packets end."""
        for client, running in list(self._running.items()):
            if now_ns - running.last_ns > IDLE_NS:
                self._end(client)
            else:
                yield from self._inferred(running, running.slots.advance(now_ns))

    def end(self) -> Iterator[_Inferred]:
        """The capture is over: the inferences of the slots that were open."""
        for client in list(self._running):
            yield from self._finish(client)

    def _finish(self, client: bytes) -> Iterator[_Inferred]:
        """End a session with the slot of its last packet."""
        running = self._running[client]
        last = running.slots.end()
        yield from self._inferred(running, [last] if last is not None else [])
        self._end(client)

    def _inferred(self, running: _Running, slots: Sequence[TrafficSlot]) -> Iterator[_Inferred]:
        for inference in running.scorer.add(slots):
            if self._keep:
                running.session.inferences.append(inference)
            yield running.session, inference

    def _begin(self, client: bytes, now_ns: int) -> _Running | None:
        if len(self._running) >= MOST_CLIENTS:
            self.dropped["packets of too many clients"] += 1
            return None
        address = address_text(client)
        running = _Running(
            session=ClientSession(address=address, begin_ns=now_ns),
            slots=SlotCounter(client=address, statistics=False),
            scorer=SessionScorer(self._model),
            last_ns=now_ns,
        )
        self._running[client] = running
        return running

    def _end(self, client: bytes) -> None:
        session = self._running.pop(client).session
        if not session.is_candidate:
            self.too_small += 1
        elif self._keep:
            self.ended.append(session)

    def _client_of(self, packet: Packet) -> bytes | None:
        """The client's address, or None for a packet that does not count."""
        flow = (packet.source, packet.destination, packet.source_port, packet.destination_port, packet.protocol)
        client = self._clients.get(flow)
        if client is None:
            client = _client(packet)
            if len(self._clients) >= 2 * MOST_FLOWS:
                self._clients.clear()
                self.dropped["tables of flows that were full"] += 1
            back = (packet.destination, packet.source, packet.destination_port, packet.source_port, packet.protocol)
            self._clients[flow] = self._clients[back] = client
        if self._client is not None and client != self._client:
            self.dropped["packets of other clients"] += 1
            return None
        return client


def _client(packet: Packet) -> bytes:
    if packet.tcp is not None and packet.tcp.flags & SYN:
        return packet.destination if packet.tcp.flags & ACK else packet.source
    return packet.source if packet.source_port >= packet.destination_port else packet.destination
