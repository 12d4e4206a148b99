"""What a player reports, compared with what its network interfaces saw: rate, gap of a failover, continuity.

The quick form compares the player's continuity with a recomputation from arrival times; the soak form runs real processes in a lab
with captures.
"""

import json
import random
import signal
import statistics
import struct
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netlab import Doors, Lab, read_capture
from overlay.data_header import HEADER_BYTES
from overlay.null_stream import packets
from overlay.playout import Playout
from overlay.reporting import continuity
from tests.harness.deployment import Deployment, deployment
from tests.harness.processes import run_swarmscope
from tests.harness.waiting import eventually
from tests.netlab.labs import needs_namespaces
from tests.overlay.continuity_truth import continuity_by_arrivals
from tests.overlay.scenario_2 import LINKS, OVERLAY, UDP, arrivals, lab_topology, largest_gap_ms
from tests.overlay.swarm import Swarm

__all__ = ["deployment"]

RATE_KBPS = 4000.0
BUFFER_S = 1.0
CLOCK_HZ = 90_000
ETHERNET_BYTES = 14
DOOR_PORT = 8080
MEASURED_S = 30.0
STOPPED_S = 3.0


def test_continuity_is_that_of_the_arrival_times():
    chance = random.Random(5)
    sent = []
    for number, (due_s, rtp) in zip(range(3000), packets(1000, 7), strict=False):
        late_s = 3.0 if 1000 < number < 1300 else 1.5 * (chance.random() < 0.01)
        if chance.random() > 0.01:
            sent.append((due_s + chance.uniform(0.01, 0.03) + late_s, number, rtp))
    sent.sort()
    until_s = sent[-1][0] - 1.0
    playout, at = Playout(buffer_s=BUFFER_S), 0
    for tick in range(int(until_s / 0.01)):
        now_s = tick * 0.01
        while at < len(sent) and sent[at][0] <= now_s:
            playout.arrived(sent[at][1], sent[at][2], sent[at][0])
            at += 1
        playout.advance(now_s)
    own = continuity(playout.totals_until(until_s), type(playout.totals)())
    media = [(arrived_s, number, int.from_bytes(rtp[4:8], "big") / CLOCK_HZ) for arrived_s, number, rtp in sent]
    truth = continuity_by_arrivals(media, buffer_s=BUFFER_S, until_s=until_s)
    assert playout.totals.stalls > 0
    assert playout.totals.missed > 0
    assert truth < 0.97
    assert own == pytest.approx(truth, abs=0.005)


@pytest.mark.soak
@needs_namespaces
def test_rate_gap_and_continuity_are_those_of_the_captures(deployment: Deployment, tmp_path: Path):
    deployment.feedback_server()
    deployment.coordinator()
    host, _, port = deployment.entries[0].removeprefix("http://").partition(":")
    captures = [tmp_path / "n6.pcap", tmp_path / "n9.pcap"]
    with Lab(lab_topology()) as lab, ExitStack() as running:
        running.enter_context(Doors(lab, ["p"], DOOR_PORT, (host, int(port))))
        for path in captures:
            running.enter_context(lab.capture("p", f"{path.stem}-p", path))
        swarm = streaming(lab, tmp_path)
        player = swarm.parts["p"]
        eventually(lambda: player.printed("played_ms") and player.printed("played_ms")[-1]["played_ms"] > 3000)
        rate_kbps, between_ms = measured_rate(lab)
        gap_ms, failed_ns, recovered_ns = failover(swarm)
        stall(swarm)
        stopped_s = time.time()
        printed = player.printed("played_ms")[-1]
        player.stop()
        for name in ("s", "n2"):
            swarm.parts[name].stop()
    deployment.settle()
    mine = records(deployment)
    check_rate(mine, rate_kbps, between_ms)
    first = {number: at_ns for number, at_ns in arrivals(captures).items() if at_ns <= recovered_ns}
    seen_ms = largest_gap_ms(first, failed_ns)
    print(f"gap: reported {gap_ms:.1f} ms, in the capture {seen_ms:.1f} ms")
    assert gap_ms == pytest.approx(seen_ms, abs=20)
    truth = continuity_by_arrivals(media_of(captures), buffer_s=BUFFER_S, until_s=stopped_s)
    reported = statistics.fmean(each["continuity"] for each in mine if "continuity" in each)
    print(f"continuity: reported {reported:.4f}, from the capture {truth:.4f}; {printed['stalls']} stalls")
    assert printed["stalls"] > 0
    assert reported == pytest.approx(truth, abs=0.005)


def streaming(lab: Lab, folder: Path) -> Swarm:
    """The swarm of the second scenario; only the player reports."""
    swarm = Swarm(lab, {**OVERLAY, "streams": {"news": {"source": "s", "rate_kbps": RATE_KBPS}}}, folder, bootstrapper_at="s")
    eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
    for name in ("n2", "n6", "n9"):
        swarm.start("node", name)
    swarm.start("play", "p", "--stream", "news", "--coordinator", f"http://127.0.0.1:{DOOR_PORT}", "--period", "1")
    for name in ("n2", "n6", "n9", "p"):
        eventually(lambda name=name: swarm.parts[name].lines)
    swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(RATE_KBPS))
    return swarm


def counted(lab: Lab) -> int:
    """Bytes of IP packets that the player's interfaces have received."""
    found = [lab.counters("p", "-".join(link)) for link in LINKS if "p" in link]
    return sum(each.received_bytes - ETHERNET_BYTES * each.received_packets for each in found)


def measured_rate(lab: Lab) -> tuple[float, tuple[int, int]]:
    """The rate by the interface counters, and the time of the measurement in Unix ms."""
    begin_ms, before, begin_s = time.time_ns() // 10**6, counted(lab), time.monotonic()
    eventually(lambda: time.monotonic() - begin_s >= MEASURED_S)
    after, seconds = counted(lab), time.monotonic() - begin_s
    return (after - before) * 8 / 1000 / seconds, (begin_ms, time.time_ns() // 10**6)


def failover(swarm: Swarm) -> tuple[float, int, int]:
    """Kill the parent. The gap that the player states, and when the kill and the recovery were."""
    player = swarm.parts["p"]
    failed, failed_ns = player.printed("parent")[-1]["parent"], time.time_ns()
    swarm.parts[failed].process.send_signal(signal.SIGKILL)
    eventually(lambda: player.printed("parent")[-1]["failover_gap_ms"] is not None)
    before = player.printed("received")[-1]["received"]
    eventually(lambda: player.printed("received")[-1]["received"] > before + 200)
    return player.printed("parent")[-1]["failover_gap_ms"], failed_ns, time.time_ns()


def stall(swarm: Swarm) -> None:
    """Stop the source for longer than the buffer lasts, and wait until the player plays again."""
    player, source = swarm.parts["p"], swarm.parts["s"].process
    source.send_signal(signal.SIGSTOP)
    stopped_s = time.monotonic()
    eventually(lambda: time.monotonic() - stopped_s >= STOPPED_S)
    source.send_signal(signal.SIGCONT)
    played_ms = player.printed("played_ms")[-1]["played_ms"]
    eventually(lambda: player.printed("played_ms")[-1]["played_ms"] > played_ms + 10_000)


def records(deployment: Deployment) -> list[dict[str, Any]]:
    done = run_swarmscope("logs", "cat", *deployment.data)
    assert done.returncode == 0, done.stderr
    return [each for line in done.stdout.splitlines() if (each := json.loads(line))["peer_id"] == "p"]


def check_rate(mine: list[dict[str, Any]], rate_kbps: float, between_ms: tuple[int, int]) -> None:
    # A report describes an interval that is one second older.
    rates = [each["download_kbps"] for each in mine if between_ms[0] + 1000 <= each["sent_ms"] - 1000 <= between_ms[1]]
    reported = statistics.fmean(rates)
    print(f"download: reported {reported:.1f} kbit/s, by the interface counters {rate_kbps:.1f} kbit/s ({len(rates)} reports)")
    assert reported == pytest.approx(rate_kbps, rel=0.02)


def media_of(captures: list[Path]) -> list[tuple[float, int, float]]:
    """First arrivals: seconds, number from the first packet on, media time in seconds. The captures are shorter than a wrap."""
    found: dict[int, tuple[float, int]] = {}
    for path in captures:
        for frame in read_capture(path):
            if frame.length > 1000 and frame.header[23] == UDP:
                sequence, timestamp = struct.unpack_from("!HI", frame.header, 42 + HEADER_BYTES + 2)
                at_s = frame.time_ns / 1e9
                if sequence not in found or at_s < found[sequence][0]:
                    found[sequence] = at_s, timestamp
    begin = min(found.values())
    first = next(sequence for sequence, each in found.items() if each == begin)
    rows = [
        (at_s, (sequence - first + 32768) % 65536 - 32768, ((timestamp - begin[1] + 2**31) % 2**32 - 2**31) / CLOCK_HZ)
        for sequence, (at_s, timestamp) in found.items()
    ]
    return sorted(rows)
