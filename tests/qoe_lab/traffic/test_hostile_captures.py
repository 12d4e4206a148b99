"""No capture makes the reader, the flows or the slots fail, or fills the memory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.traffic import LinkFrame, NotACaptureError, Packet, PacketStream, SlotCounter, read_packet
from qoe_lab.traffic.flow_table import MOST_KNOWN_FLOWS, FlowTable
from qoe_lab.traffic.packet_headers import LeftOut, _read_any
from qoe_lab.traffic.rtt_samples import RoundTrips
from qoe_lab.traffic.sent_bytes import MOST_IN_FLIGHT, SentBytes
from qoe_lab.traffic.sequence_space import MOST_GAPS, SequenceSpace
from qoe_lab.traffic.side_events import EventSink
from qoe_lab.traffic.slot_counter import MOST_EMPTY_SLOTS
from tests.qoe_lab.traffic.hand_made import (
    BEGIN_NS,
    MS,
    Frame,
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

CAPTURES = Path(__file__).parents[4] / "shared" / "data" / "captures"
STARTS = [b"", pcap([]), pcap([], order=">", link=113), section() + interface(), section(">") + interface(">", resolution=9)]
FRAMES = [
    ethernet(ipv4(tcp(1, 2, 3, 4, "A", 5, 60))),
    ethernet(ipv4(tcp(1, 2, 3, 4, "A", 5, 60), more=True)),
    ethernet(ipv4(bytes(100), offset=1480)),
    ethernet(ipv4(udp(1, 2, 60), protocol=17, options=bytes(8)), vlans=[0x8100, 0x88A8]),
    ethernet(ipv6(bytes([44, 1]) + bytes(14) + bytes([6, 0]) + bytes(6) + tcp(1, 2, 3, 4, "S", 5, 0), following=0)),
]


def read(data: bytes) -> PacketStream:
    """Read all packets into flows and slots. Everything is counted somewhere."""
    stream, slots = PacketStream(), SlotCounter()
    packets = 0
    for packet in stream.feed(data):
        packets += 1
        for slot in slots.add(packet):
            slot.row()
    stream.end()
    slots.end()
    counts = stream.counts
    assert counts["frames"] == packets + sum(counts[reason] for reason in LeftOut)
    assert counts["packets"] == packets
    assert sum(flow.up.packets + flow.down.packets for flow in slots.flows()) <= packets
    return stream


@given(start=st.sampled_from(STARTS), data=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(start, data):
    try:
        read(start + data)
    except NotACaptureError:
        assert start == b""


@st.composite
def damaged_frames(draw) -> bytes:
    data = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(
    link=st.sampled_from([0, 1, 12, 101, 108, 113, 228, 276, 7]),
    header=damaged_frames() | st.binary(max_size=120),
    more=st.integers(0, 70000),
)
def test_any_frame_gives_a_packet_that_fits_in_it_or_is_left_out(link, header, more):
    frame = LinkFrame(0, len(header) + more, link, header)
    packet = read_packet(frame)
    assert packet == _read_any(frame)  # there is a shorter way for usual packets
    if isinstance(packet, Packet):
        assert 0 <= packet.payload_bytes <= packet.ip_bytes <= packet.frame_bytes
    else:
        assert packet in LeftOut


@pytest.mark.parametrize("header", FRAMES)
def test_the_shorter_way_for_usual_packets_gives_the_same_packet(header):
    frame = LinkFrame(0, len(header), 1, header)
    assert read_packet(frame) == _read_any(frame)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"{CAPTURES} is not on this machine")
@pytest.mark.parametrize("name", ["zattoo.pcap", "hls.pcapng", "http_ipv6.pcap", "rtmp.pcap"])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20))
def test_a_real_capture_with_random_damage_is_read(name, changes):
    data = bytearray((CAPTURES / name).read_bytes())
    for place, value in changes:
        data[24 + int(place * (len(data) - 24))] = value  # the first header stays
    read(bytes(data))


def test_a_time_far_ahead_makes_no_slot_for_each_second():
    frame = FRAMES[0]
    slots = SlotCounter()
    times = [BEGIN_NS, BEGIN_NS + 10**9 * 10**8, BEGIN_NS + 2000 * MS, BEGIN_NS + MS, 0]
    ended = [
        slot
        for packet in packets_of(pcap([Frame(min(time, 2**32 * 10**9 - 1), frame) for time in times]))
        for slot in slots.add(packet)
    ]
    assert [slot.number for slot in ended] == [0]
    last = slots.end()
    assert last.number == 10**8
    assert last.row()["up_packets"] == 3  # earlier packets count in the open slot
    assert last.row()["trend_up_packets"] == 3  # the slots before the pause are not the last ones


def test_a_pause_within_the_limit_gives_empty_slots():
    slots = SlotCounter()
    packets = packets_of(pcap([Frame(BEGIN_NS + second * 10**9, FRAMES[0]) for second in (0, MOST_EMPTY_SLOTS)]))
    assert len([slot for packet in packets for slot in slots.add(packet)]) == MOST_EMPTY_SLOTS


def test_segments_that_are_never_acknowledged_are_forgotten_at_a_limit():
    sent = SentBytes(0, there=RoundTrips(), back=RoundTrips(), events=EventSink())
    for number in range(MOST_IN_FLIGHT + 10):
        sent.send(number, 1, syn=False, fin=False, ip_id=None, now_ns=number, probe=False)
    assert MOST_IN_FLIGHT // 2 <= len(sent._unacknowledged) <= MOST_IN_FLIGHT
    assert sent.unique_bytes == MOST_IN_FLIGHT + 10


def test_a_scan_of_many_ports_leaves_few_flows_and_does_not_end_the_one_that_is_used():
    """A live capture may run for months. 600,000 flows took 1.6 GB."""
    video = [
        Frame(BEGIN_NS + number * MS, ethernet(ipv4(tcp(443, 50_000, number, 1, "A", 5, 60)))) for number in range(0, 6000, 20)
    ]
    scan = [Frame(BEGIN_NS + number * MS, ethernet(ipv4(tcp(1 + number, 50_001, 1, 1, "S", 5, 0)))) for number in range(6000)]
    packets = list(packets_of(pcap(sorted([*video, *scan], key=lambda frame: frame.time_ns))))
    table = FlowTable(statistics=False)
    flows = {id(found.flow) for packet in packets if (found := table.add(packet)) and packet.destination_port == 50_000}
    assert len(flows) == 1
    assert len(table._open) <= 2 * MOST_KNOWN_FLOWS
    assert table.flows() == []


def test_gaps_are_forgotten_at_a_limit():
    space = SequenceSpace(0)
    for number in range(MOST_GAPS + 10):
        space.extend(2 * number + 1, 2 * number + 2, number)
    assert MOST_GAPS // 2 <= len(space._gaps) <= MOST_GAPS
    assert space.see(0, 1, 0).repeated == 1  # forgotten
    assert space.see(2 * MOST_GAPS, 2 * MOST_GAPS + 1, 0).fresh == 1
