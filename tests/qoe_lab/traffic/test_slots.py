"""Slots of one second: what is counted in which slot, and in which window."""

import pytest

from qoe_lab.traffic import SLOT_FEATURES, SlotCounter, TrafficSlot
from tests.qoe_lab.traffic.hand_made import BEGIN_NS, CLIENT, MS, Conversation, Frame, ethernet, ipv4, packets_of, pcap, udp


def slots_of(packets, *, until_ms: float, **settings) -> list[TrafficSlot]:
    counter = SlotCounter(client=CLIENT, begin_ns=BEGIN_NS, **settings)
    slots = [slot for packet in packets for slot in counter.add(packet)]
    return slots + list(counter.advance(BEGIN_NS + round(until_ms * MS)))


def download(conversation: Conversation, begin_ms: float, chunk: int, *, seq: int, request: int, every_ms: float = 10) -> int:
    """A request of 100 bytes, and an answer in packets of 1000 bytes. The next sequence number of the server."""
    conversation.up(begin_ms, request, seq, data=100)
    for number in range(chunk // 1000):
        conversation.down(begin_ms + 20 + number * every_ms, seq, request + 100, data=1000)
        seq += 1000
    return seq


def test_bytes_and_packets_count_in_their_second_and_direction():
    conversation = Conversation()
    conversation.handshake()
    download(conversation, 100, 5000, seq=1, request=1)
    conversation.up(1500, 101, 5001)
    first, second, third = (slot.row() for slot in slots_of(conversation.packets(), until_ms=3000))
    assert (first["up_packets"], first["up_bytes"], first["down_packets"], first["down_bytes"]) == (3, 220, 6, 5240)
    assert (second["up_packets"], second["up_bytes"], second["down_packets"], second["down_bytes"]) == (1, 40, 0, 0)
    assert (third["up_packets"], third["trend_up_packets"], third["total_down_bytes"]) == (0, 4, 5240)


def test_a_slot_has_one_value_for_each_feature():
    [slot] = slots_of([], until_ms=0) or slots_of(Conversation().packets(), until_ms=1000)
    assert len(slot.values) == len(SLOT_FEATURES) == len({feature.name for feature in SLOT_FEATURES})


def test_a_chunk_is_the_data_between_two_requests():
    conversation = Conversation()
    conversation.handshake()
    seq = download(conversation, 100, 30_000, seq=1, request=1)
    download(conversation, 1200, 20_000, seq=seq, request=101)
    first, second, third = (slot.row() for slot in slots_of(conversation.packets(), until_ms=3000))
    assert (first["requests"], first["chunks"], first["open_chunk_bytes"], first["open_chunk_ms"]) == (1, 0, 30_000, 900)
    assert (second["requests"], second["chunks"], second["chunk_bytes"], second["chunk_ms"]) == (1, 1, 30_000, 310)
    assert second["chunk_kbps"] == pytest.approx(30_000 * 8 / 310)
    assert (second["request_gap_ms"], second["chunk_1_ms"], second["chunk_2_ms"]) == (1100, 410, None)
    assert (third["chunks"], third["total_chunks"], third["chunk_2_ms"]) == (1, 2, 1410)


def test_features_of_tcp_are_null_for_quic():
    packets = packets_of(
        pcap(
            [
                Frame(BEGIN_NS + 10 * MS, ethernet(ipv4(udp(50000, 443, 1200), protocol=17))),
                Frame(BEGIN_NS + 40 * MS, ethernet(ipv4(udp(443, 50000, 1200), "10.0.0.1", "10.0.0.2", protocol=17))),
            ]
        )
    )
    [slot] = slots_of(packets, until_ms=1000)
    row = slot.row()
    assert (row["requests"], row["down_packets"]) == (1, 1)
    names = ("rtt_min_ms", "rtt_avg_ms", "rtt_max_ms", "up_rexmit_pkts", "down_rexmit_pkts", "down_out_seq_pkts", "up_zero_windows")
    assert [row[window + name] for window in ("", "trend_", "total_") for name in names] == [None] * 21
    assert row["handshake_ms"] is None
