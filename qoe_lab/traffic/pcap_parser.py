"""The classic pcap format: a header of 24 bytes, then each frame behind 16 bytes. Bytes in, frames out.

The four first bytes say the byte order, and whether the fractions of seconds are microseconds or nanoseconds.
"""

import struct
from collections.abc import Iterator

from qoe_lab.traffic.link_frame import LARGEST_FRAME_BYTES, DamagedError, LinkFrame, new

MAGIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
"""First bytes of a file → byte order, and nanoseconds of one fraction."""

HEADER_BYTES = 24
LINK_TYPE_BITS = 0x0FFFFFFF
"""The upper four bits of the field state the length of the frame check sequence."""


class PcapParser:
    """The frames of a pcap file. `feed` it the bytes in pieces of any size."""

    def __init__(self, header: bytes) -> None:
        """`header` is the first HEADER_BYTES of the file."""
        order, self._fraction_ns = MAGIC[header[:4]]
        self._link_type: int = struct.unpack_from(order + "I", header, 20)[0] & LINK_TYPE_BITS
        self._preamble = struct.Struct(order + "IIII")
        self._rest = b""

    @property
    def unread_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[LinkFrame]:
        """The frames that `data` completes. DamagedError where the bytes stop being frames."""
        data = self._rest + data
        at, end, unpack, fraction_ns, link_type = 0, len(data), self._preamble.unpack_from, self._fraction_ns, self._link_type
        try:
            while at + 16 <= end:
                seconds, fraction, kept, length = unpack(data, at)
                if kept > LARGEST_FRAME_BYTES:
                    raise DamagedError(f"a frame claims {kept} captured bytes")
                if at + 16 + kept > end:
                    return
                begin, at = at + 16, at + 16 + kept
                time_ns = seconds * 1_000_000_000 + fraction * fraction_ns
                yield new(LinkFrame, (time_ns, max(kept, length), link_type, data[begin:at]))
        finally:
            self._rest = data[at:]
