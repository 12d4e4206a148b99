"""Forward error correction on one link: after each group of packets, a parity packet with their XOR restores any one of them.

The idea and the recovery of lengths are those of RFC 5109. Groups are counted by link sequence numbers, so each link restores its
own losses, without a round trip. Packets in, packets out; sockets and clocks are elsewhere.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from overlay.data_header import DataHeader, Flags
from overlay.link_repair import NUMBERS

GROUP = 8
"""The number of packets for one parity packet: 12.5 % more traffic."""
LARGEST_GROUP = 48
COUNT = struct.Struct("!B")
PROTECTED = struct.Struct("!HBQ")
"""The values that are restored with the RTP packet: its length, the hops left, and the time of origin."""
KEPT = 3 * LARGEST_GROUP
MOST_OPEN = 16
"""The most groups with several missing packets that are kept, because these packets may still be sent again."""


def _protected(header: DataHeader, rtp: bytes) -> bytes:
    return PROTECTED.pack(len(rtp), header.hops_left, header.origin_us) + rtp


def _xor(one: bytes, other: bytes) -> bytes:
    """XOR of two byte strings; the shorter one is padded with zeros."""
    length = max(len(one), len(other))
    value = int.from_bytes(one.ljust(length, b"\0"), "big") ^ int.from_bytes(other.ljust(length, b"\0"), "big")
    return value.to_bytes(length, "big")


@dataclass(slots=True)
class ParitySender:
    """The groups of packets that are sent to one child."""

    group: int
    _count: int = 0
    _sum: bytes = b""

    def sent(self, header: DataHeader, rtp: bytes) -> bytes | None:
        """The parity packet, if the group is complete with this packet."""
        self._sum = _xor(self._sum, _protected(header, rtp))
        self._count += 1
        if self._count < self.group:
            return None
        parity = replace(header, flags=Flags.PARITY, hops_left=1, origin_us=0).packed() + COUNT.pack(self._count) + self._sum
        self._count, self._sum = 0, b""
        return parity


@dataclass(slots=True)
class ParityReceiver:
    """The packets and parity packets that have arrived from one sender."""

    _kept: dict[int, bytes] = field(default_factory=dict)
    """By link sequence number."""
    _open: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Count and XOR of groups that still miss a packet, by their last number."""

    def arrived(self, header: DataHeader, rtp: bytes) -> Iterator[bytes]:
        """A packet has arrived, perhaps a repeat. Yields the packets that can be restored now."""
        self._kept[header.link_sequence] = _protected(header, rtp)
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        for last in [last for last, (count, _) in self._open.items() if (last - header.link_sequence) % NUMBERS < count]:
            yield from self._restored(last, header)

    def parity(self, header: DataHeader, body: bytes) -> Iterator[bytes]:
        """A parity packet has arrived; `body` lacks the header. Yields the packet that it restores, if exactly one is missing."""
        (count,) = COUNT.unpack_from(body)
        if not 0 < count <= LARGEST_GROUP or len(body) < COUNT.size + PROTECTED.size:
            return
        self._open[header.link_sequence] = count, body[COUNT.size :]
        while len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]
        yield from self._restored(header.link_sequence, header)

    def missing(self, last: int) -> list[int]:
        """The numbers of the missing packets of a group, if it is open."""
        count, _ = self._open.get(last, (0, b""))
        numbers = ((last - back) % NUMBERS for back in range(count - 1, -1, -1))
        return [number for number in numbers if number not in self._kept]

    def _restored(self, last: int, header: DataHeader) -> Iterator[bytes]:
        missing = self.missing(last)
        if len(missing) > 1:
            return
        count, value = self._open.pop(last)
        for number in missing:
            for back in range(count):
                value = _xor(value, self._kept.get((last - back) % NUMBERS, b""))
            length, hops_left, origin_us = PROTECTED.unpack_from(value)
            if PROTECTED.size + length > len(value):
                return  # the packets of the group and its parity do not belong together: the sender was started again
            restored = replace(header, flags=Flags.NONE, link_sequence=number, hops_left=hops_left, origin_us=origin_us)
            yield restored.packed() + value[PROTECTED.size : PROTECTED.size + length]
