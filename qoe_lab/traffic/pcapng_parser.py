"""The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks. Bytes in, frames out.

A section has its own byte order and interfaces; each interface has its own link type and unit of time. A file may have several
sections. Blocks that hold no frame, such as names and statistics, are skipped.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from qoe_lab.traffic.link_frame import LARGEST_FRAME_BYTES, DamagedError, LinkFrame

INTERFACE_BLOCK, OLD_PACKET_BLOCK, SIMPLE_BLOCK, ENHANCED_BLOCK = 1, 2, 3, 6
BYTE_ORDER = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
LARGEST_BLOCK_BYTES = LARGEST_FRAME_BYTES + 65_536
END_OF_OPTIONS, TIME_RESOLUTION, TIME_OFFSET = 0, 9, 14


class _Interface(NamedTuple):
    link_type: int
    units_per_second: int
    offset_s: int


class PcapngParser:
    """The frames of a pcapng file. `feed` it the bytes in pieces of any size."""

    def __init__(self) -> None:
        self.frames_without_time = 0
        """Frames of simple packet blocks, which have no time."""
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._rest = b""

    @property
    def unread_bytes(self) -> int:
        """Bytes of a block that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[LinkFrame]:
        """The frames that `data` completes. DamagedError where the bytes stop being blocks."""
        data = self._rest + data
        at = 0
        try:
            while at + 12 <= len(data):
                if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
                    self._begin_section(data[at + 8 : at + 12])
                kind, size = struct.unpack_from(self._order + "II", data, at)
                if size < 12 or size % 4 or size > LARGEST_BLOCK_BYTES:
                    raise DamagedError(f"a block claims {size} bytes")
                if at + size > len(data):
                    return
                if data[at + 4 : at + 8] != data[at + size - 4 : at + size]:
                    raise DamagedError("a block states two different sizes")
                frame = self._read(kind, data[at + 8 : at + size - 4])
                at += size
                if frame is not None:
                    yield frame
        finally:
            self._rest = data[at:]

    def _begin_section(self, mark: bytes) -> None:
        if mark not in BYTE_ORDER:
            raise DamagedError("a section does not state its byte order")
        self._order = BYTE_ORDER[mark]
        self._interfaces.clear()

    def _read(self, kind: int, body: bytes) -> LinkFrame | None:
        """The frame in a block, if it has one."""
        if kind in (ENHANCED_BLOCK, OLD_PACKET_BLOCK):
            return self._frame(kind, body)
        if kind == INTERFACE_BLOCK:
            self._interfaces.append(self._interface(body))
        elif kind == SIMPLE_BLOCK:
            self.frames_without_time += 1
        return None

    def _interface(self, body: bytes) -> _Interface:
        if len(body) < 8:
            raise DamagedError("the description of an interface is too short")
        options = dict(self._options(body[8:]))
        resolution = options.get(TIME_RESOLUTION, b"\x06")[:1] or b"\x06"
        exponent = resolution[0] & 0x7F
        offset = options.get(TIME_OFFSET, b"")
        return _Interface(
            link_type=struct.unpack_from(self._order + "H", body)[0],
            units_per_second=2**exponent if resolution[0] & 0x80 else 10**exponent,
            offset_s=struct.unpack(self._order + "q", offset)[0] if len(offset) == 8 else 0,
        )

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(data):
            code, size = struct.unpack_from(self._order + "HH", data, at)
            if code == END_OF_OPTIONS:
                return
            yield code, data[at + 4 : at + 4 + size]
            at += 4 + size + -size % 4

    def _frame(self, kind: int, body: bytes) -> LinkFrame:
        if len(body) < 20:
            raise DamagedError("the block of a packet is too short")
        # The older block counts drops in the second half of the first field.
        layout = "IIIII" if kind == ENHANCED_BLOCK else "HxxIIII"
        number, high, low, kept, length = struct.unpack_from(self._order + layout, body)
        if number >= len(self._interfaces):
            raise DamagedError(f"a packet is of interface {number}, which the section does not describe")
        if kept > len(body) - 20:
            raise DamagedError(f"a packet claims {kept} captured bytes")
        interface = self._interfaces[number]
        time_ns = (high << 32 | low) * 1_000_000_000 // interface.units_per_second + interface.offset_s * 1_000_000_000
        return LinkFrame(time_ns, max(length, kept), interface.link_type, body[20 : 20 + kept])
