"""Captures of any origin: formats, byte orders, units of time, links, and files that are damaged or no captures."""

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.traffic import CaptureReader, NotACaptureError, Packet, PacketStream
from tests.qoe_lab.traffic.hand_made import (
    BEGIN_NS,
    Frame,
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    packets_of,
    pcap,
    section,
    tcp,
    udp,
)

SEGMENT = tcp(40000, 80, 7, 9, "PA", 500, 1000)
PACKET = ipv4(SEGMENT, ttl=63, ip_id=5)
TIME_NS = BEGIN_NS + 123_456_789


def only(capture: bytes) -> Packet:
    [packet] = packets_of(capture)
    return packet


def counts_of(capture: bytes) -> dict[str, int]:
    """What was left out, without zeros."""
    stream = PacketStream()
    list(stream.feed(capture))
    stream.end()
    return {name: count for name, count in stream.counts.items() if count and name not in ("frames", "packets")}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("nanoseconds", "time_ns"), [(True, TIME_NS), (False, TIME_NS // 1000 * 1000)])
def test_a_pcap_of_each_byte_order_and_unit_is_read(order, nanoseconds, time_ns):
    packet = only(pcap([Frame(TIME_NS, ethernet(PACKET))], order=order, nanoseconds=nanoseconds))
    assert (packet.time_ns, packet.frame_bytes, packet.ip_bytes, packet.payload_bytes) == (time_ns, 1054, 1040, 1000)
    assert (packet.source, packet.destination) == (bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1]))
    assert (packet.source_port, packet.destination_port, packet.protocol) == (40000, 80, 6)
    assert (packet.ttl, packet.ip_id, packet.tcp) == (63, 5, (7, 9, 24, 500, b""))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("resolution", "units"), [(None, 10**6), (6, 10**6), (9, 10**9), (3, 10**3), (0x80 | 20, 2**20), (0, 1)])
def test_a_pcapng_of_each_byte_order_and_unit_is_read(order, resolution, units):
    time = TIME_NS * units // 10**9
    capture = section(order) + interface(order, resolution=resolution) + enhanced(time, ethernet(PACKET), order)
    packet = only(capture)
    assert packet.time_ns == time * 10**9 // units
    assert packet.payload_bytes == 1000


def test_an_interface_of_pcapng_can_have_an_offset_of_time():
    assert only(section() + interface(offset_s=1000) + enhanced(1, ethernet(PACKET))).time_ns == 1000 * 10**9 + 1000


def test_each_section_of_pcapng_has_its_byte_order_and_interfaces():
    first = section("<") + interface("<", link=101) + interface("<") + enhanced(1, PACKET) + enhanced(2, ethernet(PACKET), number=1)
    second = section(">") + interface(">", resolution=9) + enhanced(3, ethernet(PACKET), ">")
    assert [packet.time_ns for packet in packets_of(first + second)] == [1000, 2000, 3]


def test_other_blocks_of_pcapng_are_skipped_and_frames_without_time_are_counted():
    frame = ethernet(PACKET)
    simple = block(3, struct.pack("<I", len(frame)) + frame)
    old = block(2, struct.pack("<HHIIII", 0, 9, 0, 7, len(frame), len(frame)) + frame)
    capture = section() + block(4, bytes(8)) + interface() + simple + block(5, bytes(12)) + old
    assert only(capture).time_ns == 7000
    assert counts_of(capture) == {"no_time": 1}


LINKS = {
    "ethernet": (1, ethernet(PACKET)),
    "vlan": (1, ethernet(PACKET, vlans=[0x8100])),
    "two vlans": (1, ethernet(PACKET, vlans=[0x88A8, 0x8100])),
    "pppoe": (1, ethernet(struct.pack("!BBHHH", 0x11, 0, 1, len(PACKET) + 2, 0x21) + PACKET, kind=0x8864)),
    "linux cooked": (113, struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x0800) + PACKET),
    "linux cooked 2": (276, struct.pack("!HHIHBB8s", 0x0800, 0, 1, 1, 0, 6, bytes(8)) + PACKET),
    "raw": (101, PACKET),
    "raw of BSD": (12, PACKET),
    "ipv4": (228, PACKET),
    "loopback": (0, struct.pack("<I", 2) + PACKET),
    "loopback, other byte order": (0, struct.pack(">I", 2) + PACKET),
    "loopback of OpenBSD": (108, struct.pack(">I", 2) + PACKET),
}


@pytest.mark.parametrize("name", LINKS)
def test_the_packet_behind_each_link_is_found(name):
    link, data = LINKS[name]
    packet = only(pcap([Frame(TIME_NS, data)], link=link))
    assert (packet.frame_bytes, packet.ip_bytes, packet.payload_bytes, packet.source_port) == (len(data), 1040, 1000, 40000)


@pytest.mark.parametrize(
    ("link", "data"),
    [
        (229, ipv6(SEGMENT)),
        (113, struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x86DD) + ipv6(SEGMENT)),
        (0, struct.pack("<I", 30) + ipv6(SEGMENT)),
        (1, ethernet(ipv6(SEGMENT), vlans=[0x8100])),
    ],
)
def test_ipv6_behind_other_links_is_found(link, data):
    packet = only(pcap([Frame(TIME_NS, data)], link=link))
    assert (packet.ip_bytes, packet.payload_bytes, packet.ip_id) == (1060, 1000, None)


def test_what_is_not_ip_is_counted():
    arp = ethernet(bytes(28), kind=0x0806)
    assert counts_of(pcap([Frame(TIME_NS, arp), Frame(TIME_NS, arp)])) == {"not_ip": 2}
    assert counts_of(pcap([Frame(TIME_NS, bytes(60))], link=147)) == {"unknown_link": 1}
    assert counts_of(pcap([Frame(TIME_NS, bytes(20))], link=0)) == {"not_ip": 1}


def test_ipv4_options_are_skipped_and_padding_of_ethernet_does_not_count():
    packet = only(pcap([Frame(TIME_NS, ethernet(ipv4(SEGMENT, options=bytes(12))))]))
    assert (packet.source_port, packet.payload_bytes, packet.ip_bytes) == (40000, 1000, 1052)
    short = ethernet(ipv4(tcp(40000, 80, 7, 9, "A", 500, 0))) + bytes(6)
    assert only(pcap([Frame(TIME_NS, short)])).payload_bytes == 0


EXTENSIONS = [
    bytes([43, 1]) + bytes(14),  # hop by hop, 16 bytes; routing follows
    bytes([60, 0]) + bytes(6),  # routing; destination options follow
    bytes([51, 0]) + bytes(6),  # destination options; authentication follows
    bytes([6, 2]) + bytes(14),  # authentication, (2 + 2) * 4 bytes; TCP follows
]


def test_the_transport_behind_extension_headers_of_ipv6_is_found():
    packet = only(pcap([Frame(TIME_NS, ethernet(ipv6(b"".join(EXTENSIONS) + SEGMENT, following=0)))]))
    assert (packet.protocol, packet.source_port, packet.payload_bytes) == (6, 40000, 1000)


def test_fragments_have_the_sizes_of_their_own_payload():
    first = ipv4(udp(5000, 53, 992), protocol=17, ip_id=9, more=True)
    later = ipv4(bytes(500), protocol=17, ip_id=9, offset=1000)
    one, other = packets_of(pcap([Frame(TIME_NS, ethernet(first)), Frame(TIME_NS, ethernet(later))]))
    assert (one.first_fragment, one.later_fragment, one.source_port, one.payload_bytes) == (True, False, 5000, 992)
    assert (other.first_fragment, other.later_fragment, other.source_port, other.payload_bytes) == (False, True, 0, 500)
    fragment = bytes([17, 0]) + struct.pack("!HI", 125 << 3, 77) + bytes(300)
    sixth = only(pcap([Frame(TIME_NS, ethernet(ipv6(fragment, following=44)))]))
    assert (sixth.later_fragment, sixth.ip_id, sixth.payload_bytes) == (True, 77, 300)


@pytest.mark.parametrize("snaplen", [54, 60, 96, 200])
def test_a_capture_of_headers_has_the_same_sizes_as_one_of_whole_packets(snaplen):
    frames = [Frame(TIME_NS, ethernet(PACKET)), Frame(TIME_NS, ethernet(ipv4(udp(5000, 443, 1200), protocol=17)))]
    assert packets_of(pcap(frames, snaplen=snaplen)) == packets_of(pcap(frames))


@pytest.mark.parametrize("snaplen", [14, 20, 33, 36, 45])
def test_a_header_that_the_capture_cut_is_counted(snaplen):
    assert counts_of(pcap([Frame(TIME_NS, ethernet(PACKET))], snaplen=snaplen)) == {"cut_header": 1}


def changed(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes([value]) + packet[at + 1 :]


MALFORMED = {
    "IP version 5": changed(PACKET, 0, 0x55),
    "IP header of 16 bytes": changed(PACKET, 0, 0x44),
    "IP packet shorter than its header": changed(changed(PACKET, 2, 0), 3, 19),
    "IP packet longer than its frame": changed(PACKET, 2, 0x40),
    "TCP header of 16 bytes": changed(PACKET, 32, 0x40),
    "TCP header longer than the packet": ipv4(tcp(1, 2, 0, 0, "A", 1, 0)[:12] + b"\xf0" + bytes(7)),
    "TCP header that the packet does not hold": ipv4(bytes(8)),
    "UDP header that the packet does not hold": ipv4(bytes(4), protocol=17),
    "end within the IP header": PACKET[:12],
    "nothing behind Ethernet": b"",
    "IPv6 longer than its frame": changed(ipv6(SEGMENT), 4, 0x40),
    "IPv6 with an extension that does not end": ipv6(bytes([6, 200]) + bytes(6), following=60),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_packet_that_contradicts_itself_is_counted(name):
    frame = MALFORMED[name]
    data = ethernet(frame, kind=0x86DD if name.startswith("IPv6") else 0x0800)
    assert counts_of(pcap([Frame(TIME_NS, data)])) == {"malformed": 1}


def test_a_packet_that_the_network_card_will_divide_has_no_length_in_its_header():
    large = changed(changed(PACKET, 2, 0), 3, 0)
    assert only(pcap([Frame(TIME_NS, ethernet(large))])).payload_bytes == 1000


def test_a_frame_that_claims_to_be_shorter_than_what_was_captured_has_the_captured_length():
    assert only(pcap([Frame(TIME_NS, ethernet(PACKET), 10)])).frame_bytes == 1054


CAPTURE = pcap([Frame(TIME_NS + number, ethernet(PACKET)) for number in range(5)], snaplen=60)
CAPTURE_NG = section() + interface() + b"".join(enhanced(number, ethernet(PACKET)) for number in range(5))


@pytest.mark.parametrize("capture", [CAPTURE, CAPTURE_NG], ids=["pcap", "pcapng"])
@given(data=st.data())
def test_bytes_that_arrive_in_pieces_give_the_same_packets(capture, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(capture)), max_size=6)))
    stream, packets = PacketStream(), []
    for begin, end in zip([0, *cuts], [*cuts, len(capture)], strict=True):
        packets += stream.feed(capture[begin:end])
    stream.end()
    assert packets == packets_of(capture)


@pytest.mark.parametrize("capture", [CAPTURE, CAPTURE_NG], ids=["pcap", "pcapng"])
@given(data=st.data())
def test_a_file_that_ends_early_keeps_its_first_packets_and_counts_the_rest(capture, data):
    whole = packets_of(capture)
    end = data.draw(st.integers(24, len(capture)))
    stream = PacketStream()
    packets = list(stream.feed(capture[:end]))
    stream.end()
    assert packets == whole[: len(packets)]
    assert (stream.damage is None) == (stream.counts["damaged_bytes"] == 0)
    if end < len(capture) and stream.damage is None:
        assert len(packets) < len(whole)  # it ended between two frames


def test_a_length_that_cannot_be_ends_the_file():
    damaged = CAPTURE[: 24 + 2 * 76] + struct.pack("<IIII", 1, 1, 2**31, 2**31) + bytes(500)
    stream = PacketStream()
    assert len(list(stream.feed(damaged))) == 2
    assert list(stream.feed(bytes(100))) == []
    stream.end()
    assert stream.damage == "a frame claims 2147483648 captured bytes"
    assert stream.counts["damaged_bytes"] == 16 + 500 + 100


NG_DAMAGE = {
    "a block claims 8 bytes": struct.pack("<II", 6, 8) + bytes(40),
    "a block claims 13 bytes": struct.pack("<II", 6, 13) + bytes(40),
    "a block states two different sizes": struct.pack("<II", 6, 32) + bytes(40),
    "a section does not state its byte order": block(0x0A0D0D0A, bytes(16)),
    "the description of an interface is too short": block(1, bytes(4)),
    "the block of a packet is too short": block(6, bytes(12)),
    "a packet is of interface 3, which the section does not describe": enhanced(1, b"", number=3),
    "a packet claims 99 captured bytes": block(6, struct.pack("<IIIII", 0, 0, 1, 99, 99)),
}


@pytest.mark.parametrize("damage", NG_DAMAGE)
def test_a_damaged_block_ends_the_file(damage):
    stream = PacketStream()
    assert len(list(stream.feed(CAPTURE_NG + NG_DAMAGE[damage]))) == 5
    stream.end()
    assert stream.damage == damage
    assert stream.counts["damaged_bytes"] == len(NG_DAMAGE[damage])


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", "it is empty; give a file that tcpdump or Wireshark wrote"),
        (b"snoop\0\0\0", "it begins with 73 6e 6f 6f, so it is neither pcap nor pcapng; convert it: editcap -F pcap OLD NEW"),
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "it begins with 47 45 54 20, so it is neither"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "it is cut off within its first 24 bytes"),
    ],
)
def test_a_file_that_is_no_capture_is_refused_with_what_to_do(start, reason, tmp_path):
    path = tmp_path / "capture.pcap"
    path.write_bytes(start)
    with pytest.raises(NotACaptureError) as refused:
        list(CaptureReader(path))
    assert str(refused.value).startswith(f"{path} is not a capture: {reason}")


def test_a_compressed_file_is_read_and_a_damaged_one_as_far_as_possible(tmp_path):
    path = tmp_path / "capture.pcap.gz"
    packed = gzip.compress(CAPTURE)
    path.write_bytes(packed)
    assert list(CaptureReader(path)) == packets_of(CAPTURE)
    path.write_bytes(packed[:-4])
    reader = CaptureReader(path)
    assert list(reader) == packets_of(CAPTURE)[: reader.counts["packets"]]
    assert reader.damage
    assert reader.damage.startswith("its compression is damaged: ")


def test_a_file_that_does_not_exist_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(CaptureReader(tmp_path / "none.pcap"))
