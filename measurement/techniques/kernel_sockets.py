"""Sockets that report when the kernel received a packet, and the answers of routers. They need no root rights.

The time stamps are those of the system clock, so a step of this clock falsifies one sample; `waited_ms` guards against that.
"""

import errno
import gc
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# linux/socket.h, linux/in.h, linux/in6.h
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
IP_RECVERR, IPV6_RECVERR = 11, 25
IP_RECVERR_RFC4884, IPV6_RECVERR_RFC4884 = 26, 31
IP_RECVTTL, IPV6_RECVHOPLIMIT = 12, 51
IP_TTL, IPV6_HOPLIMIT = 2, 52
IPPROTO_IPV6 = 41
TIMESPEC = struct.Struct("@qq")
EXTENDED_ERROR = struct.Struct("=IBBBBIHBB")
"""struct sock_extended_err: errno, origin, ICMP type, ICMP code, padding, info, place of the extensions, flags, reserved."""
INVALID_EXTENSIONS = 1
FROM_ICMP, FROM_ICMP6 = 2, 3
ANCILLARY_BYTES = 512
RECEIVE_BUFFER_BYTES = 4 << 20
REAL_TIME_PRIORITY = 50
CLOCK_ERROR_MS = 1.0


@dataclass(frozen=True, slots=True)
class Received:
    """A packet, or with `icmp_type` the error that a router or host answered."""

    data: bytes
    """For an error: the payload of the packet that caused it, as far as it was quoted."""
    address: str
    """The address of the sender of the packet or of the error."""
    port: int
    """The port of the sender; for an error, the destination port of the packet that caused it."""
    arrived_ns: int
    """Unix time from the kernel."""
    ttl: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    error: int = 0
    """The errno that the kernel makes of the ICMP error."""
    extensions: bytes = b""
    """The extensions that a router has added to the error (RFC 4884), if their checksum is correct."""


def stamp_arrivals(sock: socket.socket, *, errors: bool = False) -> None:
    """Let the kernel note the arrival of each packet; with `errors`, also queue ICMP errors for `receive`."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with suppress(OSError):  # needs CAP_NET_ADMIN
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    v6 = sock.family == socket.AF_INET6
    sock.setsockopt(IPPROTO_IPV6 if v6 else socket.SOL_IP, IPV6_RECVHOPLIMIT if v6 else IP_RECVTTL, 1)
    if errors:
        level = IPPROTO_IPV6 if v6 else socket.SOL_IP
        sock.setsockopt(level, IPV6_RECVERR if v6 else IP_RECVERR, 1)
        with suppress(OSError):  # a kernel before 5.9 does not say where the extensions begin
            sock.setsockopt(level, IPV6_RECVERR_RFC4884 if v6 else IP_RECVERR_RFC4884, 1)


def set_ttl(sock: socket.socket, ttl: int) -> None:
    """The time to live of the packets that are sent from now on."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.SOL_IP, socket.IP_TTL, ttl)


def wait_readable(socks: list[socket.socket], timeout_s: float) -> None:
    """Wait until one of the sockets has a packet or an error, or until the timeout."""
    poller = select.poll()
    for sock in socks:
        poller.register(sock, select.POLLIN)
    poller.poll(max(timeout_s, 0) * 1000)


def receive_all(sock: socket.socket, *, errors: bool = False) -> Iterator[Received]:
    """Everything that has arrived: packets first, then errors. OSError if the socket fails, for example because it is closed."""
    for flags in (0, socket.MSG_ERRQUEUE) if errors else (0,):
        while True:
            try:
                yield _received(sock, flags)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in PENDING:
                    raise
                # The kernel reports the last ICMP error once more with the next call; the queue has the details.


def _received(sock: socket.socket, flags: int) -> Received:
    data, ancillary, _, peer = sock.recvmsg(65_536, ANCILLARY_BYTES, flags)
    address, port = (peer[0], peer[1]) if peer else ("", 0)
    arrived_ns, ttl = time.time_ns(), None
    error: tuple[int, int | None, int | None, str, int] = (0, None, None, "", 0)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack_from(content)
            arrived_ns = seconds * 10**9 + nanoseconds
        elif (level, kind) in ((socket.SOL_IP, IP_TTL), (IPPROTO_IPV6, IPV6_HOPLIMIT)):
            ttl = int.from_bytes(content[:4], "little")
        elif (level, kind) in ((socket.SOL_IP, IP_RECVERR), (IPPROTO_IPV6, IPV6_RECVERR)):
            error = _extended_error(content)
    number, icmp_type, icmp_code, offender, place = error
    return Received(
        data=data[:place] if place else data,
        address=offender or plain_address(address),
        port=port,
        arrived_ns=arrived_ns,
        ttl=ttl,
        icmp_type=icmp_type,
        icmp_code=icmp_code,
        error=number,
        extensions=data[place:] if place else b"",
    )


def _extended_error(content: bytes) -> tuple[int, int | None, int | None, str, int]:
    """The errno, ICMP type and code, the address of the sender of the error, and where the extensions begin (0: nowhere)."""
    number, origin, icmp_type, icmp_code, _, _, place, flags, _ = EXTENDED_ERROR.unpack_from(content)
    if origin not in (FROM_ICMP, FROM_ICMP6):
        return number, None, None, "", 0
    offender = content[EXTENDED_ERROR.size :]
    family = int.from_bytes(offender[:2], "little")
    begin, end = (8, 24) if family == socket.AF_INET6 else (4, 8)
    address = socket.inet_ntop(socket.AF_INET6 if family == socket.AF_INET6 else socket.AF_INET, offender[begin:end])
    return number, icmp_type, icmp_code, address, 0 if flags & INVALID_EXTENSIONS else place


def plain_address(address: str) -> str:
    """Without the zone of a link-local address, and IPv4 in its usual form."""
    return address.partition("%")[0].removeprefix("::ffff:") if "." in address else address.partition("%")[0]


PENDING = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPROTO}
"""The kernel reports an ICMP error of an earlier packet by refusing to send the next one."""
TRIES = 8


def send_now(sock: socket.socket, data: bytes, target: tuple[str, int]) -> int:
    """Send a packet and return its Unix time in ns. OSError if it cannot be sent.

    A packet that a queue of this machine drops (ENOBUFS) counts as sent: it is lost on the first link of the path.
    """
    for tries_left in range(TRIES, 0, -1):
        sent_ns = time.time_ns()
        try:
            sock.sendto(data, target)
            break
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                break
            if error.errno not in PENDING or tries_left == 1:
                raise
    return sent_ns


def waited_ms(sent_ns: int, arrived_ns: int, seen_ms: float) -> float:
    """The milliseconds between two stamps of the kernel, or `seen_ms`, which the process measured on the monotonic clock.

    A process sees an answer later than the kernel. Where it seems to be earlier, the system clock was set meanwhile.
    """
    kernel_ms = (arrived_ns - sent_ns) / 1e6
    return kernel_ms if 0 <= kernel_ms <= seen_ms + CLOCK_ERROR_MS else seen_ms


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection meanwhile, and real-time scheduling where it is permitted: for short trains only."""
    gc.disable()
    before = os.sched_getscheduler(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME_PRIORITY))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, before, os.sched_param(0))
        gc.enable()
