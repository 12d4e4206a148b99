"""A player of the overlay behind three links in a lab: startup, delay and losses, without loss and with 5 % on each link.

The delay per hop does not include the delay of the links, so it is what the nodes, the repairs and this machine add. The startup is
the time from the request for the stream to playback, with a buffer of 1 s; each start is a new process.
"""

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.harness.waiting import eventually
from tests.overlay.lossy_chain import LOSS, last_line, lossy_chain, received_at_least
from tests.overlay.swarm import Swarm

STARTS = 20
PACKETS = 10_000
RATE_KBPS = 2000.0
HOPS = 3
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
    "delay per hop p95 ms": 22,
    "packets": 9,
    "lost on links": 15,
    "restored": 10,
    "lost": 6,
    "overhead": 10,
}
"""`restored`: by parity, so without a round trip. `overhead`: bytes of repeats and parity, divided by those of the media."""


def main() -> None:
    """Print a row for each case."""
    print(f"{'loss of a link, redundancy':<34}" + "".join(f"{name:>{width}}" for name, width in COLUMNS.items()), flush=True)
    for case in CASES:
        shape = {"delay_ms": case.delay_ms} if case.delay_ms else {}
        with (
            tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder,
            lossy_chain(Path(folder), rate_kbps=RATE_KBPS, loss=case.loss, redundancy=case.redundancy, **shape) as (_, swarm),
        ):
            startups_ms = [startup_ms(swarm) for _ in range(STARTS)]
            received_at_least(swarm, PACKETS)
            line = last_line(swarm)
            counts = {name: swarm.parts[name].stop()["streams"]["news"] for name in ("p", "n2", "n1", "s")}
        print(f"{case!s:<34}{_row(startups_ms, line, case, counts)}", flush=True)


def _row(startups_ms: list[float], line: dict[str, float], case: Case, counts: dict[str, dict[str, int]]) -> str:
    def total(name: str) -> int:
        return sum(each.get(name, 0) for each in counts.values())

    media = total("data_sent_bytes")
    extra = total("parity_sent_bytes") + total("data_repeated") * media / max(total("data_sent"), 1)
    values = [
        f"{statistics.median(startups_ms):.0f}",
        f"{statistics.quantiles(startups_ms, n=20)[18]:.0f}",
        f"{line['delay_p95_ms'] / HOPS - case.delay_ms:.1f}",
        f"{line['received']:.0f}",
        f"{total('packets_missing')}",
        f"{total('packets_restored')}",
        f"{line['lost']:.0f}",
        f"{extra / media:.1%}",
    ]
    return "".join(f"{value:>{width}}" for value, width in zip(values, COLUMNS.values(), strict=True))


def startup_ms(swarm: Swarm) -> float:
    """Stop the player and start it again."""
    eventually(lambda: swarm.parts["p"].lines)
    swarm.parts["p"].stop()
    swarm.start("play", "p", "--stream", "news")
    eventually(lambda: swarm.parts["p"].printed("received") and last_line(swarm)["startup_ms"] is not None, every_s=0.1)
    return last_line(swarm)["startup_ms"]
