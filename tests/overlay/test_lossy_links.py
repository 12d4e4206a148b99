"""5 % loss on each of three links, both ways: lost packets are sent again, and the delay stays small.

The figures of many starts are in `benchmarks/overlay_loss.py`.
"""

from pathlib import Path

import pytest

from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces
from tests.overlay.lossy_chain import LOSS, last_line, lossy_chain, received_at_least
from tests.overlay.paired_parity import missed, paired_streams
from tests.overlay.swarm import Swarm

pytestmark = [needs_namespaces, needs("drop_filter")]


def complete(swarm: Swarm, share: float) -> dict[str, float] | None:
    """The player's last line, if at most this share is missing. A packet counts as lost as long as it is on its way."""
    line = last_line(swarm)
    return line if line["lost"] <= share * line["received"] else None


@pytest.mark.parametrize(
    ("packets", "rate_kbps", "share"), [(400, 2000, 0.05), pytest.param(20_000, 4000, 0.001, marks=pytest.mark.soak)]
)
def test_lost_packets_are_sent_again_on_the_link_that_lost_them(packets: int, rate_kbps: float, share: float, tmp_path: Path):
    """Without repair, 14 % would be missing."""
    with lossy_chain(tmp_path, rate_kbps=rate_kbps) as (_, swarm):
        received_at_least(swarm, packets)
        line = eventually(lambda: complete(swarm, share))
        stopped = swarm.parts["p"].stop()
    counts = stopped["streams"]["news"]
    print(f"{packets} packets: {line}; {counts}")
    assert counts["packets_missing"] > packets * LOSS / 2, "the lab lost nothing"
    # A packet that is late because a node had to wait for the processor is given up, and still arrives.
    assert counts["packets_repaired"] > counts["packets_missing"] / 2
    assert line["depth"] == 3


@pytest.mark.soak
def test_over_the_same_lossy_link_a_stream_with_parity_misses_fewer_packets_than_one_without(tmp_path: Path):
    """The player's buffer is shorter than a round trip, so a packet that is sent again comes too late."""
    with paired_streams(tmp_path) as swarm:
        found = missed(swarm, 4000)
        counts = swarm.parts["p"].stop()["streams"]
    lost = {stream: counts[stream]["packets_missing"] for stream in found}
    print(f"missed: {found}; lost on the link: {lost}; restored: {counts['parity']['packets_restored']}")
    assert min(lost.values()) > 4000 * LOSS / 2, "the lab lost nothing"
    assert counts["parity"]["packets_restored"] > lost["parity"] / 2
    assert 0 < found["parity"] < 0.8 * found["plain"]
