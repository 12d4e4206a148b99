"""One scenario for each rule of the diagnosis, and what it answers when the evidence does not suffice."""

import re
from pathlib import Path

import pytest

from feedback_analysis.diagnosis import RULES, Cause, Confidence, ViewerQuality, diagnose
from feedback_analysis.measurements.measured_operations import MeasuredHop
from tests.feedback_analysis.diagnosis.scenarios import Measurements

ROOT = Path(__file__).parents[3]
SERVER, OTHER = "203.0.113.9", "198.51.100.7"


def only_verdict(operations, **more):
    verdicts = diagnose(operations, **more).verdicts
    assert len(verdicts) == 1, verdicts
    return verdicts[0]


def missing(operations, **more) -> str:
    diagnosis = diagnose(operations, **more)
    assert diagnosis.verdicts == ()
    return "\n".join(f"{each.about.text}: {each.missing}" for each in diagnosis.not_enough)


def star(lossy: set[tuple[str, str]], *, own_last_links: bool = False) -> Measurements:
    """Agents a and b, each behind a router of its own; the core r; destinations behind one router each."""
    found = Measurements()
    for agent in ("a", "b"):
        for address, last in ((SERVER, "r-server"), (OTHER, "r-other")):
            last_router = f"{last}-{agent}" if own_last_links else last
            found.path(agent, address, f"r-{agent}", "r", last_router, lost=30 if (agent, address) in lossy else 0, isp=agent)
    return found


def test_the_destination_is_to_blame_if_its_lossy_paths_share_nothing_else():
    verdict = only_verdict(star({("a", SERVER), ("b", SERVER)}, own_last_links=True))
    assert (verdict.cause, verdict.subject.text, verdict.subject.destination) == (Cause.DESTINATION, SERVER, SERVER)
    assert verdict.confidence is Confidence.MEDIUM


def test_the_last_link_is_to_blame_if_the_lossy_paths_share_it():
    verdict = only_verdict(star({("a", SERVER), ("b", SERVER)}))
    assert (verdict.cause, verdict.subject.text) == (Cause.LAST_LINK, f"after r up to {SERVER}")
    assert (verdict.confidence, verdict.alternatives) == (Confidence.HIGH, ())
    lossy = [each for each in verdict.evidence if each.shows_problem]
    assert [(each.operation_ids, each.numbers["bad"], each.numbers["total"]) for each in lossy] == [
        (("now-0", "now-1"), 30, 100),
        (("now-4", "now-5"), 30, 100),
    ]
    assert {each for evidence in verdict.evidence for each in evidence.operation_ids} == {f"now-{number}" for number in range(8)}


def test_the_last_link_is_to_blame_if_others_reach_the_destination_by_another_one():
    verdict = only_verdict(star({("a", SERVER)}, own_last_links=True))
    assert (verdict.cause, verdict.subject.text) == (Cause.LAST_LINK, f"after r on the way to {SERVER}")


def test_the_edge_of_an_agent_is_to_blame_if_only_its_paths_are_lossy():
    verdict = only_verdict(star({("a", SERVER), ("a", OTHER)}))
    assert (verdict.cause, verdict.subject.agent, verdict.subject.text) == (Cause.AGENT_EDGE, "a", "from agent a on the way to r")
    assert (verdict.confidence, verdict.alternatives) == (Confidence.HIGH, ())


def test_a_shared_hop_is_to_blame_if_all_lossy_paths_pass_it_and_no_clean_path_does():
    operations = star({("a", SERVER), ("b", SERVER)})
    operations.path("a", "192.0.2.1", "r-a", "r", "r-server", lost=30)
    verdict = only_verdict(operations)
    assert (verdict.cause, verdict.subject.text, verdict.subject.address) == (
        Cause.SHARED_HOP,
        "after r up to r-server",
        "r-server",
    )
    assert verdict.confidence is Confidence.MEDIUM
    assert [each.text for each in verdict.alternatives] == ["after r-server up to 192.0.2.1", f"after r-server up to {SERVER}"]


def test_a_hop_that_lossy_paths_enter_and_leave_by_different_links_is_to_blame():
    operations = star(set())
    operations.path("a", "192.0.2.1", "r-a", "bad", "x1", lost=40)
    operations.path("b", "192.0.2.2", "r-b", "bad", "x2", lost=40)
    verdict = only_verdict(operations)
    assert (verdict.cause, verdict.subject.text, verdict.subject.address) == (Cause.SHARED_HOP, "bad", "bad")
    assert len(verdict.alternatives) == 2


def test_a_resolver_is_to_blame_if_queries_fail_and_its_address_answers():
    operations = Measurements()
    operations.ping("a", SERVER)
    for _ in range(2):
        operations.add("a", "DNS", SERVER, status="timeout_target")
    verdict = only_verdict(operations)
    assert (verdict.cause, verdict.subject.address, verdict.confidence) == (Cause.RESOLVER, SERVER, Confidence.MEDIUM)
    assert set(verdict.evidence[0].operation_ids) == {"now-0", "now-1", "now-2"}
    assert "PING of the address" in missing(operations[1:])
    assert diagnose(operations[:2]).verdicts == (), "one query is no evidence"


def test_an_agents_own_resolver_is_to_blame_if_names_fail_and_tcp_works():
    operations = Measurements()
    for _ in range(2):
        operations.add("a", "HTTP", SERVER, {"dns_ms": None, "tcp_ms": 3.0, "http_status": 200})
    verdict = only_verdict(operations)
    assert (verdict.cause, verdict.subject.agent) == (Cause.RESOLVER, "a")


def test_an_unknown_name_is_an_answer_of_a_resolver():
    operations = Measurements()
    operations.ping("a", SERVER)
    for _ in range(4):
        operations.add("a", "DNS", SERVER, {"rcode": 3})
    assert diagnose(operations).verdicts == ()


def test_tls_is_to_blame_if_tcp_connects_and_the_handshake_fails():
    operations = Measurements()
    for agent in ("a", "a", "b", "b"):
        operations.add(agent, "HTTP", SERVER, {"tcp_ms": 3.0, "tls_ms": None}, status="partial")
    verdict = only_verdict(operations)
    assert (verdict.cause, verdict.subject.destination, verdict.confidence) == (Cause.TLS, SERVER, Confidence.HIGH)
    assert verdict.because == "2 agents agree"
    assert diagnose(operations[:1]).verdicts == ()


def delays(prefix: str, rtt_ms: float, *routers: str, times: int = 5, **rtts_ms: float) -> Measurements:
    found = Measurements(prefix)
    for _ in range(times):
        found.ping("a", SERVER, rtt_ms=rtt_ms)
        found.trace("a", SERVER, *routers, rtts_ms=rtts_ms)
    return found


def test_a_change_of_the_route_is_to_blame_if_the_delay_rose_with_it():
    earlier = delays("earlier", 20.0, "r1", "r2")
    verdict = only_verdict(delays("now", 60.0, "r1", "r9", "r2"), earlier=earlier)
    assert (verdict.cause, verdict.subject.agent) == (Cause.ROUTING_CHANGE, "a")
    assert verdict.evidence[0].numbers == {"now_ms": 60.0, "earlier_ms": 20.0}
    assert diagnose(delays("now", 21.0, "r1", "r9", "r2"), earlier=earlier).verdicts == ()
    assert diagnose(delays("now", 60.0, "r1", "r2"), earlier=earlier).verdicts == ()
    assert "a TRACEROUTE now" in missing([each for each in delays("now", 60.0) if each.technique == "PING"], earlier=earlier)


def with_bottleneck(operations: Measurements, ttl: int = 2) -> Measurements:
    hops = [MeasuredHop(ttl=1, address="r1"), MeasuredHop(ttl=2, address="r2"), MeasuredHop(ttl=3, address="r3")]
    operations.add("a", "PATHNECK", SERVER, {"bottleneck_ttl": ttl, "bottleneck_kbps": 19_500}, hops=hops)
    return operations


def test_congestion_is_to_blame_if_gap_and_delay_grow_at_the_same_hop():
    earlier = delays("earlier", 20.0, "r1", "r2", "r3", r1=1, r2=2, r3=3)
    operations = with_bottleneck(delays("now", 60.0, "r1", "r2", "r3", r1=1, r2=42, r3=43))
    verdict = only_verdict(operations, earlier=earlier)
    assert (verdict.cause, verdict.subject.address) == (Cause.CONGESTION, "r2")
    assert verdict.evidence[0].numbers == {"now_ms": 42, "earlier_ms": 2, "bandwidth_kbps": 19_500}
    assert "delays of this hop by TRACEROUTE: 3 delays now and 5 earlier" in missing(operations)
    later = with_bottleneck(delays("now", 60.0, "r1", "r2", "r3", r1=1, r2=42, r3=43), ttl=3)
    assert "the hop before it" in missing(later, earlier=earlier)


def test_capacity_is_to_blame_if_the_gap_grows_and_the_delay_does_not():
    same = {"r1": 1, "r2": 2, "r3": 3}
    operations = with_bottleneck(delays("now", 20.0, "r1", "r2", "r3", **same))
    verdict = only_verdict(operations, earlier=delays("earlier", 20.0, "r1", "r2", "r3", **same))
    assert (verdict.cause, verdict.subject.address) == (Cause.CAPACITY, "r2")


def calls(*, lost: int, answers: int, failures: int = 0) -> Measurements:
    found = Measurements()
    found.add("a", "RTP", SERVER, {"packets_sent": 500, "packets_returned": 500 - lost})
    for _ in range(answers):
        found.add("a", "SIP_OPTIONS", SERVER, {"sip_status": 200})
    for _ in range(failures):
        found.add("a", "SIP_OPTIONS", SERVER, status="timeout_target")
    return found


def test_rtp_is_to_blame_if_its_packets_are_lost_and_sip_works():
    verdict = only_verdict(calls(lost=60, answers=12))
    assert (verdict.cause, verdict.subject.destination) == (Cause.RTP_LOSS, SERVER)
    assert diagnose(calls(lost=1, answers=12)).verdicts == ()
    assert diagnose(calls(lost=60, answers=1, failures=9)).verdicts == ()
    assert "12 SIP_OPTIONS with an answer; there are 2" in missing(calls(lost=60, answers=2))


def test_few_packets_are_not_enough_evidence():
    operations = Measurements()
    operations.path("a", SERVER, "r1", sent=20)
    assert missing(operations) == f"path from a to {SERVER}: more packets: 73 if none is lost; 0 of 20 were lost"
    operations[:1] = star({("a", OTHER), ("b", OTHER)})
    operations.ping("a", SERVER, lost=1, sent=1)
    assert all("lost 1 of 1" not in each.text for verdict in diagnose(operations).verdicts for each in verdict.evidence)


def test_one_lossy_path_alone_is_not_enough_evidence():
    operations = Measurements()
    operations.path("a", SERVER, "r1", "r2", lost=50)
    assert "paths of other agents" in missing(operations)


def test_a_lossy_path_without_a_route_is_not_enough_evidence():
    operations = star({("a", SERVER), ("b", SERVER)})
    assert "a TRACEROUTE of this path" in missing([each for each in operations if each.technique == "PING"])


def test_equally_small_explanations_are_candidates_and_no_verdict():
    """Two of the three pairs of lossy paths have a hop in common each, so two hops explain all three, in three ways."""
    operations = star(set())
    operations.path("a", "192.0.2.1", "r-a", "x", "y", lost=50)
    operations.path("a", "192.0.2.2", "r-a", "y2", "z", "x", lost=50)
    operations.path("b", "192.0.2.3", "r-b", "z", "y", lost=50)
    diagnosis = diagnose(operations)
    assert diagnosis.verdicts == ()
    assert {each.text for answer in diagnosis.not_enough for each in answer.candidates} >= {"x", "y", "z"}


def test_a_destination_that_only_ignores_ping_is_not_lossy():
    operations = Measurements()
    operations.path("a", SERVER, "r1", lost=100)
    operations.add("a", "HTTP", SERVER, {"tcp_ms": 3.0, "http_status": 200})
    assert "answers other techniques, but not PING" in missing(operations)


def test_a_trace_that_ends_at_the_problem_is_completed_by_an_earlier_one():
    operations, earlier = Measurements(), Measurements("earlier")
    for agent in ("a", "b"):
        operations.path(agent, SERVER, f"r-{agent}", "r", lost=100, reached=False)
        operations.path(agent, OTHER, f"r-{agent}", "r", "r-other")
        earlier.trace(agent, SERVER, f"r-{agent}", "r", "r-server")
    verdict = only_verdict(operations, earlier=earlier)
    assert (verdict.cause, verdict.subject.text) == (Cause.LAST_LINK, f"after r up to {SERVER}")
    assert only_verdict(operations).subject.text == verdict.subject.text


def test_silent_hops_lower_the_confidence_of_a_common_cause():
    operations = star(set())
    operations.path("a", "192.0.2.1", "r-a", None, "y", "y1", lost=50)
    operations.path("b", "192.0.2.2", "r-b", "x", "y", "y2", lost=50)
    verdict = only_verdict(operations)
    assert (verdict.subject.text, verdict.confidence) == ("y", Confidence.LOW)


def poor(isp: str, minutes: int = 3) -> list[ViewerQuality]:
    return [ViewerQuality(isp=isp, area="Kowloon", minute_ms=minute * 60_000, mos=2.1) for minute in range(minutes)]


def test_poor_quality_of_viewers_is_evidence_of_a_verdict_about_their_isp():
    operations = star({("a", SERVER), ("a", OTHER)})
    evidence = only_verdict(operations, viewers=poor("a")).evidence[-1]
    assert (evidence.text, evidence.numbers) == ("viewers of a in Kowloon have poor quality", {"minutes": 3, "lowest_mos": 2.1})
    assert only_verdict(operations, viewers=poor("a", 2)).evidence == only_verdict(operations).evidence


def test_poor_quality_without_a_measured_cause_asks_for_measurements():
    operations = star(set())
    assert "viewers of c: an agent with the tag isp=c" in missing(operations, viewers=poor("c"))
    assert "viewers of a: measurements of the addresses" in missing(operations, viewers=poor("a"))
    assert diagnose(operations, viewers=poor("a", 2)).not_enough == ()


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_one_rule_and_one_row_in_the_documentation(cause):
    assert [rule.cause for rule in RULES].count(cause) == 1
    rule = next(rule for rule in RULES if rule.cause == cause)
    page = (ROOT / "docs/diagnosis.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{cause}` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert row is not None
    assert row.groups() == (rule.condition, rule.evidence)
