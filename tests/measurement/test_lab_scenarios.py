"""The rules of the diagnosis on real networks with one fault: the right verdict, or "not enough evidence", never another one."""

import json
import sys
from collections.abc import Callable

import pytest

from feedback_analysis.diagnosis import Cause, Diagnosis, diagnose
from measurement.operation import Technique
from netlab import Lab, read_topology
from tests.harness.waiting import eventually
from tests.measurement.lab_scenarios import AGENTS, SIP, detour, drop_udp, measured, network, pings_and_traces, star, tcp_listener
from tests.measurement.techniques import cross_traffic
from tests.measurement.techniques.test_paths_under_load import SLOW, path_with_slow_link
from tests.measurement.techniques.test_responder import TOKEN, responder_at
from tests.netlab.labs import needs, needs_namespaces

pytestmark = [needs_namespaces, needs("drop_filter")]

LOSS = 0.25
SLOW_PLACE, FILLED = 4, 0.97
REPETITIONS, RIGHT = 10, 9
"""At least 90 % of the verdicts of a scenario are right."""

Blamed = set[tuple[Cause, str]]


def blamed(found: Diagnosis) -> Blamed:
    return {(verdict.cause, verdict.subject.text) for verdict in found.verdicts}


def lossy(lab: Lab, link: str) -> Diagnosis:
    """The diagnosis while a link loses packets."""
    lab.reshape(link, loss=LOSS)
    try:
        return diagnose(pings_and_traces(lab))
    finally:
        lab.reshape(link, loss=0.0)


def hop(lab: Lab, router: str, link: str) -> str:
    """The address that a trace from the other end of a link shows."""
    return lab.address(router, link)


def truth_of_losses(lab: Lab) -> dict[str, Blamed]:
    """For each link that becomes lossy: the cause, and the part of the network that the measurements can distinguish."""
    of_a, of_b = lab.address("core", "ra-core"), lab.address("core", "rb-core")
    return {
        "a-ra": {(Cause.AGENT_EDGE, f"from agent a up to {of_a}")},
        "rb-core": {(Cause.AGENT_EDGE, f"from agent b up to {of_b}")},
        "core-rd": {(Cause.SHARED_HOP, lab.address("rd", "core-rd"))},
        "rd-d": {(Cause.LAST_LINK, f"after {lab.address('rd', 'core-rd')} up to {lab.address('d')}")},
    }


def test_a_lossy_last_link_is_found_and_an_edge_is_not_mistaken_for_it():
    with network(star()) as lab:
        truth = truth_of_losses(lab)
        assert blamed(lossy(lab, "rd-d")) == truth["rd-d"]
        found = lossy(lab, "a-ra")
        assert {(cause, "agent a" in where) for cause, where in blamed(found)} == {(Cause.AGENT_EDGE, True)}
        assert diagnose(pings_and_traces(lab)).verdicts == ()


def test_without_paths_that_distinguish_the_links_there_is_no_verdict():
    with network(star()) as lab:
        lab.reshape("core-rd", loss=LOSS)
        found = diagnose(pings_and_traces(lab, agents=["a"], destinations=["d"]))
    assert found.verdicts == ()
    assert found.not_enough


def asked_often(lab: Lab, technique: Technique, **parameters: object) -> list:
    """Both agents ask d twelve times: so many successes prove that a service works."""
    address = lab.address("d")
    return [measured(lab, agent, address, technique, **parameters) for agent in AGENTS for _ in range(12)]


def resolver() -> bool:
    """No server listens on port 53."""
    with network(star()) as lab:
        failures = asked_often(lab, Technique.DNS, asked="www.example.org", timeout_ms=200)
        return blamed(diagnose(pings_and_traces(lab) + failures)) == {(Cause.RESOLVER, lab.address("d"))}


def tls() -> bool:
    """The server speaks no TLS."""
    with network(star()) as lab, tcp_listener(lab, "d", 443, b"HTTP/1.0 400 no\r\n\r\n"):
        failures = asked_often(lab, Technique.HTTP, scheme="https", lookup=False, timeout_ms=2000)
        return blamed(diagnose(pings_and_traces(lab) + failures)) == {(Cause.TLS, lab.address("d"))}


def rtp_loss() -> bool:
    """A firewall drops UDP. SIP over TCP works, and so does PING."""
    with network(star()) as lab, tcp_listener(lab, "d", 5060, SIP), responder_at(lab, "d") as responder:
        before = pings_and_traces(lab)
        drop_udp(lab, "rd")
        calls = asked_often(lab, Technique.SIP_OPTIONS, transport="tcp", timeout_ms=1000)
        call = {"port": responder.port, "token": TOKEN, "packets": 50}
        media = [measured(lab, agent, lab.address("d"), Technique.RTP, **call) for agent in AGENTS]
        return blamed(diagnose(before + calls + media)) == {(Cause.RTP_LOSS, lab.address("d"))}


def routing_change() -> bool:
    """The router r1 sends packets over the slow detour from now on."""
    nodes = {name: {"forwards": name[0] == "r"} for name in ("a", "r1", "r2", "r3", "d")}
    slow = {"between": ["r1", "r3"], "delay_ms": 15}
    others = [["a", "r1"], ["r1", "r2"], ["r3", "r2"], ["r2", "d"]]
    described = {"nodes": nodes, "links": [slow, *({"between": ends} for ends in others)]}
    with network(read_topology(json.dumps(described))) as lab:
        address = lab.address("d")
        earlier = [measured(lab, "a", address, Technique.PING, count=10, interval_ms=10) for _ in range(5)]
        earlier.append(measured(lab, "a", address, Technique.TRACEROUTE, timeout_ms=300))
        detour(lab, "r1", address, lab.address("r3", "r1-r3"))
        now = [measured(lab, "a", address, Technique.PING, count=10, interval_ms=10) for _ in range(3)]
        now.append(measured(lab, "a", address, Technique.TRACEROUTE, timeout_ms=300))
        return blamed(diagnose(now, earlier=earlier)) == {(Cause.ROUTING_CHANGE, f"route from a to {address}")}


def traces(lab: Lab, number: int) -> list:
    return [measured(lab, "src", lab.address("dst"), Technique.TRACEROUTE, timeout_ms=500) for _ in range(number)]


def trains(lab: Lab) -> list:
    """PATHNECK, until an operation gives a verdict: a busy machine disturbs some."""
    with responder_at(lab, "dst") as responder:
        call = {"port": responder.port, "token": TOKEN, "max_ttl": 10}
        return [measured(lab, "src", lab.address("dst"), Technique.PATHNECK, **call) for _ in range(2)]


def slow_hop(lab: Lab) -> str:
    return lab.address(f"r{SLOW_PLACE}", f"r{SLOW_PLACE - 1}-r{SLOW_PLACE}")


def capacity() -> bool:
    """A link was always slow."""
    with path_with_slow_link(SLOW_PLACE) as lab:
        earlier = traces(lab, 5)
        return blamed(diagnose(trains(lab) + traces(lab, 3), earlier=earlier)) == {(Cause.CAPACITY, f"link into {slow_hop(lab)}")}


def congestion() -> bool:
    """Other traffic fills a link from now on."""
    before, after = f"r{SLOW_PLACE - 1}", f"r{SLOW_PLACE}"
    with path_with_slow_link(SLOW_PLACE) as lab:
        earlier = traces(lab, 5)
        with lab.socket(after) as sink:
            sink.bind(("", 9))
            target = lab.address(after, f"{before}-{after}")
            lab.start(before, [sys.executable, cross_traffic.__file__, target, "9", str(SLOW * FILLED)])
            eventually(lambda: any(each.rtt_ms is not None and each.rtt_ms > 8 for each in traces(lab, 1)[0].hops), within_s=30)
            found = diagnose(trains(lab) + traces(lab, 3), earlier=earlier)
    return blamed(found) == {(Cause.CONGESTION, f"link into {slow_hop(lab)}")}


def destination() -> bool:
    """A host with two links loses what it sends on both."""
    ends = ("a-ra", "b-rb", "ra-core", "rb-core", "core-e", "ra-d", "rb-d")
    nodes = {name: {"forwards": name in ("ra", "rb", "core")} for link in ends for name in link.split("-")}
    described = {"nodes": nodes, "links": [{"between": link.split("-")} for link in ends]}
    with network(read_topology(json.dumps(described))) as lab:
        address = lab.address("d", "ra-d")
        detour(lab, "rb", address, lab.address("d", "rb-d"))
        for link in ("ra-d", "rb-d"):
            lab.reshape(link, loss=LOSS, direction="back")
        return blamed(diagnose(pings_and_traces(lab, destinations=("d", "e")))) == {(Cause.DESTINATION, address)}


def loss_of(link: str) -> Callable[[], bool]:
    def right() -> bool:
        with network(star()) as lab:
            return blamed(lossy(lab, link)) == truth_of_losses(lab)[link]

    return right


SCENARIOS = {
    "a lossy edge of an agent": loss_of("a-ra"),
    "a lossy shared link": loss_of("core-rd"),
    "a lossy last link": loss_of("rd-d"),
    "a lossy host": destination,
    "a resolver that does not answer": resolver,
    "a server without TLS": tls,
    "a firewall that drops RTP": rtp_loss,
    "a slower route": routing_change,
    "a slow link": capacity,
    "a link full of other traffic": congestion,
}


def test_every_cause_has_a_scenario():
    losses = {Cause.AGENT_EDGE, Cause.SHARED_HOP, Cause.LAST_LINK}
    others = {Cause.DESTINATION, Cause.RESOLVER, Cause.TLS, Cause.RTP_LOSS, Cause.ROUTING_CHANGE, Cause.CAPACITY, Cause.CONGESTION}
    assert losses | others == {*Cause}
    assert len(SCENARIOS) == len(Cause)


@pytest.mark.soak
@pytest.mark.parametrize("name", SCENARIOS)
def test_nine_of_ten_verdicts_are_right(name):
    right = sum(SCENARIOS[name]() for _ in range(REPETITIONS))
    print(f"{name}: {right} of {REPETITIONS} right")
    assert right >= RIGHT
