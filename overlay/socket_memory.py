"""The kernel's counts of the buffers of a socket (Linux)."""

import socket
import struct

SO_MEMINFO = 55
SK_MEMINFO_WMEM_ALLOC, SK_MEMINFO_DROPS = 2, 8
"""Of asm-generic/socket.h and linux/sock_diag.h; Python does not name them."""


def dropped(of: socket.socket) -> int:
    """Datagrams that arrived while the buffer was full."""
    return _memory(of, SK_MEMINFO_DROPS)


def queued_bytes(of: socket.socket) -> int:
    """The kernel's memory for datagrams that were sent, and that wait in the queues of the interfaces."""
    return _memory(of, SK_MEMINFO_WMEM_ALLOC)


def _memory(of: socket.socket, entry: int) -> int:
    return int(struct.unpack("9I", of.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[entry])
