"""5 % loss on each of three links, both ways: lost packets are sent again, and the delay stays small.

The figures of many starts are in `benchmarks/overlay_loss.py`.
"""

from pathlib import Path

import pytest

from tests.netlab.labs import needs, needs_namespaces
from tests.overlay.lossy_chain import LOSS, last_line, lossy_chain, received_at_least

pytestmark = [needs_namespaces, needs("drop_filter")]


@pytest.mark.parametrize("packets", [1500, pytest.param(20_000, marks=pytest.mark.soak)])
def test_lost_packets_are_sent_again_on_the_link_that_lost_them(packets: int, tmp_path: Path):
    with lossy_chain(tmp_path, rate_kbps=4000) as (_, swarm):
        received_at_least(swarm, packets)
        line, stopped = last_line(swarm), swarm.parts["p"].stop()
    counts = stopped["streams"]["news"]
    print(f"{packets} packets: {line}; {counts}")
    assert counts["packets_missing"] > packets * LOSS / 2, "the lab lost nothing"
    assert counts["packets_repaired"] >= 0.99 * counts["packets_missing"] - 10
    assert line["lost"] <= 0.001 * line["received"] + 10  # ten may be on their way
    assert line["depth"] == 3
