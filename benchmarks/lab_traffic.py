"""The cost of reading a capture into slots, compared with tshark, which reads the fields that we need from the same file.

The capture is of one session: each two seconds a request, and an answer at 5 Mbit/s. Three programs run alternately: tshark, our
reader with slots and the statistics of each flow, as a data set needs them, and our reader with slots alone, as `lab score` needs
them. The time until a slot is known is that of its last step.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from qoe_lab.traffic import CaptureReader, SlotCounter
from tests.qoe_lab.traffic.hand_made import BEGIN_NS, CLIENT, MS, Conversation, pcap, timestamps

SECONDS = 60
RATE_KBPS = 5000
SEGMENT_BYTES = 1448
CHUNK_BYTES = 1_000_000
ROUNDS = 5
GOAL_MS = 5
FIELDS = ("ip.len", "tcp.seq", "tcp.ack", "tcp.len", "tcp.analysis.ack_rtt", "tcp.analysis.retransmission")


def main() -> None:
    """Print one line for each program, and the ratio."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        path = Path(folder) / "capture.pcap"
        path.write_bytes(pcap(session().frames, snaplen=96))
        whole, ours, theirs = [], [], []
        for _ in range(ROUNDS):
            whole.append(own_seconds(path, statistics_of_flows=True))
            ours.append(own_seconds(path))
            theirs.append(tshark_seconds(path))
        packets, slots, last_us = read(path)
    own, with_statistics = statistics.median(ours), statistics.median(whole)
    print(f"{packets:,} packets, {slots} slots, {RATE_KBPS} kbit/s; medians of {ROUNDS} rounds, processor time\n")
    for what, seconds in (("slots and statistics", with_statistics), ("slots alone", own)):
        print(f"{what:24}{seconds / packets * 1e6:8.1f} µs per packet{seconds / slots * 1e3:8.2f} ms per slot")
    print(f"{'end of a slot':24}{last_us:8.1f} µs")
    if None not in theirs:
        other = statistics.median(seconds for seconds in theirs if seconds is not None)
        print(f"{'tshark':24}{other / packets * 1e6:8.1f} µs per packet   {other / own:.1f} times slots alone")
    print(f"\nthe goal is at most {GOAL_MS} ms per slot: {'met' if own / slots * 1e3 <= GOAL_MS else 'missed'}")


def session() -> Conversation:
    """Requests every two seconds, and answers with delayed acknowledgements."""
    made = Conversation()
    made.handshake(options=timestamps())
    asked = answered = 1
    gap_ms = SEGMENT_BYTES * 8 / RATE_KBPS
    for begin_ms in range(100, SECONDS * 1000, 2000):
        made.up(begin_ms, asked, answered, data=200, options=timestamps())
        asked += 200
        for number in range(CHUNK_BYTES // SEGMENT_BYTES):
            at_ms = begin_ms + 20 + number * gap_ms
            made.down(at_ms, answered, asked, data=SEGMENT_BYTES, options=timestamps())
            answered += SEGMENT_BYTES
            if number % 2:
                made.up(at_ms + 0.1, asked, answered, options=timestamps())
    return made


def own_seconds(path: Path, *, statistics_of_flows: bool = False) -> float:
    began = time.process_time()
    read(path, statistics_of_flows=statistics_of_flows)
    return time.process_time() - began


def read(path: Path, *, statistics_of_flows: bool = False) -> tuple[int, int, float]:
    """Packets, slots, and the median time of the end of a slot in µs."""
    reader, counter, taken = CaptureReader(path), SlotCounter(client=CLIENT, statistics=statistics_of_flows), []
    for packet in reader:
        counter.add(packet)
    for second in range(SECONDS, SECONDS + 500):
        began = time.process_time_ns()
        counter.advance(BEGIN_NS + second * 1000 * MS)
        taken.append(time.process_time_ns() - began)
    return reader.counts["packets"], SECONDS, statistics.median(taken) / 1000


def tshark_seconds(path: Path) -> float | None:
    """None without tshark."""
    if shutil.which("tshark") is None:
        return None
    command = ["tshark", "-r", str(path), "-T", "fields", *(part for field in FIELDS for part in ("-e", field))]
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
