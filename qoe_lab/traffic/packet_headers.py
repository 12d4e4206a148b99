"""From the first bytes of a frame to the packet in it: addresses, ports, sizes and the TCP header. No payload is read.

A packet without a usable header is left out under the name of the reason. Payload sizes come from the IP header, so they are right
although the capture cut the packet, and padding of short Ethernet frames does not count.
"""

import ipaddress
import struct
from enum import StrEnum
from typing import NamedTuple

from qoe_lab.traffic.link_frame import LinkFrame, new

TCP, UDP = 6, 17
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


class TcpHeader(NamedTuple):
    """The fields of a TCP header. `options` are its raw bytes, as far as they were captured."""

    seq: int
    ack: int
    flags: int
    window: int
    options: bytes


class Packet(NamedTuple):
    """An IP packet. A tuple, because a capture has millions. Addresses are their bytes, 4 or 16."""

    time_ns: int
    frame_bytes: int
    """The whole frame on the wire, with the header of the link."""
    ip_bytes: int
    """The IP packet with its header."""
    source: bytes
    destination: bytes
    protocol: int
    """Number of the transport protocol: 6 is TCP, 17 UDP."""
    source_port: int
    """0 for protocols without ports."""
    destination_port: int
    payload_bytes: int
    """Behind the header of TCP or UDP; behind the IP header for other protocols."""
    ttl: int
    """Time to live of IPv4, or hop limit of IPv6."""
    ip_id: int | None
    """Identification of IPv4; that of the fragment header of IPv6, None without one."""
    first_fragment: bool
    """Others with the same `ip_id` follow it."""
    later_fragment: bool
    """It has no ports: they are in the first fragment."""
    tcp: TcpHeader | None


class LeftOut(StrEnum):
    """Why a frame gives no packet. The values are names of counters."""

    NOT_IP = "not_ip"
    UNKNOWN_LINK = "unknown_link"
    CUT = "cut_header"
    MALFORMED = "malformed"


def address_text(address: bytes) -> str:
    """192.0.2.1 or 2001:db8::1."""
    return str(ipaddress.ip_address(address))


def read_packet(frame: LinkFrame) -> Packet | LeftOut:
    """The packet in a frame, or why it has none."""
    return _read_usual_tcp(frame) or _read_any(frame)


def _read_any(frame: LinkFrame) -> Packet | LeftOut:
    place = _find_ip(frame.link_type, frame.header)
    if isinstance(place, LeftOut):
        return place
    if place >= len(frame.header):
        return LeftOut.CUT if frame.length > len(frame.header) else LeftOut.MALFORMED
    version = frame.header[place] >> 4
    if version == 4:
        return _read_ipv4(frame, place)
    if version == 6:
        return _read_ipv6(frame, place)
    return LeftOut.MALFORMED


# Links

ETHERNET, RAW_IP, LINUX_COOKED, LINUX_COOKED_2, LOOPBACK_BSD, LOOPBACK_OPENBSD = 1, 101, 113, 276, 0, 108
RAW_LINKS = frozenset({RAW_IP, 12, 14, 228, 229})
"""The packet begins at once. 12 and 14 are DLT_RAW of BSD and OpenBSD; 228 and 229 are IPv4 and IPv6 only."""

IP_TYPES = frozenset({0x0800, 0x86DD})
VLAN_TYPES = frozenset({0x8100, 0x88A8, 0x9100})
PPPOE_SESSION = 0x8864
PPP_IP_TYPES = frozenset({0x0021, 0x0057})
LOOPBACK_FAMILIES = frozenset({2, 10, 24, 28, 30})
"""AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD and macOS."""


def _find_ip(link: int, header: bytes) -> int | LeftOut:
    """Where the IP header begins. It may be behind the captured bytes."""
    if link == ETHERNET:
        return _behind_ether_type(header, 12)
    if link in RAW_LINKS:
        return 0
    if link == LINUX_COOKED:
        return _behind_ether_type(header, 14)
    if link == LINUX_COOKED_2:
        return 20 if int.from_bytes(header[:2], "big") in IP_TYPES else LeftOut.NOT_IP
    if link in (LOOPBACK_BSD, LOOPBACK_OPENBSD):
        families = {int.from_bytes(header[:4], "big"), int.from_bytes(header[:4], "little")}
        return 4 if families & LOOPBACK_FAMILIES else LeftOut.NOT_IP
    return LeftOut.UNKNOWN_LINK


def _behind_ether_type(header: bytes, at: int) -> int | LeftOut:
    """`at` is the place of the EtherType. VLAN tags, also nested ones, and PPPoE may follow it."""
    kind = int.from_bytes(header[at : at + 2], "big")
    while kind in VLAN_TYPES:
        at += 4
        kind = int.from_bytes(header[at : at + 2], "big")
    if kind in IP_TYPES:
        return at + 2
    if kind == PPPOE_SESSION and int.from_bytes(header[at + 8 : at + 10], "big") in PPP_IP_TYPES:
        return at + 10
    return LeftOut.NOT_IP


# IP

_IPV4 = struct.Struct("!BxHHHBBxx4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
MORE_FRAGMENTS, FRAGMENT_OFFSET = 0x2000, 0x1FFF
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY, HIP, SHIM6 = 0, 43, 44, 51, 60, 135, 139, 140
EXTENSIONS = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY, HIP, SHIM6})


class _Ip(NamedTuple):
    """What both versions say. `begin` and `size` are of what follows the header."""

    begin: int
    size: int
    packet_bytes: int
    source: bytes
    destination: bytes
    protocol: int
    ttl: int
    ip_id: int | None
    first_fragment: bool
    later_fragment: bool


def _read_ipv4(frame: LinkFrame, at: int) -> Packet | LeftOut:
    header = frame.header
    if len(header) < at + 20:
        return _short(frame)
    first, total, ip_id, fragment, ttl, protocol, source, destination = _IPV4.unpack_from(header, at)
    size = (first & 15) * 4
    # A network card that divides packets itself gets some that are longer than the field can say; the field is 0 then.
    total = total or frame.length - at
    if size < 20 or total < size or at + total > frame.length:
        return LeftOut.MALFORMED
    later = fragment & FRAGMENT_OFFSET != 0
    first_of_many = not later and fragment & MORE_FRAGMENTS != 0
    ip = _Ip(at + size, total - size, total, source, destination, protocol, ttl, ip_id, first_of_many, later)
    return _read_transport(frame, ip)


def _read_ipv6(frame: LinkFrame, at: int) -> Packet | LeftOut:
    header = frame.header
    if len(header) < at + 40:
        return _short(frame)
    _, payload, following, hop_limit, source, destination = _IPV6.unpack_from(header, at)
    end = at + 40 + payload if payload else frame.length
    if end > frame.length:
        return LeftOut.MALFORMED
    place, ip_id, first_of_many, later = at + 40, None, False, False
    while following in EXTENSIONS and not later:
        if place + 8 > end:
            return LeftOut.MALFORMED
        if place + 8 > len(header):
            return LeftOut.CUT
        if following == FRAGMENT:
            fragment = int.from_bytes(header[place + 2 : place + 4], "big")
            later, first_of_many = fragment >> 3 != 0, fragment == 1
            ip_id = int.from_bytes(header[place + 4 : place + 8], "big")
        size = _extension_bytes(following, header[place + 1])
        following, place = header[place], place + size
    if place > end:
        return LeftOut.MALFORMED
    ip = _Ip(place, end - place, end - at, source, destination, following, hop_limit, ip_id, first_of_many, later)
    return _read_transport(frame, ip)


def _extension_bytes(kind: int, stated: int) -> int:
    if kind == FRAGMENT:
        return 8
    return (stated + 2) * 4 if kind == AUTHENTICATION else (stated + 1) * 8


def _short(frame: LinkFrame) -> LeftOut:
    """Whether the capture cut a header, or the packet itself ends within it."""
    return LeftOut.CUT if frame.length > len(frame.header) else LeftOut.MALFORMED


# Transport

_TCP = struct.Struct("!HHIIBBH")
_PORTS = struct.Struct("!HH")


def _read_transport(frame: LinkFrame, ip: _Ip) -> Packet | LeftOut:
    if ip.later_fragment:
        return _packet(frame, ip, 0, 0, ip.size, None)
    if ip.protocol == TCP:
        return _read_tcp(frame, ip)
    if ip.protocol == UDP:
        if ip.size < 8:
            return LeftOut.MALFORMED
        if len(frame.header) < ip.begin + 4:
            return LeftOut.CUT
        source_port, destination_port = _PORTS.unpack_from(frame.header, ip.begin)
        return _packet(frame, ip, source_port, destination_port, ip.size - 8, None)
    return _packet(frame, ip, 0, 0, ip.size, None)


def _read_tcp(frame: LinkFrame, ip: _Ip) -> Packet | LeftOut:
    if ip.size < 20:
        return LeftOut.MALFORMED
    if len(frame.header) < ip.begin + 16:
        return LeftOut.CUT
    source_port, destination_port, seq, ack, offset, flags, window = _TCP.unpack_from(frame.header, ip.begin)
    size = (offset >> 4) * 4
    if size < 20 or size > ip.size:
        return LeftOut.MALFORMED
    tcp = TcpHeader(seq, ack, flags, window, frame.header[ip.begin + 20 : ip.begin + size] if size > 20 else b"")
    return _packet(frame, ip, source_port, destination_port, ip.size - size, tcp)


def _packet(frame: LinkFrame, ip: _Ip, source_port: int, destination_port: int, payload: int, tcp: TcpHeader | None) -> Packet:
    return Packet(
        frame.time_ns,
        frame.length,
        ip.packet_bytes,
        ip.source,
        ip.destination,
        ip.protocol,
        source_port,
        destination_port,
        payload,
        ip.ttl,
        ip.ip_id,
        ip.first_fragment,
        ip.later_fragment,
        tcp,
    )


# The usual case

_USUAL_TCP = struct.Struct("!12xHBxHHHBBxx4s4sHHIIBBH")
_USUAL_BYTES = 54
_FRAGMENT_BITS = 0x3FFF


def _read_usual_tcp(frame: LinkFrame) -> Packet | None:
    """TCP behind IPv4 without options behind Ethernet, in one step: most packets are this. None for all others."""
    header = frame.header
    if frame.link_type != ETHERNET or len(header) < _USUAL_BYTES:
        return None
    (ether_type, first, total, ip_id, fragment, ttl, protocol, source, destination,
     source_port, destination_port, seq, ack, offset, flags, window) = _USUAL_TCP.unpack_from(header)  # fmt: skip
    size = (offset >> 4) * 4
    payload = total - 20 - size
    if ether_type != 0x0800 or first != 0x45 or protocol != TCP or fragment & _FRAGMENT_BITS:
        return None
    if size < 20 or payload < 0 or total + 14 > frame.length:
        return None
    options = header[_USUAL_BYTES : 34 + size] if size > 20 else b""
    tcp = new(TcpHeader, (seq, ack, flags, window, options))
    return new(Packet, (
        frame.time_ns, frame.length, total, source, destination, TCP, source_port, destination_port, payload, ttl, ip_id,
        False, False, tcp,
    ))  # fmt: skip
