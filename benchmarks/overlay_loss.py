"""A player of the overlay behind three links in a lab: startup, delay and losses, without loss and with 5 % on each link.

The links have no delay of their own, so the whole delay is what three nodes, the repairs and this machine add. The startup is
the time from the request for the stream to playback, with a buffer of 1 s; each start is a new process.
"""

import statistics
import tempfile
from pathlib import Path

from tests.harness.waiting import eventually
from tests.overlay.lossy_chain import LOSS, last_line, lossy_chain, received_at_least
from tests.overlay.swarm import Swarm

STARTS = 20
PACKETS = 10_000
RATE_KBPS = 2000.0
HOPS = 3


def main() -> None:
    """Print a row without and with loss."""
    print(f"{'':<16}{'startup':>16}{'':>9}{'delay per hop':>15}{'':>9}{'lost on':>9}")
    print(f"{'loss of a link':<16}{'p50 ms':>16}{'p95 ms':>9}{'p95 ms':>15}{'packets':>9}{'a link':>9}{'lost':>6}", flush=True)
    for loss in (0.0, LOSS):
        with (
            tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder,
            lossy_chain(Path(folder), rate_kbps=RATE_KBPS, loss=loss) as (_, swarm),
        ):
            startups_ms = [startup_ms(swarm) for _ in range(STARTS)]
            received_at_least(swarm, PACKETS)
            line = last_line(swarm)
            missing = sum(swarm.parts[name].stop()["streams"]["news"].get("packets_missing", 0) for name in ("p", "n2", "n1"))
        p95_ms = statistics.quantiles(startups_ms, n=20)[18]
        print(
            f"{loss:<16.0%}{statistics.median(startups_ms):>16.0f}{p95_ms:>9.0f}{line['delay_p95_ms'] / HOPS:>15.1f}"
            f"{line['received']:>9.0f}{missing:>9}{line['lost']:>6.0f}",
            flush=True,
        )


def startup_ms(swarm: Swarm) -> float:
    """Stop the player and start it again."""
    eventually(lambda: swarm.parts["p"].lines)
    swarm.parts["p"].stop()
    swarm.start("play", "p", "--stream", "news")
    eventually(lambda: swarm.parts["p"].printed("received") and last_line(swarm)["startup_ms"] is not None, every_s=0.1)
    return last_line(swarm)["startup_ms"]
