"""One stream at one node: what arrives, goes on to the children, and is kept for a child of a failed neighbour.

Packets in, packets out; sockets and clocks are elsewhere. A packet is forwarded once, whichever way it came, so two parents
during a change do no harm.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from overlay.data_header import HEADER_BYTES, DataHeader, DataHeaderError, Flags, read_data_header
from overlay.messages import InstallTree

RING_S = 2.0
"""How long packets are kept for a replay."""
REMEMBERED = 4096
"""RTP sequence numbers that are known as seen: more than the ring holds at 15 Mbit/s."""
LOOK_BACK = 512
"""How far back a missing packet is asked for: the ring's two seconds at 2.7 Mbit/s."""
RTP_BYTES = 12


def rtp_sequence(packet: bytes) -> int:
    """The RTP sequence number of a data packet that is long enough."""
    return int.from_bytes(packet[HEADER_BYTES + 2 : HEADER_BYTES + 4], "big")


@dataclass(slots=True)
class Forwarding:
    """The state of one stream. `counts` says by name what happened to packets."""

    tree: InstallTree
    counts: Counter[str] = field(default_factory=Counter)
    last_sequence: int | None = None
    """The newest RTP sequence number that has arrived."""
    parent: str | None = None
    """Who feeds this node now: the tree's parent, or the backup after a failure."""
    wanted: str | None = None
    """A parent to which there is no connection yet; until then everything stays as it is."""
    asked_from: int | None = None
    """The sequence number that a child asked for before this node had a parent."""
    grafted: set[str] = field(default_factory=set)
    """Children beyond the tree's: they came by themselves, or the tree took them away and they have not left yet."""
    _pruned: set[str] = field(default_factory=set)
    _ring: deque[tuple[float, int, DataHeader, bytes]] = field(default_factory=deque)
    _order: deque[int] = field(default_factory=deque)
    _seen: set[int] = field(default_factory=set)
    _link_sequences: Counter[str] = field(default_factory=Counter)

    @property
    def children(self) -> list[str]:
        return [*self.tree.children, *sorted(self.grafted - {*self.tree.children})]

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

    def arrived(self, packet: bytes, now_s: float) -> list[tuple[str, bytes]]:
        """The copies to send on, with the child for each."""
        try:
            header = read_data_header(packet)
        except DataHeaderError:
            self.counts["data_unreadable"] += 1
            return []
        if len(packet) < HEADER_BYTES + RTP_BYTES:
            self.counts["data_unreadable"] += 1
            return []
        sequence = rtp_sequence(packet)
        if sequence in self._seen:
            self.counts["data_duplicate"] += 1
            return []
        self._remember(sequence)
        self.counts["data_received"] += 1
        self.counts["data_received_bytes"] += len(packet)
        if self.last_sequence is None or 0 < (sequence - self.last_sequence) % 65536 < 32768:
            self.last_sequence = sequence
        return self._sent_on(header, packet[HEADER_BYTES:], sequence, now_s)

    def originated(self, rtp: bytes, now_s: float, origin_us: int) -> list[tuple[str, bytes]]:
        """The copies of a packet that begins here."""
        header = DataHeader(stream=self.tree.stream_number, tree_epoch=0, link_sequence=0, origin_us=origin_us)
        sequence = int.from_bytes(rtp[2:4], "big")
        self.last_sequence = sequence
        return self._sent_on(header, rtp, sequence, now_s)

    def graft(self, child: str, from_sequence: int | None) -> Iterator[tuple[str, bytes]]:
        """Feed a child from now on; first what the ring has from `from_sequence` on."""
        self.grafted.add(child)
        self._pruned.discard(child)
        for _, sequence, header, rtp in list(self._ring):
            if from_sequence is not None and (sequence - from_sequence) % 65536 < 32768:
                self.counts["data_replayed"] += 1
                yield child, self._packed(child, replace(header, flags=header.flags | Flags.RETRANSMITTED), rtp)

    def lacks(self, from_sequence: int | None) -> bool:
        """Whether a child that asks from there on needs what this node has not got."""
        if self.parent is None:
            return True
        if from_sequence is None:
            return False
        return not self._ring or 0 < (self._ring[0][1] - from_sequence) % 65536 < 32768

    def first_missing(self) -> int | None:
        """The earliest recent RTP sequence number that has not arrived; None before anything has."""
        if self.last_sequence is None or not self._order:
            return None
        for back in range(LOOK_BACK, 0, -1):
            sequence = (self.last_sequence - back) % 65536
            if sequence not in self._seen and (sequence - self._order[0]) % 65536 < 32768:
                return sequence
        return (self.last_sequence + 1) % 65536

    def _sent_on(self, header: DataHeader, rtp: bytes, sequence: int, now_s: float) -> list[tuple[str, bytes]]:
        self._ring.append((now_s, sequence, header, rtp))
        while self._ring[0][0] < now_s - RING_S:
            self._ring.popleft()
        if header.hops_left <= 1 and self.children:
            self.counts["data_too_far"] += 1
            return []
        return [(child, self._packed(child, header, rtp)) for child in self.children]

    def _packed(self, child: str, header: DataHeader, rtp: bytes) -> bytes:
        self._link_sequences[child] = (self._link_sequences[child] + 1) % 2**32
        self.counts["data_sent"] += 1
        self.counts["data_sent_bytes"] += HEADER_BYTES + len(rtp)
        sent = replace(
            header,
            hops_left=header.hops_left - 1,
            tree_epoch=self.tree.tree_epoch % 2**32,
            link_sequence=self._link_sequences[child],
        )
        return sent.packed() + rtp

    def _remember(self, sequence: int) -> None:
        self._seen.add(sequence)
        self._order.append(sequence)
        if len(self._order) > REMEMBERED:
            self._seen.discard(self._order.popleft())
