"""Flows: which packets belong together, and which side is the client."""

import pytest

from qoe_lab.traffic import FlowTable, flow_row
from tests.qoe_lab.traffic.hand_made import (
    BEGIN_NS,
    CLIENT,
    MS,
    SERVER,
    Conversation,
    Frame,
    ethernet,
    flows_of,
    ipv4,
    packets_of,
    pcap,
    udp,
)


def datagrams(*sent: tuple[str, str, int, int, int]) -> list:
    """UDP packets 10 ms apart: source, destination, their ports, payload bytes."""
    return packets_of(
        pcap(
            Frame(BEGIN_NS + number * 10 * MS, ethernet(ipv4(udp(*ports, payload), source, destination, protocol=17)))
            for number, (source, destination, *ports, payload) in enumerate(sent)
        )
    )


def test_the_sender_of_the_syn_is_the_client():
    made = Conversation()
    made.handshake()
    made.down(20, 1, data=500)
    flow = made.flow()
    assert (flow.client, flow.client_port, flow.server, flow.server_port) == (CLIENT, 40000, SERVER, 80)
    assert (flow.up.packets, flow.down.packets, flow.down.payload_bytes, flow.duration_s) == (2, 2, 500, 0.02)


def test_the_receiver_of_a_syn_ack_is_the_client_although_the_syn_is_missing():
    made = Conversation()
    made.down(0, 0, 1, flags="SA")
    made.up(1, 1, 1)
    assert made.flow().client == CLIENT


def test_without_a_syn_the_sender_of_the_first_packet_is_the_client_unless_its_address_is_known():
    made = Conversation()
    made.down(0, 1, 1, data=100)
    made.up(1, 1, 101)
    assert made.flow().client == SERVER
    [flow] = flows_of(made.packets(), client=CLIENT)
    assert (flow.client, flow.down.payload_bytes) == (CLIENT, 100)
    [flow] = flows_of(made.packets(), client="192.0.2.1")
    assert flow.client == SERVER


def test_a_connection_between_the_ports_of_an_earlier_one_is_another_flow():
    first, second = Conversation(), Conversation(up_number=900_000, down_number=700_000)
    first.handshake(0)
    first.up(20, 1, data=100)
    first.down(30, 1, 101, flags="FA")
    second.handshake(1000)
    second.up(1020, 1, data=70)
    one, other = flows_of(first.packets() + second.packets())
    assert (one.up.payload_bytes, other.up.payload_bytes) == (100, 70)
    assert (one.up.tcp.syn_count, one.up.tcp.rexmit_pkts, other.up.tcp.rexmit_pkts) == (1, 0, 0)


def test_a_syn_that_is_sent_again_is_no_other_flow():
    made = Conversation()
    for number in range(3):
        made.up(number * 1000, 0, 0, flags="S")
    assert made.flow().up.tcp.syn_count == 3


def test_a_flow_of_udp_has_sizes_and_no_tcp_statistics():
    [flow] = flows_of(
        datagrams((CLIENT, SERVER, 50000, 443, 1200), (SERVER, CLIENT, 443, 50000, 1000), (SERVER, CLIENT, 443, 50000, 800))
    )
    assert (flow.protocol, flow.up.packets, flow.up.payload_bytes, flow.down.packets, flow.down.payload_bytes) == (
        "udp",
        1,
        1200,
        2,
        1800,
    )
    assert (flow.up.tcp, flow.down.tcp) == (None, None)
    assert flow.goodput_down_kbps == pytest.approx(1800 * 8 / 20)
    row = flow_row(flow)
    known = {name for name, value in row.items() if value is not None}
    assert known == {
        *("protocol", "client", "client_port", "server", "server_port", "begin_ns", "end_ns"),
        *(
            f"{side}_{name}"
            for side in ("up", "down")
            for name in ("packets", "frame_bytes", "ip_bytes", "payload_bytes", "goodput_kbps")
        ),
    }


def test_packets_in_the_wrong_order_do_not_change_the_times_of_a_flow():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(50, 1, data=100)
    first, *others = made.packets()
    [flow] = flows_of([*others, first])
    assert (flow.begin_ns, flow.end_ns) == (BEGIN_NS, BEGIN_NS + 50 * MS)


def test_a_flow_of_one_moment_has_no_goodput():
    [flow] = flows_of(datagrams((CLIENT, SERVER, 50000, 443, 1200)))
    assert (flow.duration_s, flow.goodput_up_kbps) == (0, None)


def test_bytes_that_are_sent_twice_are_no_goodput():
    made = Conversation()
    made.handshake()
    made.down(500, 1, data=1000)
    made.down(1000, 1, data=1000)
    assert made.flow().goodput_down_kbps == 8


def test_fragments_belong_to_the_flow_of_their_first_one():
    first = ipv4(udp(5000, 53, 992), protocol=17, ip_id=9, more=True)
    later = ipv4(bytes(500), protocol=17, ip_id=9, offset=1000)
    other = ipv4(bytes(500), protocol=17, ip_id=10, offset=1000)
    table = FlowTable()
    added = [table.add(packet) for packet in packets_of(pcap(Frame(BEGIN_NS, ethernet(data)) for data in (first, later, other)))]
    [flow] = table.flows()
    assert (flow.client_port, flow.up.packets, flow.up.payload_bytes) == (5000, 2, 1492)
    assert [each is None for each in added] == [False, False, True]


def test_other_protocols_have_flows_without_ports():
    ping = Frame(BEGIN_NS, ethernet(ipv4(bytes(64), protocol=1)))
    pong = Frame(BEGIN_NS + MS, ethernet(ipv4(bytes(64), SERVER, CLIENT, protocol=1)))
    other = Frame(BEGIN_NS, ethernet(ipv4(bytes(10), protocol=99)))
    icmp, unnamed = flows_of(packets_of(pcap([ping, pong, other])))
    assert (icmp.protocol, icmp.client_port, icmp.up.packets, icmp.down.packets) == ("icmp", 0, 1, 1)
    assert unnamed.protocol == "99"


def test_packets_from_an_address_to_itself_are_one_flow():
    [flow] = flows_of(datagrams((CLIENT, CLIENT, 7, 7, 1), (CLIENT, CLIENT, 7, 7, 1)))
    assert (flow.up.packets, flow.down.packets) == (2, 0)


def test_an_ipv6_address_is_written_in_its_short_form():
    made = Conversation(version=6)
    made.handshake()
    assert (made.flow().client, made.flow().server) == ("fd00::a00:2", "fd00::a00:1")
