"""PATHNECK, BROUTE, and iperf3 under load, on chains whose slowest link is known."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from measurement.operation import Technique
from measurement.outcome import Outcome
from measurement.techniques import pathneck
from measurement.techniques.task import ProbeSettings
from netlab import Lab
from tests.harness.waiting import eventually
from tests.measurement.techniques.labs import answer_every_probe, chain, executed, operation, set_in, shape_for_trains, values
from tests.measurement.techniques.test_responder import TOKEN, responder_at
from tests.netlab.labs import needs, needs_namespaces

pytestmark = needs_namespaces
FAST, SLOW = 100_000, 20_000
ROUTERS = 6


@contextmanager
def path_with_slow_link(place: int) -> Iterator[Lab]:
    """A chain of six routers, whose link number `place` (from 1) is slow."""
    with Lab(chain(*[SLOW if number == place else FAST for number in range(1, ROUTERS + 2)])) as lab:
        shape_for_trains(lab)
        answer_every_probe(lab)
        yield lab


def probed(lab: Lab, technique: Technique, settings: ProbeSettings | None = None, **parameters: int) -> Outcome:
    with responder_at(lab, "dst") as responder, lab.inside("src"):
        order = operation(technique, lab.address("dst"), port=responder.port, token=TOKEN, max_ttl=10, **parameters)
        return executed(order, settings or ProbeSettings())


@needs("tbf")
def test_the_bottleneck_is_found_at_the_slow_link():
    with path_with_slow_link(4) as lab:
        outcome = probed(lab, Technique.PATHNECK, trains=6)
    found = values(outcome)
    assert outcome.status == "ok"
    assert found["bottleneck_ttl"] == 4
    assert found["bottleneck_kbps"] == pytest.approx(SLOW, rel=0.1)
    assert [hop.ttl for hop in outcome.hops] == [1, 2, 3, 4, 5, 6]
    assert outcome.hops[3].bound == "upper"
    assert found["trains_judged"] >= 5


@needs("tbf")
def test_the_branch_at_the_destination_has_its_ases_and_its_bandwidth(tmp_path: Path):
    with path_with_slow_link(5) as lab:
        routers = [lab.address(f"r{number}") for number in range(1, ROUTERS + 1)]
        table = tmp_path / "as.txt"
        table.write_text("".join(f"{address}/32 {64_500 + place // 2}\n" for place, address in enumerate(routers)))
        outcome = probed(lab, Technique.BROUTE, ProbeSettings(as_table=str(table)), edge_hops=4, trains=6)
    found = {value.name: value for value in outcome.values}
    assert outcome.status == "ok"
    assert found["branch_ases"].method == "AS path: 64501 64502 *"
    assert found["branch_hops"].value == 4
    assert found["branch_kbps"].value == pytest.approx(SLOW, rel=0.1)
    assert outcome.hops[-1].icmp_type == 3  # the destination


@contextmanager
def routers_that_answer_once() -> Iterator[Lab]:
    """The default of Linux, with a longer pause: a router answers the first packet of a train, and then none for a minute."""
    with Lab(chain(*[None] * (ROUTERS + 1))) as lab:
        for node in lab.topology.nodes:
            set_in(lab, node, {"ipv4/icmp_ratelimit": "60000", "ipv4/icmp_msgs_per_sec": "1000000"})
        yield lab
        assert {answers_of(lab, f"r{number}") for number in range(1, ROUTERS + 1)} == {1}


def answers_of(lab: Lab, router: str) -> int:
    """How many packets a router has answered because their TTL ended."""
    with lab.inside(router):
        names, counts = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Icmp:"))
    return int(dict(zip(names, counts, strict=True))["OutTimeExcds"])


def test_routers_that_limit_their_answers_give_no_verdict_and_no_hang():
    with routers_that_answer_once() as lab:
        outcome = probed(lab, Technique.PATHNECK, trains=5, timeout_ms=300)
    assert outcome.status == "partial"
    assert "fewer than 5 with the same route have 4 hops with a gap" in outcome.reason
    assert values(outcome)["hops_without_gap"] == ROUTERS


def test_routers_that_answered_only_a_rejected_train_are_known(monkeypatch: pytest.MonkeyPatch):
    """On a busy machine, the first train may have holes. Its answers then spend what the routers allow."""
    monkeypatch.setattr(pathneck, "LONGEST_SEND_GAP_NS", -1)
    with routers_that_answer_once() as lab:
        outcome = probed(lab, Technique.PATHNECK, trains=1, timeout_ms=100)
        routers = [lab.address(f"r{number}") for number in range(1, ROUTERS + 1)]
    assert values(outcome)["trains_rejected"] == values(outcome)["trains"] > 1
    assert outcome.status == "partial"
    assert [hop.address for hop in outcome.hops] == routers


def test_techniques_state_what_they_need():
    assert "measurement-responder" in executed(operation(Technique.PATHNECK, "127.0.0.1")).reason
    assert executed(operation(Technique.PATHNECK, "::1")).reason == "PATHNECK works with IPv4 only"
    assert "as_table" in executed(operation(Technique.BROUTE, "127.0.0.1")).reason


@contextmanager
def iperf_server(lab: Lab) -> Iterator[int]:
    """iperf3 at the destination, for one measurement after the other."""
    program = shutil.which("iperf3")
    if program is None:
        pytest.skip("iperf3 is not installed")
    lab.start("dst", [program, "--server", "--port", "5201"], stdout=subprocess.DEVNULL)
    with lab.inside("src"):
        eventually(lambda: executed(operation(Technique.TCP_SEND, lab.address("dst"), port=5201, wait_ms=0)).status == "ok")
    yield 5201


def loaded(lab: Lab, technique: Technique, **parameters: int | str) -> Outcome:
    with iperf_server(lab) as port, responder_at(lab, "dst") as responder, lab.inside("src"):
        order = operation(technique, lab.address("dst"), port=port, responder_port=responder.port, token=TOKEN, **parameters)
        return executed(order)


@needs("tbf")
@pytest.mark.soak
def test_the_throughput_is_that_of_the_slow_link():
    with Lab(chain(FAST, SLOW)) as lab:
        outcome = loaded(lab, Technique.THROUGHPUT, seconds=2)
    assert outcome.status == "ok"
    assert 0.7 * SLOW < values(outcome)["throughput_kbps"] < SLOW


@needs("tbf")
@pytest.mark.soak
def test_a_queue_that_fills_makes_fewer_round_trips_per_minute():
    with Lab(chain(FAST, SLOW, queue_ms=100)) as lab:
        outcome = loaded(lab, Technique.RESPONSIVENESS, seconds=3, protocol="udp", limit_kbps=30_000)
    found = values(outcome)
    assert outcome.status == "ok"
    assert found["rtt_median_loaded_ms"] is None or found["rtt_median_loaded_ms"] > found["rtt_median_idle_ms"] + 20
    assert found["round_trips_per_minute_loaded"] < found["round_trips_per_minute_idle"] / 2
    assert found["loss_ratio_idle"] == 0


def test_without_iperf3_the_reason_names_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with Lab(chain(None)) as lab, responder_at(lab, "dst") as responder, lab.inside("src"):
        order = operation(Technique.THROUGHPUT, lab.address("dst"), responder_port=responder.port, token=TOKEN)
        outcome = executed(order)
    assert (outcome.status, outcome.reason) == ("refused", "THROUGHPUT needs the program iperf3, which the agent does not have")
