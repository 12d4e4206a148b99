"""How long a player of the overlay is without packets when its relay fails: the seed project's second scenario, in a lab.

Two relays lead to the player. The one in use is killed or stopped, and started again before the next failure. All failures of a row
happen in one lab. The gap is the longest time without a new packet at the player's interfaces, by the kernel's time stamps, minus
the interval of the packets, which passes without a failure too. `lost` is what stays missing at the player. `stalls` are those of
its playback, with a buffer of 1 s. A row without a bootstrapper kills it before each failure, and starts it again afterwards.
"""

import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from benchmarks.goals import heading, load, verdict
from netlab import Lab
from overlay.null_stream import interval_s
from tests.harness.waiting import eventually
from tests.overlay.scenario_2 import RATE_KBPS, arrivals, lab_topology, largest_gap_ms, streaming
from tests.overlay.swarm import PORT, Swarm

RUNS, RUNS_WITH_TWO_TREES, RUNS_WITHOUT_SECOND_RELAY = 30, 15, 3
MEDIA_BYTES = 60 * 1300
"""What has to arrive before and after each failure: 0.6 s of the stream."""
SAMPLE_S, SETTLE_S = 0.2, 0.3
INTERVAL_MS = interval_s(RATE_KBPS) * 1000
RELAYS = ("n6", "n9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row, with the goals for the 95th percentile of the gaps and for the longest one."""

    name: str
    how: signal.Signals
    p95_ms: float
    most_ms: float = inf
    redundancy: str = "retransmission"
    has_bootstrapper: bool = True


CASES = [
    Case(name="crash", how=signal.SIGKILL, p95_ms=150),
    Case(name="silence", how=signal.SIGSTOP, p95_ms=500, most_ms=800),
    Case(name="crash, no bootstrapper", how=signal.SIGKILL, p95_ms=150, has_bootstrapper=False),
    Case(name="silence, no bootstrapper", how=signal.SIGSTOP, p95_ms=500, most_ms=800, has_bootstrapper=False),
    Case(name="crash, two trees", how=signal.SIGKILL, p95_ms=INTERVAL_MS, redundancy="two_trees"),
    Case(name="silence, two trees", how=signal.SIGSTOP, p95_ms=INTERVAL_MS, redundancy="two_trees"),
]
COLUMNS = {"failures": 9, "p50 ms": 9, "p95 ms": 9, "goal": 6, "most ms": 9, "goal ": 6, "lost": 6, "stalls": 8}
COLUMNS |= {"before: p50": 13, "p95 ": 7}
"""`before`: the same in the 0.6 s before each failure, which shows how busy the machine was."""


def main() -> None:
    """Print a row for each kind of failure, with the goals, and whether the stream ends without a second relay."""
    print(f"{heading(COLUMNS, first_width=26)}  goals (lost and stalls: 0)", flush=True)
    for case in CASES:
        with swarm_in_a_lab(case.redundancy) as (lab, swarm, folder):
            count = RUNS_WITH_TWO_TREES if case.redundancy == "two_trees" else RUNS
            runs = [one_run(lab, swarm, case, folder) for _ in range(count)]
            print(_row(case, runs, last_line(swarm)), flush=True)
    ended = sum(ends_without_a_second_relay() for _ in range(RUNS_WITHOUT_SECOND_RELAY))
    print(f"crash, no second relay: the stream ends in {ended} of {RUNS_WITHOUT_SECOND_RELAY} runs (goal: all)")
    print(load(), flush=True)


@contextmanager
def swarm_in_a_lab(redundancy: str) -> Iterator[tuple[Lab, Swarm, Path]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="swarmscope-bench-")))
        lab = stack.enter_context(Lab(lab_topology()))
        swarm = stack.enter_context(streaming(lab, folder, redundancy=redundancy))
        eventually(lambda: redundancy != "two_trees" or len(feeding(lab)) == 2)
        yield lab, swarm, folder


def ends_without_a_second_relay() -> bool:
    """Whether the player gets nothing more: without failover, a failure is visible."""
    with (
        tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder,
        Lab(lab_topology()) as lab,
        streaming(lab, Path(folder), relays=("n2", "n6")) as swarm,
    ):
        swarm.parts["n6"].process.kill()
        swarm.parts["n6"].process.wait()
        lines = len(swarm.parts["p"].printed("received"))
        eventually(lambda: len(swarm.parts["p"].printed("received")) > lines + 3)
        last = [line["received"] for line in swarm.parts["p"].printed("received")][-3:]
        return len(set(last)) == 1


@dataclass(frozen=True, slots=True)
class Gaps:
    """The longest time without a packet, beyond the interval of the packets: before a failure and after it."""

    before_ms: float
    after_ms: float


def _row(case: Case, runs: list[Gaps], line: dict[str, Any]) -> str:
    after_ms, before_ms = [run.after_ms for run in runs], [run.before_ms for run in runs]
    p95_ms, most_ms = _p95(after_ms), max(after_ms)
    goals = f"{case.p95_ms:.0f}", f"{case.most_ms:.0f}" if case.most_ms < inf else "-"
    values = [
        *(f"{len(runs)}", f"{statistics.median(after_ms):.1f}", f"{p95_ms:.1f}", goals[0], f"{most_ms:.1f}", goals[1]),
        *(f"{line['lost']}", f"{line['stalls']}", f"{statistics.median(before_ms):.1f}", f"{_p95(before_ms):.1f}"),
    ]
    numbers = "".join(f"{value:>{width}}" for value, width in zip(values, COLUMNS.values(), strict=True))
    lost, stalls = (line["lost"], 0), (line["stalls"], 0)
    return f"{case.name:<26}{numbers}  {verdict(p95=(p95_ms, case.p95_ms), most=(most_ms, case.most_ms), lost=lost, stalls=stalls)}"


def _p95(values: list[float]) -> float:
    return min(statistics.quantiles(values, n=20)[18], max(values)) if len(values) > 1 else values[0]


def one_run(lab: Lab, swarm: Swarm, case: Case, folder: Path) -> Gaps:
    """One failure; afterwards the relay is back, and the player has a second way again."""
    ways = 2 if case.redundancy == "two_trees" else 1
    failed = min(eventually(lambda: len(fed_by := feeding(lab)) == ways and fed_by))
    other = RELAYS[1 - RELAYS.index(failed)]
    if not case.has_bootstrapper:
        swarm.bootstrapper.process.kill()
        swarm.bootstrapper.process.wait()
    gaps = fail(lab, swarm, failed, other, case, folder)
    if not case.has_bootstrapper:
        swarm.start_bootstrapper()
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
    swarm.parts[failed].process.kill()
    swarm.parts[failed].process.wait()
    heard = packets_from(lab, failed)
    swarm.start("node", failed)
    eventually(lambda: swarm.parts[failed].lines)
    # The relay connects to the player, and announces itself on TCP and UDP.
    eventually(lambda: packets_from(lab, failed) > heard + 6, every_s=0.02)
    eventually(lambda: members(swarm) == len(swarm.parts))
    time.sleep(SETTLE_S)
    eventually(lambda: len(feeding(lab)) == ways)
    return gaps


def members(swarm: Swarm) -> int:
    """The connections of the bootstrapper to nodes. It plans a second way only over nodes that have joined."""
    listens, established = f":{PORT:04X}", "01"
    lines = Path(f"/proc/{swarm.bootstrapper.process.pid}/net/tcp").read_text("ascii").splitlines()
    return sum(fields[1].endswith(listens) and fields[3] == established for fields in map(str.split, lines[1:]))


def last_line(swarm: Swarm) -> dict[str, Any]:
    """What the player prints next: losses that are still repaired are none."""
    lines = len(swarm.parts["p"].printed("received"))
    eventually(lambda: len(swarm.parts["p"].printed("received")) > lines + 1)
    return swarm.parts["p"].printed("received")[-1]


def packets_from(lab: Lab, relay: str) -> int:
    return lab.counters("p", f"{relay}-p").received_packets


def bytes_from(lab: Lab, relay: str) -> int:
    return lab.counters("p", f"{relay}-p").received_bytes


def feeding(lab: Lab) -> set[str]:
    """The relays that send media to the player now."""
    before = {relay: bytes_from(lab, relay) for relay in RELAYS}
    time.sleep(SAMPLE_S)
    control_bytes = 1000 * SAMPLE_S * 8
    return {relay for relay in RELAYS if bytes_from(lab, relay) - before[relay] > control_bytes}


def fail(lab: Lab, swarm: Swarm, failed: str, other: str, case: Case, folder: Path) -> Gaps:
    """Let a parent of the player fail while its interfaces are captured."""
    paths = [folder / f"{relay}.pcap" for relay in RELAYS]
    with ExitStack() as captures:
        for path in paths:
            captures.enter_context(lab.capture("p", f"{path.stem}-p", path))
        enough = bytes_from(lab, failed) + MEDIA_BYTES
        eventually(lambda: bytes_from(lab, failed) >= enough, every_s=0.02)
        enough, failed_ns = bytes_from(lab, other) + MEDIA_BYTES, time.time_ns()
        swarm.parts[failed].process.send_signal(case.how)
        eventually(lambda: bytes_from(lab, other) >= enough, every_s=0.02)
    first = arrivals(paths)
    quiet = {sequence: at_ns for sequence, at_ns in first.items() if at_ns <= failed_ns}
    return Gaps(largest_gap_ms(quiet, 0) - INTERVAL_MS, largest_gap_ms(first, failed_ns) - INTERVAL_MS)
