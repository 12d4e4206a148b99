"""PING against links whose delay and loss are known."""

import socket
import struct
from pathlib import Path
from statistics import median

import pytest
from pyroute2 import IPRoute

from measurement.operation import Technique
from measurement.techniques.kernel_sockets import receive_all, stamp_arrivals, waited_ms
from netlab import CapturedFrame, Lab, read_capture
from tests.measurement.techniques.labs import answer_every_probe, chain, executed, operation, values
from tests.netlab.labs import needs, needs_namespaces, two_nodes

pytestmark = needs_namespaces
ICMP = 14 + 20
"""Where the ICMP header begins in a frame."""


def echo_times(path: Path, kind: int) -> dict[int, int]:
    """When the echo packets of this ICMP type passed, in ns, by their sequence number."""
    frames: list[CapturedFrame] = [each for each in read_capture(path) if each.header[ICMP] == kind]
    return {struct.unpack_from("!H", frame.header, ICMP + 6)[0]: frame.time_ns for frame in frames}


@needs("packet_sockets")
def test_the_round_trip_time_is_that_of_the_wire_within_a_millisecond(tmp_path: Path):
    """A busy machine delays frames for longer than the link does, so the truth is what a capture saw at the same moment."""
    with Lab(two_nodes(delay_ms=20)) as lab, lab.capture("a", "a-b", tmp_path / "a.pcap"), lab.inside("a"):
        outcome = executed(operation(Technique.PING, lab.address("b"), count=15, interval_ms=10))
    requests, replies = echo_times(tmp_path / "a.pcap", 8), echo_times(tmp_path / "a.pcap", 0)
    on_the_wire_ms = [(replies[number] - requests[number]) / 1e6 for number in sorted(requests)]
    measured = values(outcome)
    print(f"on the wire {median(on_the_wire_ms):.3f} ms, measured {measured['rtt_median_ms']:.3f} ms")
    assert outcome.status == "ok"
    assert measured["rtt_min_ms"] >= 40
    assert abs(measured["rtt_median_ms"] - median(on_the_wire_ms)) < 1
    assert measured["reply_ttl"] == 64


@needs("drop_filter")
def test_the_loss_is_exactly_what_the_link_dropped():
    with Lab(two_nodes(loss=0.15)) as lab:
        with lab.inside("a"):
            outcome = executed(operation(Technique.PING, lab.address("b"), count=100, interval_ms=10))
        dropped = sum(lab.counters(node, "a-b").filter_dropped for node in "ab")
    measured = values(outcome)
    assert dropped > 0
    assert measured["packets_sent"] - measured["packets_answered"] == dropped
    assert outcome.status == "partial"
    assert outcome.reason == f"{100 - dropped} of 100 packets were answered"
    assert measured["loss_ratio_low"] < measured["loss_ratio"] == dropped / 100 < measured["loss_ratio_high"]


@needs("drop_filter")
def test_a_destination_behind_a_cut_link_times_out_and_has_no_delay():
    with Lab(two_nodes()) as lab:
        lab.cut("a-b")
        with lab.inside("a"):
            outcome = executed(operation(Technique.PING, lab.address("b"), count=2, interval_ms=10, timeout_ms=100))
    assert outcome.status == "timeout_target"
    assert outcome.reason == "none of 2 packets was answered within 100 ms"
    assert values(outcome)["rtt_mean_ms"] is None
    assert values(outcome)["loss_ratio"] == 1.0


def test_the_router_that_cannot_forward_is_named():
    with Lab(chain(None, None)) as lab:
        answer_every_probe(lab)
        router = lab.address("r1", "src-r1")
        with lab.inside("src"), IPRoute() as routes:
            routes.route("add", dst="192.0.2.0/24", gateway=router)
            outcome = executed(operation(Technique.PING, "192.0.2.1", count=2, interval_ms=10))
    assert outcome.status == "unreachable"
    assert outcome.reason == f"{router} answers: Network is unreachable"


def test_the_time_limit_ends_an_operation_with_what_was_measured():
    outcome = executed(operation(Technique.PING, "127.0.0.1", count=100, interval_ms=100, time_limit_s=1.0))
    assert outcome.status == "timeout_agent"
    assert 0 < values(outcome)["packets_answered"] < 100


@pytest.mark.parametrize("address", ["not an address", "localhost"])
def test_a_destination_without_an_address_is_refused(address):
    assert executed(operation(Technique.PING, address)).status == "refused"


def test_ipv6_is_measured_too():
    outcome = executed(operation(Technique.PING, "::1", count=2, interval_ms=10))
    assert outcome.status == "ok" or "route" in outcome.reason  # a machine without IPv6


def test_a_step_of_the_system_clock_falsifies_no_round_trip():
    assert waited_ms(10**18, 10**18 + 12_000_000, 12.4) == 12.0
    for step_ns in (3600 * 10**9, -3600 * 10**9):
        assert waited_ms(10**18, 10**18 + 12_000_000 + step_ns, 12.4) == 12.4


def test_a_closed_socket_is_an_error_and_no_endless_loop():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        stamp_arrivals(sock, errors=True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        list(receive_all(sock, errors=True))
