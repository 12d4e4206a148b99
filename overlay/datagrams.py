"""The UDP socket of a node. It reads all that waits at once, with the time at which the kernel received each datagram.

The transport of asyncio would read one datagram each time the event loop turns, with 256 KiB of memory for it and without its time.
"""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from serving.listening import listen_error

RECEIVE_BUFFER_BYTES = 1 << 20
"""Half a second of 8 Mbit/s, with what the kernel adds to each packet. The system's limit can be lower."""
LONGEST_BYTES = 9216
"""The longest datagram of the overlay."""
MOST_AT_ONCE = 256
"""Datagrams that are read at once, before other tasks of the event loop run."""
SO_TIMESTAMPNS = 35
"""Of asm-generic/socket.h; Python does not name it. Each datagram then comes with a timespec of the wall clock."""
TIMESPEC = struct.Struct("@ll")
ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)
MOST_WAITED_NS = 10 * 10**9
"""A datagram that seems to have waited longer, or to come from the future, shows that the clock was set."""

Address = Any
"""In the form of the socket: host and port, and two more numbers for IPv6."""


async def bound_socket(host: str) -> socket.socket:
    """A UDP socket at a free port of an address of this machine. OSError, with advice, for any other address."""
    try:
        [(family, *_, address), *_] = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.bind(address)
    except OSError as error:
        raise OSError(listen_error(host, 0, error)) from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    with suppress(OSError):  # not Linux: the time of reading is used
        bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return bound


class Datagrams:
    """Use it in a running event loop. `received` gets each datagram, its sender, and when it arrived (`time.monotonic`)."""

    def __init__(self, bound: socket.socket, received: Callable[[bytes, Address, float], None]) -> None:
        bound.setblocking(False)
        self.socket, self._received = bound, received
        self.queued_bytes = 0
        """The size of the datagrams that the kernel has not accepted yet."""
        self._queue: deque[tuple[bytes, Address]] = deque()
        self._reads_each = False

    def read_each(self, each: bool) -> None:
        """Whether to read each datagram when it arrives. Otherwise they wait for `read`."""
        loop = asyncio.get_running_loop()
        if each and not self._reads_each:
            loop.add_reader(self.socket, self.read)
        elif self._reads_each and not each:
            loop.remove_reader(self.socket)
        self._reads_each = each

    def read(self) -> None:
        """Read the datagrams that wait."""
        now_ns, date_ns = time.monotonic_ns(), time.time_ns()
        for _ in range(MOST_AT_ONCE):
            try:
                data, ancillary, flags, address = self.socket.recvmsg(LONGEST_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an error of an earlier datagram
                continue
            if flags & socket.MSG_TRUNC:
                continue
            waited_ns = date_ns - _stamp_ns(ancillary) if ancillary else 0
            if abs(waited_ns) > MOST_WAITED_NS:
                waited_ns = 0
            self._received(data, address, (now_ns - waited_ns) / 1e9)

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, or keep it if the kernel does not accept it now. The caller limits `queued_bytes`."""
        if not self._queue:
            try:
                self.socket.sendto(data, address)
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self.socket, self._send_queued)
            except OSError:  # no route to the address: the datagram is lost, as on any link
                return
            else:
                return
        self._queue.append((data, address))
        self.queued_bytes += len(data)

    def _send_queued(self) -> None:
        while self._queue:
            data, address = self._queue[0]
            try:
                self.socket.sendto(data, address)
            except BlockingIOError:
                return
            except OSError:
                pass
            self._queue.popleft()
            self.queued_bytes -= len(data)
        asyncio.get_running_loop().remove_writer(self.socket)

    def close(self) -> None:
        """Send and receive nothing more."""
        self.read_each(False)
        asyncio.get_running_loop().remove_writer(self.socket)
        self.socket.close()


def _stamp_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    seconds, nanoseconds = TIMESPEC.unpack_from(ancillary[0][2])
    return int(seconds * 10**9 + nanoseconds)
