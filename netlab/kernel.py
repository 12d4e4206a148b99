"""System calls on network namespaces that Python 3.11 does not offer.

A namespace here is a file descriptor. `inside` moves only the calling thread, so other threads stay where they are; what the
thread creates meanwhile (a socket, a process) stays in the namespace.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

# linux/ethtool.h and linux/sockios.h
SIOCETHTOOL = 0x8946
OFFLOADS = {"tx checksum": 0x17, "scatter-gather": 0x19, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _own_namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _returning() -> Iterator[None]:
    """Return the thread to its own namespace after the block."""
    before = _own_namespace()
    try:
        yield
    finally:
        try:
            _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)


def new_namespace() -> int:
    """A network namespace without a name. It exists as long as its descriptor, or a process in it. OSError if not permitted."""
    with _returning():
        _call("unshare", CLONE_NEWNET)
        return _own_namespace()


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Move the calling thread into `namespace` for the block."""
    with _returning():
        _call("setns", namespace, CLONE_NEWNET)
        yield


def enter_user_namespace() -> None:
    """Give a process without rights a namespace in which it may build labs. It loses the networks of the machine.

    Call it before the process has a second thread, which the kernel requires. OSError if the kernel does not permit it.
    """
    user, group = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")


def make_quiet(forwards: bool) -> None:
    """Turn off IPv6 and source address checks, and set IPv4 forwarding, in the namespace of the calling thread."""
    values = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1", "ipv4/conf/all/rp_filter": "0"}
    values |= {"ipv4/conf/default/rp_filter": "0", "ipv4/ip_forward": "1" if forwards else "0"}
    for name, value in values.items():
        path = Path("/proc/sys/net", name)
        if path.exists():  # a kernel without IPv6 has no such file
            path.write_text(value, encoding="ascii")


def turn_off_offloads(interface: str) -> None:
    """Turn off offloads, so that packets look as on a wire: no larger than the MTU, with complete checksums.

    `interface` is in the namespace of the calling thread.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as handle:
        for command in OFFLOADS.values():
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(handle, SIOCETHTOOL, request)
