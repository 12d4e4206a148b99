"""FEC on a link: any one packet of a group is restored from the others, byte for byte, and only the rest is asked for."""

import asyncio
import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.data_header import HEADER_BYTES, DataHeader, Flags, read_data_header
from overlay.distribution import Distribution
from overlay.messages import InstallTree, Nack
from overlay.parity import GROUP, ParityReceiver, ParitySender
from overlay.reception import Arrival
from tests.overlay.test_distribution import Written

RTP = [b"\x80\x21" + number.to_bytes(2, "big") + bytes(8) + b"media"[: number % 5] for number in range(64)]


def header(number: int) -> DataHeader:
    return DataHeader(stream=7, tree_epoch=3, link_sequence=number, origin_us=1_700_000 + number, hops_left=30)


def sent(numbers: range, group: int = GROUP) -> list[bytes]:
    """Packets with their parity packets."""
    sender, found = ParitySender(group), []
    for number in numbers:
        rtp = RTP[number % len(RTP)]
        found.append(header(number % 2**32).packed() + rtp)
        if (parity := sender.sent(header(number % 2**32), rtp)) is not None:
            found.append(parity)
    return found


def received(packets: list[bytes], receiver: ParityReceiver) -> list[bytes]:
    """What arrives or is restored, without parity packets."""
    found = []
    for packet in packets:
        read, body = read_data_header(packet), packet[HEADER_BYTES:]
        if read.flags & Flags.PARITY:
            found += receiver.parity(read, body)
        else:
            found += [packet, *receiver.arrived(read, body)]
    return found


def test_a_parity_packet_has_the_documented_bytes():
    """Written by the first version; docs/formats/overlay.md describes them."""
    sender = ParitySender(2)
    assert sender.sent(header(1), b"\x80\x21\x00\x01abc") is None
    parity = sender.sent(header(2), b"\x80\x21\x00\x02z")
    assert parity is not None
    assert parity[:HEADER_BYTES].hex() == "1201000700000003000000020000000000000000"
    assert parity[HEADER_BYTES:].hex() == "02" + "0002" + "00" + "0000000000000003" + "00000003" + "1b6263"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.sets(st.integers(0, 47)), st.randoms(use_true_random=False))
def test_every_group_that_lost_at_most_one_packet_arrives_whole(begin: int, group: int, lost: set[int], chance: random.Random):
    packets, receiver = sent(range(begin, begin + 48), group), ParityReceiver()
    arrived = received([packet for place, packet in enumerate(packets) if place not in lost], receiver)
    for place in range(len(packets) // (group + 1) + 1):
        each = packets[place * (group + 1) : (place + 1) * (group + 1)]
        if len(each) <= group:
            continue  # an incomplete group has no parity
        missing = [number for number in range(group + 1) if place * (group + 1) + number in lost]
        if len(missing) <= 1:
            assert {*each[:-1]} <= {*arrived}
    assert {*arrived} <= {packet for packet in packets if not read_data_header(packet).flags & Flags.PARITY}
    again = [packet for place, packet in enumerate(packets) if place in lost]
    chance.shuffle(again)
    assert {*arrived, *received(again, receiver)} == {each for each in packets if not read_data_header(each).flags & Flags.PARITY}


def test_a_group_that_lost_two_packets_is_whole_when_one_of_them_is_sent_again():
    packets, receiver = sent(range(1, 9)), ParityReceiver()
    arrived = received(packets[:3] + packets[5:], receiver)
    assert receiver.missing(8) == [4, 5]
    assert received([packets[3]], receiver) == [packets[3], packets[4]]
    assert len(arrived) == 6


def test_parity_restores_two_thirds_of_the_packets_that_a_link_with_5_percent_loss_drops():
    chance, receiver = random.Random(7), ParityReceiver()
    packets = sent(range(1, 20_001))
    arrived = [packet for packet in packets if chance.random() >= 0.05]
    there = {read_data_header(each).link_sequence for each in arrived if not read_data_header(each).flags & Flags.PARITY}
    restored = {read_data_header(each).link_sequence for each in received(arrived, receiver)} - there
    assert len(restored) / (20_000 - len(there)) == pytest.approx(0.95**GROUP, abs=0.03)


def test_an_invalid_parity_packet_restores_nothing():
    receiver, read = ParityReceiver(), DataHeader(stream=7, tree_epoch=1, link_sequence=8, origin_us=0, flags=Flags.PARITY)
    for body in (b"\0", b"\x08", b"\xff" * 40, b"\x01" + b"\xff" * 11, b"\x01" + b"\xff" * 40):
        assert list(receiver.parity(read, body)) == []


def node(links: Written, *children: str) -> tuple[Distribution, list[int]]:
    heard: list[int] = []

    def on_packet(arrival: Arrival) -> None:
        heard.append(int.from_bytes(arrival.rtp[2:4], "big"))

    made = Distribution(links, Counter(), on_packet)
    made.install(InstallTree(stream="news", stream_number=7, tree_epoch=1, parent="up", children=[*children], parity_group=GROUP))
    return made, heard


@pytest.mark.parametrize(("lost", "restored", "requested"), [({GROUP}, 1, []), ({GROUP - 1, GROUP}, 0, [(GROUP - 1, GROUP)])])
def test_the_last_packets_of_a_group_count_as_missing_when_its_parity_packet_arrives(lost, restored, requested):
    async def scenario() -> None:
        below, _ = node(asking := Written("up"))
        now_s = time.monotonic()
        for place, packet in enumerate(sent(range(1, GROUP + 1)), 1):
            if place not in lost:
                below.arrived("up", packet, now_s)
        counts = below.streams["news"].counts
        assert (counts["packets_missing"], counts["packets_restored"]) == (len(lost), restored)
        assert below.lost_of("up") == (GROUP, len(lost))
        assert [each.ranges for _, each in asking.requests] == ([requested] if requested else [])
        below.close()

    asyncio.run(scenario())


def test_a_node_restores_one_loss_of_a_group_without_asking():
    async def scenario() -> None:
        links = Written("up")
        above, _ = node(links, "child")
        below, heard = node(asking := Written("up"))
        now_s = time.monotonic() + 1000  # so what waits is not due during the test
        for number in range(1, 2 * GROUP + 1):
            above.arrived("up", header(number).packed() + RTP[number], now_s + number / 100)
        packets = [packet for _, packet in links.packets]
        assert len(packets) == 2 * (GROUP + 1)
        for place, packet in enumerate(packets):
            if place not in (3, GROUP + 1):
                below.arrived("up", packet, now_s + place / 100)
        assert (sorted(heard), asking.requests) == ([*range(1, 2 * GROUP + 1)], [])
        counts = below.streams["news"].counts
        assert (counts["packets_restored"], counts["packets_missing"], counts["packets_repaired"]) == (2, 2, 2)
        below.close()

    asyncio.run(scenario())


def test_packets_that_parity_cannot_restore_are_requested_when_it_arrives():
    async def scenario() -> None:
        below, _ = node(asking := Written("up"))
        for place, packet in enumerate(sent(range(1, GROUP + 1))):
            if place not in (3, 5):
                below.arrived("up", packet, time.monotonic() + 1000)  # so only the parity packet makes it due
        assert asking.requests == []
        async with asyncio.timeout(30):
            while not asking.requests:  # noqa: ASYNC110 - a request has no event
                await asyncio.sleep(0.005)
        assert asking.requests[0] == ("up", Nack(stream="news", ranges=[(4, 4), (6, 6)]))
        below.close()

    asyncio.run(scenario())
