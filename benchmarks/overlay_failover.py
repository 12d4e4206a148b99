"""How long a player of the overlay is without packets when its relay fails: the seed project's second scenario, in a lab.

Two relays lead to the player. The one in use is killed or stopped, and started again before the next run. The gap is the longest
time without a new packet at the player's interfaces, by the kernel's time stamps; lost is what stays missing at the player.
"""

import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from netlab import Lab
from tests.harness.waiting import eventually
from tests.overlay.scenario_2 import arrivals, lab_topology, largest_gap_ms, parent, received, streaming
from tests.overlay.swarm import Swarm

RUNS = 30
RUNS_WITHOUT_BOOTSTRAPPER = 10
"""Each needs a new swarm: a relay cannot come back without a bootstrapper."""
RUNS_WITHOUT_SECOND_RELAY = 3
CASES = {"crash": signal.SIGKILL, "silence": signal.SIGSTOP}


def main() -> None:
    """Print a row for each kind of failure: with one tree, with two trees, and without a bootstrapper."""
    print(f"{'':<32}{'runs':>5}{'p50 ms':>9}{'p95 ms':>9}{'most ms':>9}{'lost':>6}{'before: p50 ms':>17}{'p95 ms':>9}")
    for redundancy, what in {"retransmission": "", "two_trees": ", two trees"}.items():
        for name, how in CASES.items():
            with swarm_in_a_lab(redundancy) as (lab, swarm, folder):
                runs = [one_run(lab, swarm, how, folder) for _ in range(RUNS)]
                show(name + what, runs, lost(swarm))
    for name, how in CASES.items():
        runs, missing = [], 0
        for _ in range(RUNS_WITHOUT_BOOTSTRAPPER):
            with swarm_in_a_lab() as (lab, swarm, folder):
                swarm.bootstrapper.process.kill()
                runs.append(fail(lab, swarm, how, folder))
                missing += lost(swarm)
        show(f"{name}, no bootstrapper", runs, missing)
    ended = sum(ends_without_a_second_relay() for _ in range(RUNS_WITHOUT_SECOND_RELAY))
    print(f"crash, no second relay: the stream ends in {ended} of {RUNS_WITHOUT_SECOND_RELAY} runs", flush=True)


@contextmanager
def swarm_in_a_lab(redundancy: str = "retransmission") -> Iterator[tuple[Lab, Swarm, Path]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="swarmscope-bench-")))
        lab = stack.enter_context(Lab(lab_topology()))
        swarm = stack.enter_context(streaming(lab, folder, redundancy=redundancy))
        eventually(lambda: redundancy != "two_trees" or second_parent(swarm) is not None)
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


def lost(swarm: Swarm) -> int:
    return int(swarm.parts["p"].printed("lost")[-1]["lost"])


@dataclass(frozen=True, slots=True)
class Gaps:
    """The longest time without a packet: in the second before a failure, which shows how busy the machine is, and after it."""

    before_ms: float
    after_ms: float


def show(name: str, runs: list[Gaps], missing: int) -> None:
    after_ms, before_ms = [run.after_ms for run in runs], [run.before_ms for run in runs]
    print(
        f"{name:<32}{len(runs):>5}{statistics.median(after_ms):>9.0f}{_p95(after_ms):>9.0f}{max(after_ms):>9.0f}{missing:>6}"
        f"{statistics.median(before_ms):>17.0f}{_p95(before_ms):>9.0f}",
        flush=True,
    )


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


def one_run(lab: Lab, swarm: Swarm, how: signal.Signals, folder: Path) -> Gaps:
    """One failure; afterwards the relay is back and the player has a backup again."""
    failed, had_two = parent(swarm), second_parent(swarm) is not None
    gaps = fail(lab, swarm, how, folder)
    swarm.parts[failed].process.kill()
    swarm.parts[failed].process.wait()
    swarm.start("node", failed)
    eventually(lambda: swarm.parts[failed].lines)
    before = received(swarm)
    eventually(lambda: received(swarm) > before + 100 and (second_parent(swarm) is not None) == had_two)
    return gaps


def second_parent(swarm: Swarm) -> str | None:
    """Who feeds the player in the second tree."""
    found: str | None = swarm.parts["p"].printed("second_parent")[-1]["second_parent"]
    return found


def fail(lab: Lab, swarm: Swarm, how: signal.Signals, folder: Path) -> Gaps:
    """Let the parent of the player fail while its interfaces are captured."""
    failed, before = parent(swarm), received(swarm)
    paths = [folder / "n6.pcap", folder / "n9.pcap"]
    with ExitStack() as captures:
        for path in paths:
            captures.enter_context(lab.capture("p", f"{path.stem}-p", path))
        eventually(lambda: received(swarm) > before + 100)
        failed_ns = time.time_ns()
        swarm.parts[failed].process.send_signal(how)
        eventually(lambda: parent(swarm) != failed)
        before = received(swarm)
        eventually(lambda: received(swarm) > before + 100)
    first = arrivals(paths)
    quiet = {sequence: at_ns for sequence, at_ns in first.items() if at_ns <= failed_ns}
    return Gaps(largest_gap_ms(quiet, 0), largest_gap_ms(first, failed_ns))
