"""The 20 bytes before each RTP packet on a link of the overlay.

20 bytes, 1,328 bytes of RTP (seven TS packets) and 28 bytes of UDP and IP make 1,376: below the MTU of 1,500.
"""

import struct
from typing import Final

from msgspec import Struct

LAYOUT = struct.Struct("!BBHIIQ")
HEADER_BYTES = LAYOUT.size
VERSION = 1
MOST_HOPS = 32


class Flags:
    """The lower four bits of the first byte. They are plain numbers: those of an enumeration cost a microsecond per packet."""

    NONE: Final = 0
    RETRANSMITTED: Final = 1
    """Sent again: after a NACK, or from the ring after a GRAFT."""
    PARITY: Final = 2
    """Not RTP but the XOR of a group of packets (FEC)."""
    RESERVED: Final = 4


class DataHeaderError(ValueError):
    """The bytes are not a data packet of this version."""


class DataHeader(Struct, frozen=True, kw_only=True, gc=False):
    """The values that a relay needs to forward a packet, and to detect losses on the link on which it arrived."""

    stream: int
    tree_epoch: int
    link_sequence: int
    """Counts the packets of one link; a gap is a loss on that link. Wraps at 2**32."""
    origin_us: int
    """When the source sent it, in microseconds of the source's clock."""
    hops_left: int = MOST_HOPS
    flags: int = Flags.NONE

    def packed(self) -> bytes:
        first = VERSION << 4 | self.flags
        return LAYOUT.pack(first, self.hops_left, self.stream, self.tree_epoch, self.link_sequence, self.origin_us)


def read_data_header(packet: bytes) -> DataHeader:
    """The header of a datagram. DataHeaderError if it is too short, has another version, or has no hops left."""
    if len(packet) <= HEADER_BYTES:
        raise DataHeaderError(f"a data packet has more than {HEADER_BYTES} bytes, this one {len(packet)}")
    first, hops_left, stream, tree_epoch, link_sequence, origin_us = LAYOUT.unpack_from(packet)
    if first >> 4 != VERSION:
        raise DataHeaderError(f"version {first >> 4} of the data header; this node knows version {VERSION}")
    if not 0 < hops_left <= MOST_HOPS:
        raise DataHeaderError(f"{hops_left} hops are left; a packet begins with {MOST_HOPS} and ends at 0")
    return DataHeader(
        stream=stream,
        tree_epoch=tree_epoch,
        link_sequence=link_sequence,
        origin_us=origin_us,
        hops_left=hops_left,
        flags=first & 15,
    )
