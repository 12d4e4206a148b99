"""How regularly the clock of a transport stream (PCR) arrives behind four links of the overlay: TR 101 290, 2.3a.

All nodes run on the loopback interface. The player checks the stream as it plays it, so an interval includes the lateness of all
processes on the way.
"""

import tempfile
from pathlib import Path

from benchmarks.goals import load, verdict
from tests.harness.waiting import eventually
from tests.overlay.test_media_in_a_swarm import film_behind_four_links

INTERVALS = 2000
"""About 45 s."""
MOST = 0.01
"""The relays of the MoQ benchmark had 13 to 26 %."""


def main() -> None:
    """Print the share of intervals above 40 ms."""
    with (
        tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder,
        film_behind_four_links(Path(folder), seconds=3) as (player, _),
    ):
        eventually(lambda: player.printed("ts")[-1]["ts"]["pcr_intervals"] > INTERVALS, within_s=300, every_s=0.5)
        found = player.printed("ts")[-1]["ts"]
    share = found.get("pcr_repetition_error", 0) / found["pcr_intervals"]
    print(f"{'PCR intervals':>14}{'above 40 ms':>13}{'goal':>6}")
    print(f"{found['pcr_intervals']:>14}{share:>13.2%}{MOST:>6.0%}  {verdict(share=(share, MOST))}; {load()}", flush=True)
