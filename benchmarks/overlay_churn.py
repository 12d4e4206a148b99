"""Players of the overlay that live for 20 s on average, during five minutes: the losses of the players that run. All nodes run on
the loopback interface. Half of the players leave, half are killed, and many forward the stream to others.
"""

import tempfile
from pathlib import Path

from benchmarks.goals import heading, load, verdict
from tests.overlay.churn import MEAN_LIFE_S, lives

PLAYERS, SECONDS = 20, 300.0
MOST_LOST = 0.01


def main() -> None:
    """Print how many players ran, and how many packets they lost."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        found = lives(Path(folder), players=PLAYERS, seconds=SECONDS)
    print(f"{PLAYERS} players at once, mean lifetime {MEAN_LIFE_S:.0f} s, {SECONDS:.0f} s")
    columns = {"left": 6, "killed": 8, "without media": 15, "packets": 10, "lost": 7, "lost %": 8, "goal": 6}
    print(heading({**columns, "worst life %": 14, "stalls": 8}))
    print(
        f"{found.left:>6}{found.killed:>8}{found.without_media:>15}{found.received:>10}{found.lost:>7}{found.loss:>8.2%}"
        f"{MOST_LOST:>6.0%}{max(found.worst):>14.2%}{found.stalls:>8}  {verdict(lost=(found.loss, MOST_LOST))}"
    )
    print(load(), flush=True)
