"""The packets at an interface of this machine, as they come. Needs the capability CAP_NET_RAW, which root has."""

from collections import Counter
from collections.abc import Iterator

from qoe_lab.scoring.packet_ring import PacketRing
from qoe_lab.traffic.packet_headers import Packet, read_packet

WAIT_S = 0.2
LATE_NS = 300_000_000
"""A packet is read at most about this long after it came."""


DROPPED_BY_KERNEL = "dropped_by_kernel"


class LivePackets:
    """Iterate over it. `left_out` counts frames by the reason for which they gave no packet."""

    def __init__(self, ring: PacketRing) -> None:
        self.left_out: Counter[str] = Counter()
        self._ring = ring

    def __iter__(self) -> Iterator[list[Packet]]:
        """The packets that have come since the last list. The list is empty if none has come for `WAIT_S`."""
        while True:
            self._ring.wait(WAIT_S)
            yield self._arrived()

    def count_dropped(self) -> None:
        """Ask the kernel how many packets it had to drop."""
        if dropped := self._ring.dropped():
            self.left_out[DROPPED_BY_KERNEL] += dropped

    def _arrived(self) -> list[Packet]:
        packets = []
        for frame in self._ring.frames():
            packet = read_packet(frame)
            if isinstance(packet, Packet):
                packets.append(packet)
            else:
                self.left_out[packet.value] += 1
        return packets
