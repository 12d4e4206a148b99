"""The headers of the packets at an interface, from a ring that the kernel shares with this process (TPACKET_V3 of packet(7)).

The kernel fills blocks of many packets and wakes the process once for each block, at the latest after `BLOCK_MS`. So a packet costs
no system call, and has the kernel's time.
"""

import ctypes
import mmap
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from qoe_lab.traffic.link_frame import LinkFrame, new
from qoe_lab.traffic.packet_headers import ETHERNET, RAW_IP

HEADER_BYTES = 128
BLOCK_MS = 100
BLOCK_BYTES, BLOCKS = 1 << 18, 32
"""8 MiB: about 40,000 packets, or a second of a fast network."""

# linux/if_packet.h, linux/if_ether.h, linux/if_arp.h, linux/filter.h
SOL_PACKET = 263
SO_ATTACH_FILTER = 26
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
TPACKET_V3 = 2
TP_STATUS_USER = 1
ETH_P_ALL = 3
ARPHRD_NONE = 65534
RETURN = 0x06

_BLOCK = struct.Struct("=8xIII")
"""Of tpacket_block_desc: the status, the number of packets, and where the first one begins."""
_STATUS_AT = 8
_PACKET = struct.Struct("=IIIII4xH")
"""Of tpacket3_hdr: where the next packet begins, seconds, nanoseconds, captured bytes, bytes of the frame, where it begins."""


class PacketRing:
    """Close it, or use it as a context. OSError if the interface does not exist or may not be read."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._memory = _share(self._socket)
            if interface == "lo":  # it shows each packet twice: when it leaves, and when it comes
                self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._socket.bind((interface, ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise OSError(f"the interface {interface} cannot be read: {error.strerror}") from error
        self._link_type = _link_type(interface)
        self._block = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._memory.close()
        self._socket.close()

    def wait(self, seconds: float) -> None:
        """Until a block is ready, or for a time."""
        select.select([self._socket], [], [], seconds)

    def frames(self) -> Iterator[LinkFrame]:
        """The frames of the blocks that are ready."""
        memory, unpack, link_type = self._memory, _PACKET.unpack_from, self._link_type
        for _ in range(BLOCKS):
            begin = self._block * BLOCK_BYTES
            status, packets, first = _BLOCK.unpack_from(memory, begin)
            if not status & TP_STATUS_USER:
                return
            at = begin + first
            for _ in range(packets):
                following, seconds, nanoseconds, kept, length, frame = unpack(memory, at)
                header = memory[at + frame : at + frame + kept]
                yield new(LinkFrame, (seconds * 1_000_000_000 + nanoseconds, length, link_type, header))
                at += following
            struct.pack_into("=I", memory, begin + _STATUS_AT, 0)  # the block is the kernel's again
            self._block = (self._block + 1) % BLOCKS

    def dropped(self) -> int:
        """Packets that the kernel has dropped since the last call, because all blocks were full."""
        _, dropped, _ = struct.unpack("=III", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        return int(dropped)


def _share(packets: socket.socket) -> mmap.mmap:
    packets.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    _keep_headers(packets)
    slot_bytes = 2048  # no limit of a packet: it only has to divide the blocks
    ring = struct.pack("=7I", BLOCK_BYTES, BLOCKS, slot_bytes, BLOCK_BYTES * BLOCKS // slot_bytes, BLOCK_MS, 0, 0)
    packets.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
    return mmap.mmap(packets.fileno(), BLOCK_BYTES * BLOCKS)


def _keep_headers(packets: socket.socket) -> None:
    """A filter of one instruction, which returns how many bytes the kernel keeps."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", RETURN, 0, 0, HEADER_BYTES), 8)
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))


def _link_type(interface: str) -> int:
    """Ethernet, or packets of IP without a header of the link, as tunnels have them."""
    hardware = int(Path("/sys/class/net", interface, "type").read_text(encoding="ascii"))
    return RAW_IP if hardware == ARPHRD_NONE else ETHERNET
