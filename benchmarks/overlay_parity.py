"""What parity (FEC) changes for a player with a small buffer: two streams over the same lossy link at the same time."""

import tempfile
from pathlib import Path

from benchmarks.goals import load, verdict
from tests.overlay.paired_parity import BUFFER_MS, DELAY_MS, LOSS, STREAMS, missed, paired_streams

RUNS, PACKETS = 5, 3000
"""A run takes 16 s."""
MOST_MISSED = 0.8
"""Parity has to avoid at least a fifth of what is missed without it, as in the test of the same name."""


def main() -> None:
    """Print a row for each run."""
    print(
        f"link with {LOSS:.0%} loss, {DELAY_MS:.0f} ms each way; buffer {BUFFER_MS:.0f} ms; {PACKETS} packets of each stream a run"
    )
    print("".join(f"{'missed: ' + stream:>18}" for stream in STREAMS) + f"{'lost: plain':>14}{'lost: parity':>14}{'restored':>10}")
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, paired_streams(Path(folder)) as swarm:
        runs = [missed(swarm, PACKETS) for _ in range(RUNS)]
        counts = swarm.parts["p"].stop()["streams"]
    for run in runs:
        print("".join(f"{run[stream] / PACKETS:>18.2%}" for stream in STREAMS))
    lost = "".join(f"{counts[stream].get('packets_missing', 0):>14}" for stream in STREAMS)
    print(f"{'all runs':>36}{lost}{counts['parity'].get('packets_restored', 0):>10}")
    plain, parity = (sum(run[stream] for run in runs) for stream in STREAMS)
    share = parity / max(plain, 1)
    print(
        f"missed with parity, divided by without: {share:.2f}, goal {MOST_MISSED}  {verdict(missed=(share, MOST_MISSED))}; {load()}"
    )
