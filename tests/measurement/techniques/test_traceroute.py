"""TRACEROUTE on a chain, and on a diamond, where a trace without a constant flow invents links."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest

from measurement.operation import Technique
from measurement.outcome import Outcome
from measurement.techniques.task import ProbeSettings
from netlab import Lab, Topology, read_topology
from tests.measurement.techniques.labs import answer_every_probe, chain, executed, operation, two_paths, values
from tests.netlab.labs import needs, needs_namespaces

pytestmark = needs_namespaces
BRANCHES = (("src", "r1"), ("r1", "a1"), ("a1", "a2"), ("a2", "r4"), ("r1", "b1"), ("b1", "b2"), ("b2", "r4"), ("r4", "dst"))


def diamond() -> Topology:
    """Two branches of two routers each between `r1` and `r4`."""
    nodes = {name: {"forwards": name not in ("src", "dst")} for ends in BRANCHES for name in ends}
    return read_topology(json.dumps({"nodes": nodes, "links": [{"between": ends} for ends in BRANCHES]}))


def false_links(routes: Iterable[Sequence[str | None]], true_links: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The links that traces claim and that do not exist. A silent hop (None) claims no link."""
    claimed = {(one, other) for route in routes for one, other in pairwise(route) if one is not None and other is not None}
    return claimed - set(true_links)


def route(lab: Lab, outcome: Outcome) -> list[str | None]:
    """The hops by the names of their nodes."""
    names = {str(port.address.ip): node for node in lab.topology.nodes for port in lab.plan.ports_of(node)}
    return [names.get(hop.address or "") for hop in outcome.hops]


def traces(lab: Lab, mode: str, count: int) -> list[list[str | None]]:
    order = operation(Technique.TRACEROUTE, lab.address("dst"), mode=mode, attempts=1)
    with lab.inside("src"):
        return [["src", *route(lab, executed(order))] for _ in range(count)]


def balanced(lab: Lab) -> None:
    answer_every_probe(lab)
    two_paths(lab, "r1", lab.address("dst"), [lab.address("a1", "r1-a1"), lab.address("b1", "r1-b1")])


def test_paris_mode_invents_no_link_on_a_diamond_where_classic_mode_does():
    with Lab(diamond()) as lab:
        balanced(lab)
        paris, classic = traces(lab, "paris", 100), traces(lab, "classic", 100)
    assert false_links(paris, BRANCHES) == set()
    assert {trace[2] for trace in paris} == {"a1", "b1"}  # the flows of different traces take both branches
    assert all(trace[-1] == "dst" for trace in paris)
    assert false_links(classic, BRANCHES) == {("a1", "b2"), ("b1", "a2")}


def test_multipath_mode_finds_the_routers_of_both_branches():
    with Lab(diamond()) as lab:
        balanced(lab)
        with lab.inside("src"):
            outcome = executed(operation(Technique.TRACEROUTE, lab.address("dst"), mode="multipath"))
        found = list(zip([hop.ttl for hop in outcome.hops], route(lab, outcome), strict=True))
    assert set(found) == {(1, "r1"), (2, "a1"), (2, "b1"), (3, "a2"), (3, "b2"), (4, "r4"), (5, "dst")}
    assert {hop.sent for hop in outcome.hops if hop.ttl == 1} == {6}  # the stopping rule for one interface
    assert all(hop.sent >= 11 for hop in outcome.hops if hop.ttl in (2, 3))


def test_the_hops_have_round_trip_times_and_as_numbers(tmp_path):
    with Lab(chain(None, None, None)) as lab:
        answer_every_probe(lab)
        table = tmp_path / "as.txt"
        table.write_text(f"{lab.address('r1')}/32 64501\n{lab.address('r2')}/32 AS64502\n")
        with lab.inside("src"):
            outcome = executed(operation(Technique.TRACEROUTE, lab.address("dst")), ProbeSettings(as_table=str(table)))
        assert route(lab, outcome) == ["r1", "r2", "dst"]
    assert (outcome.status, outcome.quality) == ("ok", "good")
    assert [hop.as_number for hop in outcome.hops] == [64501, 64502, None]
    assert [(hop.sent, hop.answered, hop.icmp_type) for hop in outcome.hops] == [(3, 3, 11), (3, 3, 11), (3, 3, 3)]
    assert all(0 < hop.rtt_ms < 1000 for hop in outcome.hops)
    assert values(outcome)["reached"] == 1


@needs("drop_filter")
def test_a_silent_end_of_the_path_is_partial_and_the_trace_ends():
    with Lab(chain(None, None, None)) as lab:
        answer_every_probe(lab)
        lab.cut("r1-r2")
        with lab.inside("src"):
            outcome = executed(operation(Technique.TRACEROUTE, lab.address("dst"), attempts=1, window=4, gap_limit=2))
        assert route(lab, outcome) == ["r1"]
        lab.cut("src-r1")
        with lab.inside("src"):
            silent = executed(operation(Technique.TRACEROUTE, lab.address("dst"), attempts=1, gap_limit=2, timeout_ms=100))
    assert (outcome.status, outcome.reason) == ("partial", "after hop 1, nothing answered")
    assert (silent.status, silent.reason) == ("timeout_target", "no router and no destination answered")


def test_routers_that_limit_their_answers_give_a_degraded_trace():
    """The default of Linux: one ICMP error per second to the same address, after a burst of six."""
    with Lab(chain(None, None, None)) as lab, lab.inside("src"):
        outcome = executed(operation(Technique.TRACEROUTE, lab.address("dst"), attempts=10))
        assert route(lab, outcome) == ["r1", "r2", "dst"]
    assert outcome.quality == "degraded"
    assert "limit the rate" in outcome.reason


@pytest.mark.parametrize("content", ["10.0.0.0/8", None])
def test_an_as_table_that_cannot_be_read_is_named(tmp_path, content):
    table = tmp_path / "as.txt"
    if content:
        table.write_text(content)
    outcome = executed(operation(Technique.TRACEROUTE, "127.0.0.1"), ProbeSettings(as_table=str(table)))
    assert outcome.status == "refused"
    assert str(table) in outcome.reason
