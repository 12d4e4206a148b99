"""A player of the overlay behind three links in a lab: startup, delay and losses, without loss and with 5 % on each link.

The delay per hop does not include the delay of the links, so it is what the nodes, the repairs and this machine add. The startup is
the time from the request for the stream to playback, with a buffer of 1 s. Each start is a new process: two more players behind the
same relay start again and again while the first one receives. The delay is that of the last 2,000 packets, when none starts.
"""

import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import heading, load, verdict
from tests.harness.waiting import eventually
from tests.overlay.lossy_chain import LOSS, last_line, lossy_chain, received_at_least
from tests.overlay.swarm import Swarm

STARTS_OF_EACH, STARTING = 10, ("q1", "q2")
PACKETS, QUIET_PACKETS = 10_000, 2_500
RATE_KBPS = 2000.0
HOPS = 3
REPAIR_LINES = 3
"""A packet counts as lost as long as it is on its way: the least number in so many of the player's last lines is what is lost."""
MOST_STARTUP_MS, MOST_DELAY_MS, MOST_LOST = 1500.0, 5.0, 0.001
"""The goals, for links without a delay of their own."""
DELAY_MS = 40.0
"""Of each link in two of the rows. There, a repeat needs a round trip of 80 ms, and parity does not."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table."""

    loss: float
    redundancy: str = "retransmission"
    delay_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.loss:.0%}, {self.redundancy}" + (f", {self.delay_ms:.0f} ms" if self.delay_ms else "")


CASES = [Case(0.0), Case(LOSS), Case(LOSS, "fec"), Case(LOSS, "retransmission", DELAY_MS), Case(LOSS, "fec", DELAY_MS)]
COLUMNS = {
    "startup p50 ms": 16,
    "p95 ms": 8,
    "goal": 6,
    "delay per hop p95 ms": 22,
    "goal ": 6,
    "packets": 9,
    "lost on links": 15,
    "restored": 10,
    "lost %": 8,
    "goal  ": 7,
    "overhead": 10,
}
"""`restored`: by parity, so without a round trip. `overhead`: bytes of repeats and parity, divided by those of the media."""


def main() -> None:
    """Print a row for each case."""
    print(heading(COLUMNS, first="loss of a link, redundancy", first_width=34), flush=True)
    for case in CASES:
        shape = {"delay_ms": case.delay_ms} if case.delay_ms else {}
        options = {"rate_kbps": RATE_KBPS, "loss": case.loss, "redundancy": case.redundancy, "more_players": STARTING, **shape}
        with (
            tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder,
            lossy_chain(Path(folder), **options) as (_, swarm),
            ThreadPoolExecutor() as threads,
        ):
            startups_ms = [one for some in threads.map(lambda name: startups(swarm, name), STARTING) for one in some]
            received_at_least(swarm, max(PACKETS, int(last_line(swarm)["received"]) + QUIET_PACKETS))
            lines = swarm.parts["p"].printed("received")[-REPAIR_LINES:]
            line = lines[-1] | {"lost": min(each["lost"] for each in lines)}
            counts = {name: swarm.parts[name].stop()["streams"]["news"] for name in ("p", "n2", "n1", "s")}
        print(f"{case!s:<34}{_row(startups_ms, line, case, counts)}", flush=True)
    print(load(), flush=True)


def _row(startups_ms: list[float], line: dict[str, float], case: Case, counts: dict[str, dict[str, int]]) -> str:
    def total(name: str) -> int:
        return sum(each.get(name, 0) for each in counts.values())

    media = total("data_sent_bytes")
    extra = total("parity_sent_bytes") + total("data_repeated") * media / max(total("data_sent"), 1)
    startup_ms = min(statistics.quantiles(startups_ms, n=20)[18], max(startups_ms)) if len(startups_ms) > 1 else startups_ms[0]
    delay_ms, lost = line["delay_p95_ms"] / HOPS - case.delay_ms, line["lost"] / line["received"]
    has_goals = not case.delay_ms
    values = [
        f"{statistics.median(startups_ms):.0f}",
        f"{startup_ms:.0f}",
        f"{MOST_STARTUP_MS:.0f}" if has_goals else "-",
        f"{delay_ms:.1f}",
        f"{MOST_DELAY_MS:.0f}" if has_goals else "-",
        f"{line['received']:.0f}",
        f"{total('packets_missing')}",
        f"{total('packets_restored')}",
        f"{lost:.2%}",
        f"{MOST_LOST:.1%}",
        f"{extra / media:.1%}",
    ]
    goals = {"startup": (startup_ms, MOST_STARTUP_MS), "delay": (delay_ms, MOST_DELAY_MS)} if has_goals else {}
    numbers = "".join(f"{value:>{width}}" for value, width in zip(values, COLUMNS.values(), strict=True))
    return f"{numbers}  {verdict(lost=(lost, MOST_LOST), **goals)}"


def startups(swarm: Swarm, player: str) -> list[float]:
    """Start a player and stop it, several times; the time from its request to playback of each start."""
    found = []
    for _ in range(STARTS_OF_EACH):
        part = swarm.start("play", player, "--stream", "news")
        line = eventually(lambda part=part: next((each for each in part.printed("startup_ms") if each["startup_ms"]), None))
        found.append(line["startup_ms"])
        part.stop()
    return found
