"""The techniques against known links and other tools, in their long form: repeated, under load, and side by side."""

import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from measurement.operation import Technique
from measurement.outcome import Outcome
from netlab import Lab
from tests.harness.waiting import eventually
from tests.measurement.techniques import cross_traffic
from tests.measurement.techniques.labs import answer_every_probe, chain, executed, operation, shape_for_trains, values
from tests.measurement.techniques.test_paths_under_load import ROUTERS, path_with_slow_link, probed
from tests.measurement.techniques.test_responder import TOKEN, measured, responder_at
from tests.measurement.techniques.test_services import Phone, udp_server
from tests.netlab.labs import needs, needs_namespaces, two_nodes

pytestmark = [needs_namespaces, pytest.mark.soak]
RATE_KBPS = 20_000
IP_SHARE = 528 / 542
"""tbf and the counters count the Ethernet header too."""
REPETITIONS = 7


def tool(name: str) -> str:
    """The path of another tool; without it, the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def printed_at(lab: Lab, node: str, *command: str) -> str:
    process = lab.start(node, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return process.communicate(timeout=120)[0]


@contextmanager
def other_traffic(lab: Lab, kbps: float) -> Iterator[None]:
    """Poisson traffic on the link r1-r2 only."""
    with lab.socket("r2") as sink:
        sink.bind(("", 9))
        if kbps:
            target, before = lab.address("r2", "r1-r2"), lab.counters("r1", "r1-r2").sent_packets
            lab.start("r1", [sys.executable, cross_traffic.__file__, target, "9", str(kbps)])
            eventually(lambda: lab.counters("r1", "r1-r2").sent_packets > before + 100, "traffic before it is measured")
        yield


def under_load(lab: Lab) -> tuple[Outcome, float]:
    """An outcome of IGI, and the bandwidth that the other traffic really left meanwhile, in kbit/s at the IP layer."""
    before, begin = lab.counters("r1", "r1-r2").sent_bytes, time.monotonic()
    outcome = measured(lab, Technique.IGI, "src", "dst")
    taken = lab.counters("r1", "r1-r2").sent_bytes - before - values(outcome).get("packets", 0) * 542
    return outcome, (RATE_KBPS - taken * 8 / 1e3 / (time.monotonic() - begin)) * IP_SHARE


@needs("tbf")
@pytest.mark.parametrize(("load", "bound"), [(0.0, 0.10), (0.25, 0.15), (0.5, 0.20), (0.75, 0.25)])
def test_the_available_bandwidth_is_within_the_bound_of_its_load(load, bound):
    errors = []
    with Lab(chain(100_000, RATE_KBPS, 100_000)) as lab:
        shape_for_trains(lab)
        with other_traffic(lab, load * RATE_KBPS * IP_SHARE):
            for _ in range(REPETITIONS):
                outcome, truth = under_load(lab)
                if outcome.status == "ok":
                    found = values(outcome)
                    errors.append(found["available_kbps"] / truth - 1)
                    assert found["igi_kbps"] <= found["capacity_kbps"]
                    assert found["capacity_kbps"] == pytest.approx(RATE_KBPS * IP_SHARE, rel=0.03)
    print(f"load {load:.0%}: errors of the available bandwidth {[f'{error:+.1%}' for error in errors]}")
    assert len(errors) >= REPETITIONS // 2
    assert abs(statistics.median(errors)) <= bound


@needs("tbf")
@pytest.mark.parametrize("rate_kbps", [5_000, 20_000, 80_000])
def test_the_capacity_is_within_three_percent(rate_kbps):
    found = []
    with Lab(chain(None, rate_kbps)) as lab:
        shape_for_trains(lab)
        for _ in range(5):
            outcome = measured(lab, Technique.IGI, "src", "dst")
            ip_share = 528 / 542 if rate_kbps < 40_000 else 1500 / 1514  # larger packets on the fast link
            found.append(values(outcome)["capacity_kbps"] / (rate_kbps * ip_share) - 1)
    print(f"{rate_kbps} kbit/s: errors {[f'{error:+.1%}' for error in found]}")
    assert abs(statistics.median(found)) <= 0.03


@needs("tbf")
@pytest.mark.parametrize("place", range(2, ROUTERS + 1))
def test_the_bottleneck_is_found_at_every_place(place):
    with path_with_slow_link(place) as lab:
        found = [values(probed(lab, Technique.PATHNECK)).get("bottleneck_ttl") for _ in range(2)]
    print(f"slow link {place}: {found}")
    assert place in found  # a train that the machine disturbed gives no verdict, not a wrong one
    assert {each for each in found if each is not None} == {place}


@needs("tbf")
def test_without_a_bottleneck_no_later_hop_is_named():
    with path_with_slow_link(0) as lab:
        found = [values(probed(lab, Technique.PATHNECK)).get("bottleneck_ttl") for _ in range(3)]
    print(f"no slow link: {found}")
    assert sum(ttl in (None, 1, 2) for ttl in found) >= 2


@needs("packet_sockets")
def test_the_round_trip_time_is_that_of_fping():
    fping = tool("fping")
    with Lab(two_nodes(delay_ms=20)) as lab:
        with lab.inside("a"):
            ours = values(executed(operation(Technique.PING, lab.address("b"), count=50, interval_ms=20)))
        theirs = printed_at(lab, "a", fping, "-q", "-p", "20", "-t", "500", "-C", "50", lab.address("b"))
    times_ms = [float(text) for text in re.findall(r"\d+\.\d+", theirs.partition(" : ")[2])]
    print(f"fping {statistics.median(times_ms):.2f} ms, ours {ours['rtt_median_ms']:.2f} ms")
    assert len(times_ms) == 50
    assert abs(ours["rtt_median_ms"] - statistics.median(times_ms)) < 1


def test_the_route_is_that_of_scamper():
    scamper = tool("scamper")
    with Lab(chain(None, None, None, None)) as lab:
        answer_every_probe(lab)
        with lab.inside("src"):
            ours = [hop.address for hop in executed(operation(Technique.TRACEROUTE, lab.address("dst"))).hops]
        printed = printed_at(lab, "src", scamper, "-O", "json", "-I", f"trace -P udp-paris {lab.address('dst')}")
    trace = next(found for line in printed.splitlines() if line[:1] == "{" and (found := json.loads(line))["type"] == "trace")
    assert ours == [hop["addr"] for hop in trace["hops"]]


@needs("packet_sockets")
def test_the_round_trips_of_a_call_are_those_of_irtt():
    irtt = tool("irtt")
    with Lab(two_nodes(delay_ms=20)) as lab:
        lab.start("b", [irtt, "server", "-b", f"{lab.address('b')}:2112"], stdout=subprocess.DEVNULL)
        ours = values(measured(lab, Technique.RTP, "a", "b", packets=100))
        command = (irtt, "client", "-i", "20ms", "-d", "2s", "-l", "172", "-q", "-o", "-", lab.address("b"))
        printed = printed_at(lab, "a", *command)
    stats = json.loads(printed[printed.index("{") :])["stats"]
    theirs_ms = stats["rtt"]["median"] / 1e6
    print(f"irtt {theirs_ms:.2f} ms, ours {ours['rtt_median_ms']:.2f} ms")
    assert abs(ours["rtt_median_ms"] - theirs_ms) < 1.5


def test_sipsak_reaches_the_server_that_we_reach(tmp_path: Path):
    sipsak = tool("sipsak")
    phone = Phone(OPTIONS=(200,))
    with udp_server(phone.answer) as port:
        ours = executed(operation(Technique.SIP_OPTIONS, "127.0.0.1", port=port))
        theirs = subprocess.run([sipsak, "-s", f"sip:a@127.0.0.1:{port}"], capture_output=True, timeout=60, check=False)
    assert (ours.status, theirs.returncode) == ("ok", 0)


def test_tshark_understands_our_sip_request(tmp_path: Path):
    tshark = tool("tshark")
    with Lab(two_nodes()) as lab, lab.socket("b") as server:
        server.bind((lab.address("b"), 5060))

        def answer() -> None:
            data, sender = server.recvfrom(9000)
            for response in Phone(OPTIONS=(200,)).answer(data):
                server.sendto(response, sender)

        with lab.capture("a", "a-b", tmp_path / "a.pcap", header_bytes=2000), lab.inside("a"):
            thread = threading.Thread(target=answer)
            thread.start()
            assert executed(operation(Technique.SIP_OPTIONS, lab.address("b"))).status == "ok"
            thread.join()
    fields = ("sip.Method", "sip.CSeq.method", "sip.Via.branch", "sip.Status-Code", "_ws.malformed")
    command = [tshark, "-r", str(tmp_path / "a.pcap"), "-Y", "sip", "-T", "fields"]
    command += [part for name in fields for part in ("-e", name)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [row[0] for row in rows] == ["OPTIONS", ""]
    assert rows[1][3] == "200"
    assert all(row[1] == "OPTIONS" and row[2].startswith("z9hG4bK") and not row[4] for row in rows)


@needs("tbf")
def test_iperf3_and_the_trains_find_the_same_capacity():
    iperf3 = tool("iperf3")
    with Lab(chain(100_000, RATE_KBPS)) as lab:
        shape_for_trains(lab)
        trains = values(measured(lab, Technique.IGI, "src", "dst"))["capacity_kbps"]
        lab.start("dst", [iperf3, "--server"], stdout=subprocess.DEVNULL)
        with responder_at(lab, "dst") as responder, lab.inside("src"):
            order = operation(Technique.THROUGHPUT, lab.address("dst"), responder_port=responder.port, token=TOKEN, seconds=3)
            rate = values(executed(order))["throughput_kbps"]
    print(f"trains {trains:.0f} kbit/s, iperf3 {rate:.0f} kbit/s")
    assert 0.8 * trains < rate < 1.05 * trains
