"""20 relays and 60 players of the overlay at 1 Mbit/s on this machine: which losses does a lack of processor time cause?

Each node is a process, and all are on the loopback interface, so no link loses anything. The kernel drops what a process does not
read in time (`dropped`); such packets are sent again, and `lost` are those that stay missing. A source that is late sends fewer
packets. The processor time is that of all nodes during the measurement.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.goals import heading, load, verdict
from tests.harness.waiting import eventually
from tests.overlay.churn import swarm_on_loopback
from tests.overlay.swarm import Part, Swarm

RATE_KBPS = 1000.0
SIZES = [(5, 15, 20.0), (10, 30, 20.0), (20, 60, 60.0)]
"""Relays, players, and seconds of the measurement. The last row has the goal; the others show how the processor time grows."""


def main() -> None:
    """Print a row for each number of nodes."""
    columns = {"relays": 7, "players": 9, "packets": 10, "lost": 6, "goal": 6, "dropped": 9, "goal ": 6, "repaired": 10}
    columns |= {"source late": 13, "delay p95 ms": 14, "cores used": 12}
    print(heading(columns), flush=True)
    for relays, players, seconds in SIZES:
        with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
            print(_row(Path(folder), relays, players, seconds), flush=True)
    print(load(), flush=True)


def _topology(relays: list[str], players: list[str]) -> dict[str, Any]:
    """A few relays at the source, the others behind them, and players behind all; each node has a second way."""
    core, edge = relays[: max(len(relays) // 5, 2)], relays[max(len(relays) // 5, 2) :]
    nodes: dict[str, Any] = {"s": {"neighbors": core, "role": "source"}}
    nodes |= {name: {"neighbors": [core[place - 1]] if place else []} for place, name in enumerate(core)}
    for below, above in ((edge, core), (players, edge)):
        for place, name in enumerate(below):
            nodes[name] = {"neighbors": [above[place % len(above)], above[(place + 1) % len(above)]]}
    for name in relays:
        nodes[name]["max_children"] = 6
    for name in players:
        nodes[name]["role"] = "player"
    return {**nodes, "streams": {"news": {"source": "s", "rate_kbps": RATE_KBPS}}}


def _row(folder: Path, relay_count: int, player_count: int, seconds: float) -> str:
    relays, players = (
        [f"{kind}-{number:02}" for number in range(count)] for kind, count in (("r", relay_count), ("p", player_count))
    )
    with swarm_on_loopback(_topology(relays, players), relays, folder) as swarm:
        swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(RATE_KBPS))
        for name in players:
            swarm.start("play", name, "--stream", "news")
        eventually(lambda: all(_received(swarm.parts[name]) > 300 for name in players), within_s=300, every_s=1.0)
        before = {name: _last(swarm.parts[name]) for name in players}
        began_s, used_s = time.monotonic(), _processor_s(swarm)
        time.sleep(seconds)
        cores = (_processor_s(swarm) - used_s) / (time.monotonic() - began_s)
        after = {name: _last(swarm.parts[name]) for name in players}
        counts = [swarm.parts[name].stop() for name in (*players, *relays)]
        late = swarm.parts["s"].stop()["counts"].get("source_late", 0)
    packets, lost = (sum(after[name][of] - before[name][of] for name in players) for of in ("received", "lost"))
    dropped = sum(each["counts"].get("data_dropped_by_kernel", 0) for each in counts)
    repaired = sum(each["streams"]["news"].get("packets_repaired", 0) for each in counts if "news" in each["streams"])
    delay_ms = statistics.median(after[name]["delay_p95_ms"] for name in players)
    row = f"{relay_count:>7}{player_count:>9}{packets:>10}{lost:>6}{0:>6}{dropped:>9}{0:>6}{repaired:>10}{late:>13}"
    return f"{row}{delay_ms:>14.1f}{cores:>12.2f}  {verdict(lost=(lost, 0), dropped=(dropped, 0))}"


def _last(part: Part) -> dict[str, Any]:
    """Its last line. A packet that is still on its way counts as lost, so the least number of the last lines is what is lost."""
    lines = part.printed("received")[-3:]
    return lines[-1] | {"lost": min(line["lost"] for line in lines)}


def _received(part: Part) -> int:
    lines = part.printed("received")
    return int(lines[-1]["received"]) if lines else 0


def _processor_s(swarm: Swarm) -> float:
    """Of all nodes, the bootstrapper not included."""
    stats = (
        Path(f"/proc/{part.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        for part in swarm.parts.values()
    )
    return sum(int(each[11]) + int(each[12]) for each in stats) / 100
