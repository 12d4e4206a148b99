"""Slots of one second: what is counted in which slot, and in which window."""

import random

import pytest

from qoe_lab.traffic import SLOT_FEATURES, Packet, PacketStream, SlotCounter, TrafficSlot
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

OF_TCP = ("up_rexmit_pkts", "down_rexmit_pkts", "down_out_seq_pkts", "up_zero_windows")
ROUND_TRIPS = ("rtt_min_ms", "rtt_avg_ms", "rtt_max_ms")


def slots_of(packets: list[Packet], *, until_ms: float) -> list[TrafficSlot]:
    counter = SlotCounter(client=CLIENT, begin_ns=BEGIN_NS)
    slots = [slot for packet in packets for slot in counter.add(packet)]
    return slots + list(counter.advance(BEGIN_NS + round(until_ms * MS)))


def rows_of(packets: list[Packet], *, until_ms: float) -> list[dict]:
    return [slot.row() for slot in slots_of(packets, until_ms=until_ms)]


class Player(Conversation):
    """A client that requests chunks over one connection, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.handshake()
        self._asked = self._answered = 1

    def download(self, begin_ms: float, size: int, *, every_ms: float = 10, request: int = 100) -> None:
        """A request, and after 20 ms its answer in packets of about 1000 bytes. The last one is smaller."""
        self.up(begin_ms, self._asked, self._answered, data=request)
        self._asked += request
        last = size // 1000 - 1
        for number in range(last + 1):
            data = 1000 + (number == 0 < last) - (number == last > 0)
            self.down(begin_ms + 20 + number * every_ms, self._answered, self._asked, data=data)
            self._answered += data


def test_bytes_and_packets_count_in_their_second_and_direction():
    player = Player()
    player.download(100, 5000)
    player.up(1500, 101, 5001)
    first, second, third = rows_of(player.packets(), until_ms=3000)
    assert (first["up_packets"], first["up_bytes"], first["down_packets"], first["down_bytes"]) == (3, 220, 6, 5240)
    assert (second["up_packets"], second["up_bytes"], second["down_packets"], second["down_bytes"]) == (1, 40, 0, 0)
    assert (third["up_packets"], third["trend_up_packets"], third["total_down_bytes"]) == (0, 4, 5240)
    assert (first["down_packet_bytes"], second["down_packet_bytes"]) == (5240 / 6, None)


def test_a_slot_has_one_value_for_each_feature():
    [slot] = slots_of([], until_ms=1000)
    assert len(slot.values) == len(SLOT_FEATURES) == len({feature.name for feature in SLOT_FEATURES})
    assert list(slot.row()) == [feature.name for feature in SLOT_FEATURES]


def test_the_values_of_a_slot_without_packets_are_zero_or_null():
    [row] = rows_of([], until_ms=1000)
    zeros = {name for name, value in row.items() if value == 0}
    assert (row["idle_ms"], row["silence_ms"], row["elapsed_s"]) == (1000, 1000, 1)
    assert {"up_packets", "down_kbps", "down_peak_kbps", "requests", "chunks", "open_chunk_bytes", "total_chunks"} < zeros
    assert {row[name] for name in (*OF_TCP, *ROUND_TRIPS, "chunk_ms", "request_gap_ms", "down_packet_bytes")} == {None}


@pytest.mark.parametrize("port", [53, 1900, 5353])
def test_lookups_of_names_and_devices_are_flows_and_count_in_no_slot(port):
    player = Player()
    player.download(100, 5000)
    alone = rows_of(player.packets(), until_ms=1000)
    for ms, source, destination, hosts in ((50, 41000, port, (CLIENT, SERVER)), (60, port, 41000, (SERVER, CLIENT))):
        packet = ipv4(udp(source, destination, 300), *hosts, protocol=17)
        player.frames.append(Frame(BEGIN_NS + ms * MS, ethernet(packet)))
    player.frames.sort(key=lambda frame: frame.time_ns)
    assert rows_of(player.packets(), until_ms=1000) == alone
    assert {flow.protocol for flow in flows_of(player.packets())} == {"tcp", "udp"}


def test_rates_are_those_of_the_window():
    player = Player()
    player.download(1100, 100_000, every_ms=1)
    rows = rows_of(player.packets(), until_ms=8000)
    down = 100 * 1040
    assert rows[1]["down_kbps"] == down * 8 / 1000
    assert rows[2]["down_kbps"] == 0
    assert rows[2]["trend_down_kbps"] == (down + 40) * 8 / 1000 / 3
    assert rows[5]["trend_down_kbps"] == pytest.approx(down * 8 / 1000 / 5)  # slots 1 to 5
    assert rows[6]["trend_down_kbps"] == 0
    assert rows[6]["total_down_kbps"] == (down + 40) * 8 / 1000 / 7
    assert rows[1]["down_peak_kbps"] == rows[6]["total_down_peak_kbps"] == (80 * 1040 + 1) * 8 / 100  # 1120 to 1199 ms


def test_idle_time_is_counted_in_bins_and_silence_exactly_across_slots():
    player = Player()
    player.download(100, 3000, every_ms=100)  # data at 120, 220, 320
    player.download(2500, 1000)  # data at 2520
    player.download(3000, 50_000, every_ms=20)  # data from 3020 to 4000
    first, second, third, fourth = rows_of(player.packets(), until_ms=4000)
    assert (first["idle_ms"], second["idle_ms"], third["idle_ms"], third["total_idle_ms"]) == (700, 1000, 900, 2600)
    assert (first["silence_ms"], second["silence_ms"], third["silence_ms"]) == (680, 1680, 2200)
    assert (third["trend_silence_ms"], third["total_silence_ms"]) == (2200, 2200)
    assert (fourth["idle_ms"], fourth["silence_ms"], fourth["trend_silence_ms"]) == (0, 500, 2200)


def test_a_chunk_is_the_data_between_two_requests():
    player = Player()
    player.download(100, 30_000)
    player.download(1200, 20_000)
    first, second, third = rows_of(player.packets(), until_ms=3000)
    assert (first["requests"], first["chunks"], first["open_chunk_bytes"], first["open_chunk_ms"]) == (1, 0, 30_000, 900)
    assert (second["requests"], second["chunks"], second["chunk_bytes"], second["chunk_ms"]) == (1, 1, 30_000, 310)
    assert second["chunk_kbps"] == pytest.approx(30_000 * 8 / 310)
    assert (second["request_gap_ms"], second["chunk_1_ms"], second["chunk_2_ms"]) == (1100, 410, None)
    assert (third["chunks"], third["total_chunks"], third["chunk_2_ms"], third["open_chunk_ms"]) == (1, 2, 1410, None)
    assert (third["total_chunk_max_bytes"], third["total_chunk_bytes"]) == (30_000, 25_000)


def test_a_chunk_ends_after_a_second_of_silence():
    player = Player()
    player.download(100, 30_000)  # until 410 ms
    first, second = rows_of(player.packets(), until_ms=2000)
    assert (first["chunks"], second["chunks"], second["chunk_ms"], second["open_chunk_bytes"]) == (0, 1, 310, 0)


def test_an_outage_within_an_answer_does_not_end_its_chunk():
    """The last packet before the outage is as large as the others, so the rest is still to come."""
    player = Player()
    player.up(100, 1, 1, data=100)
    for number in range(20):
        player.down(120 + number * 10, 1 + number * 1000, 101, data=1000)
    for number in range(20, 30):
        player.down(6000 + number * 10, 1 + number * 1000, 101, data=1000)
    player.down(6300, 30_001, 101, data=500)
    rows = rows_of(player.packets(), until_ms=8000)
    assert [row["chunks"] for row in rows] == [0, 0, 0, 0, 0, 0, 0, 1]
    assert [row["open_chunk_bytes"] for row in rows] == [20_000] * 6 + [30_500, 0]
    assert (rows[-1]["chunk_bytes"], rows[-1]["chunk_ms"], rows[-1]["chunk_1_ms"]) == (30_500, 6200, 6300)


def test_a_chunk_whose_rest_never_comes_ends_after_half_a_minute():
    player = Player()
    player.up(100, 1, 1, data=100)
    for number in range(20):
        player.down(120 + number * 10, 1 + number * 1000, 101, data=1000)
    rows = rows_of(player.packets(), until_ms=32_000)
    assert [row["second"] for row in ({"second": second, **row} for second, row in enumerate(rows)) if row["chunks"]] == [30]


def test_a_short_answer_is_no_chunk():
    player = Player()
    player.download(100, 9_000)
    player.download(1000, 11_000)
    rows = rows_of(player.packets(), until_ms=4000)
    assert rows[-1]["total_requests"] == 2
    assert (rows[-1]["total_chunks"], rows[-1]["total_chunk_bytes"]) == (1, 11_000)


def test_a_request_in_several_packets_is_one_and_a_short_packet_is_none():
    player = Player()
    for number in range(3):
        player.up(100 + number, 1 + number * 1000, 1, data=1000)
    player.down(120, 1, 3001, data=20_000)
    player.up(130, 3001, 20_001, data=40)  # such as a window update of HTTP/2
    player.up(150, 3041, 20_001, data=200)
    [row] = rows_of(player.packets(), until_ms=1000)
    assert (row["requests"], row["chunks"]) == (2, 1)


def test_a_request_that_is_sent_again_is_no_other_request():
    player = Player()
    player.download(100, 20_000)
    player.up(400, 1, 20_001, data=100)
    [row] = rows_of(player.packets(), until_ms=1000)
    assert (row["requests"], row["up_rexmit_pkts"]) == (1, 1)


def test_two_connections_have_chunks_of_their_own():
    video, audio = Player(), Player()
    video.download(100, 40_000)
    audio.download(150, 15_000)
    other_port = [packet._replace(**swapped(packet)) for packet in audio.packets()]
    packets = sorted([*video.packets(), *other_port], key=lambda packet: packet.time_ns)
    _, second = rows_of(packets, until_ms=2000)
    assert (second["chunks"], second["chunk_bytes"], second["chunk_max_bytes"]) == (2, 27_500, 40_000)


def swapped(packet: Packet) -> dict[str, int]:
    """The same packet of another connection."""
    return {"source_port": 40001} if packet.source_port == 40000 else {"destination_port": 40001}


def test_round_trips_and_losses_count_in_their_slot():
    player = Player()
    player.up(100, 1, 1, data=100)
    player.down(130, 1, 101)
    player.up(1100, 101, 1, data=100)
    player.down(1150, 1, 201)
    player.up(1200, 201, 1, data=100)
    player.down(1270, 1, 301)
    player.down(2100, 1001, 301, data=1000)
    player.down(2130, 1, 301, data=1000)  # fills the gap
    player.down(2700, 1, 301, data=1000)  # was seen before
    player.up(2710, 301, 2001, window=0)
    first, second, third = rows_of(player.packets(), until_ms=3000)
    assert [first[name] for name in ROUND_TRIPS] == [30, 30, 30]
    assert [second[name] for name in ROUND_TRIPS] == [50, 60, 70]
    assert [third[name] for name in ROUND_TRIPS] == [None] * 3
    assert [third["trend_" + name] for name in ROUND_TRIPS] == [30, 50, 70]
    assert [second[name] for name in OF_TCP] == [0, 0, 0, 0]
    assert [third[name] for name in OF_TCP] == [0, 1, 1, 1]
    assert {row["handshake_ms"] for row in (first, second, third)} == {10}


def quic(begin_ms: float, *sizes: int) -> list[Packet]:
    """Packets of one QUIC flow 10 ms apart; negative sizes are from the client."""
    return packets_of(
        pcap(
            Frame(
                BEGIN_NS + round((begin_ms + number * 10) * MS),
                ethernet(
                    ipv4(udp(50000, 443, -size), protocol=17)
                    if size < 0
                    else ipv4(udp(443, 50000, size), SERVER, CLIENT, protocol=17)
                ),
            )
            for number, size in enumerate(sizes)
        )
    )


def test_quic_has_chunks_by_sizes_and_null_where_tcp_would_be_needed():
    packets = quic(10, -1200, 1200, -40, -300, *[1200] * 20, -40, *[1200] * 19, 1000, -38)
    _, row = rows_of(packets, until_ms=2000)
    assert (row["total_requests"], row["chunks"], row["chunk_bytes"]) == (2, 1, 47_800)
    assert {row[window + name] for window in ("", "trend_", "total_") for name in OF_TCP + ROUND_TRIPS} == {None}
    assert row["handshake_ms"] is None


def test_packets_before_the_session_belong_to_flows_but_to_no_slot():
    player = Player()
    player.up(30, 1, 1, data=10)
    player.down(40, 1, 11)
    player.download(100, 20_000)
    counter = SlotCounter(client=CLIENT, begin_ns=BEGIN_NS + 50 * MS)
    for packet in player.packets():
        counter.add(packet)
    row = counter.end().row()
    assert (row["up_packets"], row["down_packets"], row["handshake_ms"]) == (1, 20, 10)
    assert (row["rtt_min_ms"], counter.flows()[0].up.tcp.rtt_min_ms) == (20, 10)
    assert counter.flows()[0].up.packets == 4


def test_without_a_start_the_first_packet_begins_the_first_slot():
    player = Player()
    player.download(1100, 1000)
    counter = SlotCounter()
    ended = [slot for packet in player.packets() for slot in counter.add(packet)]
    assert [(slot.number, slot.begin_ns) for slot in ended] == [(0, BEGIN_NS)]
    assert counter.end().begin_ns == BEGIN_NS + 1000 * MS
    assert SlotCounter().end() is None


def test_a_capture_that_is_still_being_written_gives_the_slots_of_the_finished_one():
    player = Player()
    for second in range(6):
        player.download(100 + second * 900, 15_000 + second * 1000, every_ms=7)
    capture = pcap(player.frames, snaplen=96)
    finished = slots_of(packets_of(capture), until_ms=7000)
    stream, counter, live = PacketStream(), SlotCounter(client=CLIENT, begin_ns=BEGIN_NS), []
    order = random.Random(5)
    at = 0
    while at < len(capture):
        size = order.randint(1, 2000)
        for packet in stream.feed(capture[at : at + size]):
            live += counter.add(packet)
        at += size
    live += counter.advance(BEGIN_NS + 7000 * MS)
    assert live == finished
    assert len(live) == 7


def test_the_slots_have_all_bytes_of_the_flows():
    player = Player()
    for number in range(10):
        player.download(number * 731, 12_000)
    counter = SlotCounter(client=CLIENT)
    slots = [slot for packet in player.packets() for slot in counter.add(packet)]
    slots.append(counter.end())
    [flow] = counter.flows()
    for name, expected in (("up_bytes", flow.up.ip_bytes), ("down_bytes", flow.down.ip_bytes), ("down_packets", flow.down.packets)):
        assert sum(slot.row()[name] for slot in slots) == slots[-1].row()["total_" + name] == expected
