"""PM_SYN, proved by a capture at the destinations instead of our own log."""

from itertools import pairwise

from tests.harness.waiting import eventually
from tests.measurement.echo_capture import EchoCapture
from tests.measurement.measurement_lab import start_agent, start_master, state, submit

DESTINATIONS = ["127.0.7.1", "127.0.7.2"]


def test_packets_of_two_agents_never_overlap_at_a_destination(serve, tmp_path):
    with EchoCapture() as capture:
        master = start_master(serve, tmp_path)
        for name in ("a1", "a2"):
            start_agent(serve, tmp_path, name, master.url)
        live = submit(
            master.url, technique="PING", agents=["ALL"], destinations=DESTINATIONS, parameters={"count": 8, "interval_ms": 50}
        )
        eventually(lambda: state(master.url, live["id"])["state"] == "done")
    assert state(master.url, live["id"])["statuses"] == {"ok": 4}
    for destination in DESTINATIONS:
        spans = sorted((min(times), max(times)) for (address, _), times in capture.arrivals.items() if address == destination)
        assert len(spans) == 2  # one ICMP id for each agent
        assert all(len(times) == 8 for (address, _), times in capture.arrivals.items() if address == destination)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
