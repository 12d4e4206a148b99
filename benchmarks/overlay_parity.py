"""What parity (FEC) changes for a player with a small buffer: two streams over the same lossy link at the same time."""

import os
import tempfile
from pathlib import Path

from tests.overlay.paired_parity import BUFFER_MS, DELAY_MS, LOSS, STREAMS, missed, paired_streams

RUNS, PACKETS = 5, 3000


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
    print(f"{'all runs':>36}{lost}{counts['parity'].get('packets_restored', 0):>10}; load average {os.getloadavg()[0]:.1f}")
