"""The kill switch with real agents that probe, proved by a capture at their destinations."""

import time

import pytest

from tests.harness.waiting import eventually
from tests.measurement.echo_capture import EchoCapture
from tests.measurement.measurement_lab import assert_sums, call, probes_of, start_agent, start_master, state, submit

MINUTES = {"technique": "PING", "parameters": {"count": 1000, "interval_ms": 100}, "time_limit_s": 300.0}
"""An operation that sends ten packets per second, until something ends it."""


def last_packet_after_the_switch(serve, folder, count: int) -> float:
    """Seconds from the switch to the last packet of `count` agents; half of them run their own queue."""
    destinations = [f"127.0.8.{number + 1}" for number in range(count)]
    with EchoCapture() as capture:
        master = start_master(serve, folder)
        agents = [start_agent(serve, folder, f"a{number}", master.url) for number in range(count)]
        requests = [
            submit(
                master.url,
                agents=[f"a{number}"],
                destinations=[destination],
                schedule="PM_RAN" if number % 2 else "PM_SYN",
                **MINUTES,
            )
            for number, destination in enumerate(destinations)
        ]
        for destination in destinations:
            eventually(lambda at=destination: len(capture.at(at)) > 3, f"packets at {destination}")
        pressed = time.monotonic()
        assert call(master.url, "PUT", "/v1/kill-switch", on=True)[1] == {"on": True}
        eventually(lambda: not any(map(probes_of, agents)), "the end of all processes that measure")
        ended = time.monotonic()
        time.sleep(0.5)  # five packets of each agent, if it still sent
    arrivals = [each for destination in destinations for each in capture.at(destination)]
    assert not [each for each in arrivals if each > ended + 0.2]  # the capture may see a packet late
    for request in requests:
        found = state(master.url, request["id"])
        assert (found["state"], found["statuses"]) == ("stopped", {"cancelled": 1})
        assert_sums(found)
    return max(arrivals) - pressed


def test_no_agent_sends_a_packet_after_the_kill_switch(serve, tmp_path):
    last_packet_after_the_switch(serve, tmp_path, 2)


@pytest.mark.soak
def test_the_kill_switch_stops_six_agents_within_a_second(serve, tmp_path):
    assert last_packet_after_the_switch(serve, tmp_path, 6) < 1
