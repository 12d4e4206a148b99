"""Slots without TCP statistics cost less, and have the same values."""

import random
from pathlib import Path

import pytest

from qoe_lab.traffic import CaptureReader, NotACaptureError, Packet, SlotCounter
from tests.qoe_lab.traffic.hand_made import CLIENT, Conversation, sack, timestamps

CAPTURES = Path(__file__).parents[4] / "shared" / "data" / "captures"
READ = sorted(path for path in CAPTURES.glob("*") if path.suffix in (".pcap", ".pcapng"))
EVENTS = ("up_rexmit_pkts", "down_rexmit_pkts", "down_out_seq_pkts", "up_zero_windows", "rtt_avg_ms", "handshake_ms", "chunks")


def slots(packets: list[Packet], *, client: str | None, statistics: bool) -> list[dict]:
    counter = SlotCounter(client=client, statistics=statistics)
    rows = [slot.row() for packet in packets for slot in counter.add(packet)]
    last = counter.end()
    flows = counter.flows()
    assert {flow.up.tcp is not None for flow in flows if flow.protocol == "tcp"} <= {statistics}
    return rows + ([] if last is None else [last.row()])


def any_conversation(choose: random.Random) -> Conversation:
    """Segments of both sides with everything that TCP may do: losses, disorder, SACK, windows of zero, resets, other SYNs."""
    begin = {True: choose.choice((1000, 2**32 - 400)), False: choose.choice((5000, 2**32 - 9000))}
    made, at_ms = Conversation(up_number=begin[True], down_number=begin[False]), 0.0
    if choose.random() < 0.7:
        made.handshake(options=timestamps())
    sent = {True: 1, False: 1}
    for _ in range(choose.randint(5, 60)):
        at_ms += choose.choice((0.1, 5, 40, 400))
        from_client = choose.random() < 0.4
        size = choose.choice((0, 0, 100, 200)) if from_client else choose.choice((0, 1448, 1448, 1448))
        number = sent[from_client] + choose.choice((0, 0, 0, 0, 1448, -1448, -2896, -100))
        flags = choose.choice(("A",) * 20 + ("AF", "R", "RA", "S", "SA", "AP"))
        ack = sent[not from_client] - choose.choice((0, 0, 0, 100, 1448))
        arrived = begin[not from_client] + ack + 100
        options = choose.choice((b"", timestamps(), sack((arrived % 2**32, (arrived + 1448) % 2**32))))
        send = made.up if from_client else made.down
        window = choose.choice((1000, 1000, 1000, 0))
        send(at_ms, max(0, number), max(0, ack), data=size, flags=flags, window=window, options=options)
        sent[from_client] = max(sent[from_client], number + size)
    return made


def test_any_conversation_has_the_same_slots_with_and_without_statistics():
    choose, seen = random.Random(11), dict.fromkeys(EVENTS, 0)
    for _ in range(120):
        packets = any_conversation(choose).packets()
        expected = slots(packets, client=CLIENT, statistics=True)
        assert slots(packets, client=CLIENT, statistics=False) == expected
        for name in EVENTS:
            seen[name] += sum(bool(row[name]) for row in expected)
    assert min(seen.values()) > 10, seen


@pytest.mark.skipif(not READ, reason=f"{CAPTURES} is not on this machine")
@pytest.mark.parametrize("path", READ, ids=lambda path: path.name)
def test_a_real_capture_has_the_same_slots_with_and_without_statistics(path):
    try:
        packets = list(CaptureReader(path))
    except NotACaptureError:
        pytest.skip("no capture of packets")
    assert slots(packets, client=None, statistics=False) == slots(packets, client=None, statistics=True)
