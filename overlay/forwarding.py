"""One stream at one node: what arrives, is forwarded to the children, and is kept for a child of a failed neighbour.

Packets in, packets out; sockets and clocks are elsewhere. A packet is forwarded once, whichever way it came, so two parents
during a change do no harm.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from overlay.data_header import HEADER_BYTES, DataHeader, DataHeaderError, Flags, read_data_header
from overlay.link_repair import ReceivedOnLink, SentOnLink
from overlay.messages import InstallTree
from overlay.parity import ParityReceiver, ParitySender

RING_S = 2.0
"""How long packets are kept for a replay."""
REMEMBERED = 4096
"""RTP sequence numbers that are remembered as seen: more than the ring holds at 15 Mbit/s."""
LOOK_BACK = 512
"""How far back a missing packet is requested: the ring's two seconds at 2.7 Mbit/s."""
OTHER_PARENT_S = 0.03
"""With two parents: how long to wait for a packet from the other parent before it is requested."""
LONGEST_PARITY_S = 0.2
"""The longest time to wait for a parity packet; in a slow stream, it may come later."""
STALE_S = 30.0
"""After this time without packets, a node forgets the old sequence numbers: new packets could have the same ones."""
RTP_BYTES = 12


def rtp_sequence(packet: bytes) -> int:
    """The RTP sequence number of a data packet that is long enough."""
    return int.from_bytes(packet[HEADER_BYTES + 2 : HEADER_BYTES + 4], "big")


def is_at_or_after(sequence: int, other: int) -> bool:
    """Whether an RTP sequence number is the other one or a later one; they wrap at 65,536."""
    return (sequence - other) % 65536 < 32768


class Kept(Struct, frozen=True, gc=False):
    """A packet in the ring."""

    arrived_s: float
    header: DataHeader
    rtp: bytes


@dataclass(slots=True)
class Forwarding:
    """The state of one stream. `counts` has the number of packets by what happened to them."""

    tree: InstallTree
    counts: Counter[str] = field(default_factory=Counter)
    last_sequence: int | None = None
    """The newest RTP sequence number that has arrived."""
    parent: str | None = None
    """The node that feeds this one: the tree's parent, or the backup after a failure."""
    second: str | None = None
    """The parent in the second of two trees. It sends the same packets on another path, and replaces a failed parent."""
    wanted: str | None = None
    """A new parent to which there is no connection yet. Until there is one, the old parent stays."""
    asked_from: int | None = None
    """The sequence number that a child requested before this node had a parent."""
    asked_s: float | None = None
    """When GRAFT was sent to the parent; None after a packet has arrived from it."""
    asked_again: int = 0
    """How often GRAFT was repeated."""
    leaving: set[str] = field(default_factory=set)
    """Earlier parents, which feed this node until a packet arrives from the new parent."""
    grafted: set[str] = field(default_factory=set)
    """Children that the tree does not list: they have sent GRAFT, or have not sent PRUNE since the tree removed them."""
    links_in: dict[str, ReceivedOnLink] = field(default_factory=dict)
    """By the neighbour that sends."""
    _links_out: dict[str, SentOnLink] = field(default_factory=dict)
    _parity_in: dict[str, ParityReceiver] = field(default_factory=dict)
    _parity_out: dict[str, ParitySender] = field(default_factory=dict)
    _pruned: set[str] = field(default_factory=set)
    _ring: dict[int, Kept] = field(default_factory=dict)
    """By RTP sequence number, in the order of arrival."""
    _order: deque[int] = field(default_factory=deque)
    _seen: set[int] = field(default_factory=set)
    _arrived_s: float = 0.0
    awake_s: float = 0.0
    """When the stream last flowed here, or was requested."""
    _source_id: bytes | None = None
    failover_gaps_ms: list[float] = field(default_factory=list)
    """For each failed parent, the time from the last packet before the failure to the next one; the reader empties the list."""
    latest_gap_ms: float | None = None
    _gap_since_s: float | None = None

    @property
    def children(self) -> list[str]:
        """The nodes that this node feeds: the tree's children that have not sent PRUNE, and the others that have sent GRAFT."""
        planned = [each for each in self.tree.children if each not in self._pruned]
        return [*planned, *sorted(self.grafted - {*planned})]

    def install(self, tree: InstallTree) -> None:
        """Take another place in the tree. An older epoch is counted and ignored.

        A child that the new tree feeds elsewhere is fed from here too, until it sends PRUNE: make before break.
        """
        if tree.tree_epoch < self.tree.tree_epoch:
            self.counts["tree_older"] += 1
            return
        self.grafted |= {*self.tree.children} - self._pruned
        self._pruned.clear()
        self.tree = tree

    def prune(self, child: str) -> None:
        """A child has another parent, or has failed."""
        self.grafted.discard(child)
        self._pruned.add(child)

    def parent_failed(self) -> None:
        """The parent has failed; a gap begins with the last packet that has arrived."""
        if self._order:
            self._gap_since_s = self._arrived_s

    def neighbors_in_use(self) -> set[str]:
        """The neighbours over whose links the stream flows."""
        feeding = {self.parent, self.second, self.wanted, *self.leaving, *self.children}
        return {each for each in feeding if each is not None}

    def forget(self) -> None:
        """Forget all packets: the node has left the stream, so no old packet is missing."""
        self.last_sequence = None
        self._order.clear()
        self._seen.clear()
        self._ring.clear()
        self.links_in.clear()
        self._parity_in.clear()

    def begin_link(self, neighbor: str) -> None:
        """A neighbour has connected, or becomes the parent: earlier packets of the link are not missing."""
        self.links_in.pop(neighbor, None)
        self._parity_in.pop(neighbor, None)

    def arrived(self, packet: bytes, now_s: float, sender: str = "") -> list[tuple[str, bytes]]:
        """Handle a packet. Returns the copies to forward, each with its child."""
        try:
            header = read_data_header(packet)
        except DataHeaderError:
            self.counts["data_unreadable"] += 1
            return []
        if len(packet) < HEADER_BYTES + RTP_BYTES:
            self.counts["data_unreadable"] += 1
            return []
        self._follow_source(packet[HEADER_BYTES + 8 : HEADER_BYTES + 12])
        if sender not in self.links_in:
            self.links_in[sender] = ReceivedOnLink(self.counts)
        self.links_in[sender].arrived(header.link_sequence, now_s, wait_s=self._wait_s())
        sequence = rtp_sequence(packet)
        if sequence in self._seen:
            self.counts["data_duplicate"] += 1
            return []
        self._forget_if_stale(now_s)
        if self._gap_since_s is not None:
            self.latest_gap_ms = (now_s - self._gap_since_s) * 1000
            self.failover_gaps_ms.append(self.latest_gap_ms)
            self._gap_since_s = None
        self._arrived_s = self.awake_s = now_s
        self._remember(sequence)
        self.counts["data_received"] += 1
        self.counts["data_received_bytes"] += len(packet)
        if self.last_sequence is None or is_at_or_after(sequence, self.last_sequence):
            self.last_sequence = sequence
        if header.flags & Flags.RETRANSMITTED:
            header = replace(header, flags=header.flags & ~Flags.RETRANSMITTED)
        return self._sent_on(header, packet[HEADER_BYTES:], sequence, now_s, sender)

    def restored(self, packet: bytes, sender: str) -> list[bytes]:
        """The packets that can be restored now that a packet or parity packet of a neighbour has arrived."""
        if not self.tree.parity_group:
            return []
        header, parity = read_data_header(packet), self._parity_in.setdefault(sender, ParityReceiver())
        if not header.flags & Flags.PARITY:
            found = list(parity.arrived(header, packet[HEADER_BYTES:]))
        else:
            self.counts["parity_received"] += 1
            if sender in self.links_in:
                self.links_in[sender].sent_until(header.link_sequence)
            found = list(parity.parity(header, packet[HEADER_BYTES:]))
            if sender in self.links_in:
                self.links_in[sender].ask_now(parity.missing(header.link_sequence))
        self.counts["packets_restored"] += len(found)
        return found

    def _wait_s(self) -> float:
        """How long to wait before a missing packet is requested. It may still come from the other parent, or be restored."""
        if self.second is not None:
            return OTHER_PARENT_S
        if self.tree.parity_group:
            return min(self.packet_interval_s() * (self.tree.parity_group + 1), LONGEST_PARITY_S)
        return 0.0

    def originated(self, rtp: bytes, now_s: float, origin_us: int) -> list[tuple[str, bytes]]:
        """The copies of a packet that begins here."""
        header = DataHeader(stream=self.tree.stream_number, tree_epoch=0, link_sequence=0, origin_us=origin_us)
        sequence = int.from_bytes(rtp[2:4], "big")
        self.last_sequence, self.awake_s = sequence, now_s
        return self._sent_on(header, rtp, sequence, now_s)

    # Requests of children

    def graft(self, child: str, from_sequence: int | None) -> Iterator[tuple[str, bytes]]:
        """Feed a child from now on. The iterator yields the packets of the ring from `from_sequence` on, and counts each one."""
        self.grafted.add(child)
        self._pruned.discard(child)
        return self._replayed(child, from_sequence, list(self._ring.items()))

    def _replayed(self, child: str, from_sequence: int | None, kept: list[tuple[int, Kept]]) -> Iterator[tuple[str, bytes]]:
        for sequence, each in kept:
            if from_sequence is not None and is_at_or_after(sequence, from_sequence) and child in self.children:
                self.counts["data_replayed"] += 1
                header = replace(each.header, flags=each.header.flags | Flags.RETRANSMITTED)
                yield from self._packed(child, header, each.rtp, sequence)

    def packet_interval_s(self) -> float:
        """The mean time between two packets of the ring; 0 if it has fewer than two."""
        if len(self._ring) < 2:
            return 0.0
        oldest, newest = next(iter(self._ring.values())), next(reversed(self._ring.values()))
        return (newest.arrived_s - oldest.arrived_s) / (len(self._ring) - 1)

    def lacks(self, from_sequence: int | None) -> bool:
        """Whether a child that requests packets from this number on needs packets that this node lacks."""
        if self.parent is None:
            return True
        if from_sequence is None:
            return False
        oldest = next(iter(self._ring), None)
        return oldest is None or not is_at_or_after(from_sequence, oldest)

    def repeated(self, child: str, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """The packets with these link sequence numbers once more, for a child that has not received them."""
        sent = self._links_out.get(child)
        for number in _numbers(ranges):
            sequence = sent.rtp_sequence(number) if sent is not None else None
            kept = self._ring.get(sequence) if sequence is not None else None
            if sent is None or kept is None:
                self.counts["repeats_too_old"] += 1
            elif not sent.may_repeat():
                self.counts["repeats_over_budget"] += 1
            else:
                self.counts["data_repeated"] += 1
                header = replace(kept.header, flags=kept.header.flags | Flags.RETRANSMITTED)
                yield self._on_link(header, number).packed() + kept.rtp

    # Requests to parents

    def ask_from(self, now_s: float) -> int | None:
        """The RTP sequence number from which a new parent has to send: the earliest that this node or its child lacks."""
        self._forget_if_stale(now_s)
        own, child = self.first_missing(), self.asked_from
        if own is None or child is None:
            return child if own is None else own
        return own if is_at_or_after(child, own) else child

    def has_all(self) -> bool:
        """Whether no recent packet is missing."""
        return self.last_sequence is None or self.first_missing() == (self.last_sequence + 1) % 65536

    def first_missing(self) -> int | None:
        """The earliest recent RTP sequence number that has not arrived; None before anything has."""
        if self.last_sequence is None or not self._order:
            return None
        for back in range(LOOK_BACK, 0, -1):
            sequence = (self.last_sequence - back) % 65536
            if sequence not in self._seen and is_at_or_after(sequence, self._order[0]):
                return sequence
        return (self.last_sequence + 1) % 65536

    def _follow_source(self, source_id: bytes) -> None:
        """Begin again if the RTP source identifier has changed: the source was restarted, with other sequence numbers."""
        if self._source_id not in (None, source_id):
            self.counts["source_restarts"] += 1
            self.forget()
        self._source_id = source_id

    def _forget_if_stale(self, now_s: float) -> None:
        if self._order and now_s - self._arrived_s > STALE_S:
            self.forget()

    def _sent_on(self, header: DataHeader, rtp: bytes, sequence: int, now_s: float, sender: str = "") -> list[tuple[str, bytes]]:
        self._ring.pop(sequence, None)
        self._ring[sequence] = Kept(now_s, header, rtp)
        while self._ring[oldest := next(iter(self._ring))].arrived_s < now_s - RING_S:
            del self._ring[oldest]
        if header.hops_left <= 1 and self.children:
            self.counts["data_too_far"] += 1
            return []
        copies = (self._packed(child, header, rtp, sequence) for child in self.children if child != sender)
        return list(chain.from_iterable(copies))

    def _packed(self, child: str, header: DataHeader, rtp: bytes, sequence: int) -> Iterator[tuple[str, bytes]]:
        """The packet for a child, and the parity packet of its group if it is the last one of it."""
        if child not in self._links_out:
            self._links_out[child] = SentOnLink()
        self.counts["data_sent"] += 1
        self.counts["data_sent_bytes"] += HEADER_BYTES + len(rtp)
        header = self._on_link(header, self._links_out[child].next(sequence))
        yield child, header.packed() + rtp
        if not self.tree.parity_group:
            return
        parity = self._parity_out.setdefault(child, ParitySender(self.tree.parity_group)).sent(header, rtp)
        if parity is not None:
            self.counts["parity_sent"] += 1
            self.counts["parity_sent_bytes"] += len(parity)
            yield child, parity

    def _on_link(self, header: DataHeader, number: int) -> DataHeader:
        epoch = self.tree.tree_epoch % 2**32
        return replace(header, hops_left=header.hops_left - 1, tree_epoch=epoch, link_sequence=number)

    def _remember(self, sequence: int) -> None:
        self._seen.add(sequence)
        self._order.append(sequence)
        if len(self._order) > REMEMBERED:
            self._seen.discard(self._order.popleft())


def _numbers(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The numbers of some ranges, at most 256: a request may not name more."""
    left = 256
    for first, last in ranges:
        for number in range(first, min(last + 1, first + left)):
            left -= 1
            yield number
