"""Control traffic of overlay nodes while no stream flows, by the counters of their interfaces, and while one does.

Each node is a leaf of the lab's network, so its interface carries its own traffic only. Each has three overlay neighbours. The
figures include the headers of Ethernet, IP, TCP and UDP.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.goals import load, verdict
from netlab import Lab, read_topology
from tests.harness.waiting import eventually
from tests.overlay.swarm import Swarm

MEMBERS = [f"m{number}" for number in range(8)]
SETTLE_S = 20.0
"""Longer than the time after which a link counts as idle."""
MEASURE_S = 60.0
MOST_KBPS = 1.0
"""NICE (2002) has less than 1 kbit/s at each member of a group of 100."""


def main() -> None:
    """Print sent and received kbit/s of the members."""
    print(f"{'':<28}{'members':>8}{'sent kbit/s':>14}{'received':>10}{'sum, mean':>11}{'goal':>6}{'most':>7}", flush=True)
    nodes = {name: {} for name in (*MEMBERS, "b")}
    links = [{"between": ["middle", name]} for name in nodes]
    topology = read_topology(json.dumps({"nodes": {**nodes, "middle": {"forwards": True}}, "links": links}))
    overlay = {
        name: {"neighbors": [MEMBERS[(place + 1) % 8], *([MEMBERS[place + 4]] if place < 4 else [])]}
        for place, name in enumerate(MEMBERS)
    }
    streams = {"news": {"source": MEMBERS[0]}}
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, Lab(topology) as lab:
        swarm = Swarm(lab, {**overlay, "b": {"neighbors": []}, "streams": streams}, Path(folder), bootstrapper_at="b")
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        for name in MEMBERS[:-1]:
            swarm.start("node", name)
        swarm.start("play", MEMBERS[-1], "--stream", "news")  # the source of the stream is not there
        for name in MEMBERS:
            eventually(lambda name=name: swarm.parts[name].lines)
        time.sleep(SETTLE_S)
        before = {name: lab.counters(name, f"middle-{name}") for name in MEMBERS}
        time.sleep(MEASURE_S)
        after = {name: lab.counters(name, f"middle-{name}") for name in MEMBERS}
    sent, received = (
        [(getattr(after[name], of) - getattr(before[name], of)) * 8 / 1000 / MEASURE_S for name in MEMBERS]
        for of in ("sent_bytes", "received_bytes")
    )
    sums = [one + other for one, other in zip(sent, received, strict=True)]
    print(
        f"{'three neighbours, no stream':<28}{len(MEMBERS):>8}{statistics.mean(sent):>14.2f}{statistics.mean(received):>10.2f}"
        f"{statistics.mean(sums):>11.2f}{MOST_KBPS:>6.1f}{max(sums):>7.2f}  {verdict(mean=(statistics.mean(sums), MOST_KBPS))}"
    )
    print(load(), flush=True)
