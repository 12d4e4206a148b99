"""Packet sockets: whole Ethernet frames of one interface. Constants of linux/if_packet.h that Python's `socket` lacks."""

import socket
import struct

SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
LARGEST_FRAME_BYTES = 65536


def packet_socket(interface: str | None = None) -> socket.socket:
    """A socket that receives what passes `interface`, in the namespace of the calling thread. The caller closes it.

    Protocol 0 receives nothing, so no frame of another interface arrives before the socket is bound.
    """
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    if interface is not None:
        packets.bind((interface, ETH_P_ALL))
    return packets


def overflowed(packets: socket.socket) -> int:
    """Frames that the kernel has dropped since the last call, because the socket's buffer was full."""
    _, dropped = struct.unpack("=II", packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return int(dropped)
