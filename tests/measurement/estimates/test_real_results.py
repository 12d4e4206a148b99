"""Results that other tools measured on the Internet, with the reading that their authors expect."""

import json
from pathlib import Path

import pytest

from feedback_analysis.measurements.traced_route import TracedRoute, route_of_hops
from measurement.estimates.multipath import probes_to_stop
from measurement.estimates.packet_loss import loss_ratio
from measurement.estimates.round_trips import summarize_round_trips

DATA = Path(__file__).parents[4] / "shared" / "data"
GLOBALPING, SCAMPER = DATA / "globalping", DATA / "mlab" / "Scamper1" / "valid.jsonl"
needs_globalping = pytest.mark.skipif(not GLOBALPING.exists(), reason="the results of Globalping are not on this machine")
needs_mlab = pytest.mark.skipif(not SCAMPER.exists(), reason="the traces of M-Lab are not on this machine")
PRINTED_TO = 0.05
"""Milliseconds: ping prints a delay with three digits, and computes with more."""


@needs_globalping
def test_the_summary_of_pings_is_that_of_ping_and_a_ping_without_answers_has_no_delay():
    read = 0
    for file in sorted(GLOBALPING.glob("*ping*.json")):
        result = json.loads(file.read_text("utf-8")).get("result", {})
        stats = result.get("stats", {})
        if stats.get("total") is None or "hops" in result:
            continue  # refused before the first packet
        delays = [each["rtt"] for each in result["timings"]]
        found = summarize_round_trips([*delays, *[None] * stats["drop"]])
        assert (found.sent, found.answered) == (stats["total"], stats["rcv"]), file.name
        for ours, theirs in ((found.min_ms, "min"), (found.mean_ms, "avg"), (found.max_ms, "max")):
            assert ours == (None if stats[theirs] is None else pytest.approx(stats[theirs], abs=PRINTED_TO)), file.name
        lost = loss_ratio(found.sent - found.answered, found.sent)
        assert lost.ratio == pytest.approx(stats["loss"] / 100, abs=0.001), file.name
        read += 1
    assert read >= 10


@needs_globalping
@pytest.mark.parametrize("name", ["mtr-success-raw", "ipv6-mtr-success-raw"])
def test_the_raw_output_of_mtr_gives_the_hops_that_its_reader_expects(name):
    """Lines `h PLACE ADDRESS` and `p PLACE MICROSECONDS SEQUENCE`; places count from 0."""
    lines = [line.split() for line in (GLOBALPING / f"{name}.txt").read_text("utf-8").splitlines()]
    hops = [(int(line[1]) + 1, line[2]) for line in lines if line and line[0] == "h"]
    result = json.loads((GLOBALPING / f"{name}.json").read_text("utf-8"))["result"]
    expected = [hop["resolvedAddress"] for hop in result["hops"]]
    last = max(ttl for ttl, _ in hops)
    found = route_of_hops(hops, dict(hops)[last], reached=False)
    assert found == TracedRoute(routers=tuple(expected[: last - 1]), reached=True)
    for place, hop in enumerate(result["hops"]):
        answers = [int(line[2]) / 1000 for line in lines if line and line[0] == "p" and int(line[1]) == place]
        assert summarize_round_trips(answers).mean_ms == (pytest.approx(hop["stats"]["avg"], abs=0.1) if answers else None)


@needs_mlab
def test_a_multipath_trace_of_scamper_stops_where_ours_does_and_its_silent_rest_is_not_known():
    [trace] = [each for each in map(json.loads, SCAMPER.read_text("utf-8").splitlines()) if each.get("type") == "tracelb"]
    assert trace["confidence"] == 95
    [first, second] = trace["nodes"]
    [[found]] = first["links"]
    flows = {probe["flowid"] for probe in found["probes"]}
    assert len(flows) == len(found["probes"]) == probes_to_stop(1), "one interface: no further one with 95 % confidence"
    assert [[each["addr"] for each in place] for place in second["links"]] == [["*"], ["*"]]
    hops = [(first["q_ttl"], first["addr"]), (2, found["addr"]), (3, None), (4, None)]
    route = route_of_hops(hops, trace["dst"], reached=False)
    assert route == TracedRoute(routers=(first["addr"], found["addr"]), reached=False)
