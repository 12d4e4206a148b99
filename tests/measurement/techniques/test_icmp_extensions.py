"""MPLS labels in the answers of routers (RFC 4884, RFC 4950), from bytes and through the kernel."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.techniques.icmp_extensions import mpls_labels
from measurement.techniques.kernel_sockets import Received, receive_all, stamp_arrivals, wait_readable
from measurement.techniques.trace_socket import TraceProbe
from measurement.techniques.traceroute import hops_of

TWO_LABELS = bytes.fromhex("20000000 000c0101 05dc1001 00010101")
"""Version 2, no checksum; an object of 12 bytes, class 1, type 1; label 24001, TTL 1; label 16, bottom of stack, TTL 1."""
OTHER_OBJECT = bytes.fromhex("0008 0201 7f000001")
"""Interface information (RFC 5837), which has no labels."""
TARGET, PORT = "203.0.113.9", 33_434


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_checksum(data: bytes, place: int) -> bytes:
    return data[:place] + struct.pack("!H", checksum(data)) + data[place + 2 :]


def time_exceeded(port: int, payload: bytes, extensions: bytes) -> bytes:
    """The answer of a router to a UDP packet from 127.0.0.1 and `port`: the quote is padded to 128 bytes."""
    udp = struct.pack("!HHHH", port, PORT, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0, 1, socket.IPPROTO_UDP, 0)
    ip += socket.inet_aton("127.0.0.1") + socket.inet_aton(TARGET)
    quote = (with_checksum(ip, 10) + udp).ljust(128, b"\0")
    return with_checksum(struct.pack("!BBHBBH", 11, 0, 0, 0, len(quote) // 4, 0) + quote + extensions, 2)


def received(extensions: bytes) -> Received:
    """What a socket gets when a router answers with these extensions."""
    try:
        router = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except PermissionError:
        pytest.skip("forging the answer of a router needs CAP_NET_RAW")
    with router, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        stamp_arrivals(sock, errors=True)
        router.sendto(time_exceeded(sock.getsockname()[1], b"payload!", extensions), ("127.0.0.1", 0))
        wait_readable([sock], 5)
        [answer] = receive_all(sock, errors=True)
    assert (answer.icmp_type, answer.icmp_code) == (11, 0)
    assert answer.data.startswith(b"payload!")
    return answer


def test_the_labels_are_those_of_the_stack_from_its_top():
    assert mpls_labels(TWO_LABELS) == (24001, 16)
    assert mpls_labels(TWO_LABELS[:4] + OTHER_OBJECT + TWO_LABELS[4:]) == (24001, 16)
    assert mpls_labels(TWO_LABELS[:4] + OTHER_OBJECT) == ()
    assert mpls_labels(b"") == ()
    assert mpls_labels(b"\x10" + TWO_LABELS[1:]) == (), "another version"
    assert mpls_labels(TWO_LABELS[:-1]) == (), "cut off"


@given(st.binary(max_size=64))
def test_any_bytes_are_read_as_labels_without_an_error(data):
    assert all(0 <= label < 1 << 20 for label in mpls_labels(b"\x20" + data))


def test_a_hop_has_the_labels_that_its_router_added_and_others_have_none():
    answers = [received(with_checksum(TWO_LABELS, 2)), received(b""), received(TWO_LABELS[:2] + b"\x12\x34" + TWO_LABELS[4:])]
    probes = [TraceProbe(ttl=ttl, sent_ns=0, sent_at=0.0, port=PORT, answer=answer) for ttl, answer in enumerate(answers, 1)]
    assert [hop.mpls_labels for hop in hops_of(probes)] == ["24001 16", None, None], "the last checksum is wrong"
