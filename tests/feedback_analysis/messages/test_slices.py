"""The data of the overview and the crossfilter: slices with trouble, failed starts, and the peers of a range."""

import random
from itertools import pairwise

import pytest

from feedback_analysis.measures.histogram import histogram
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.missing import missing
from feedback_analysis.messages.slices import slices
from tests.harness.logs import BEGIN_MS, record

ALL = Span(BEGIN_MS, BEGIN_MS + 10**6)


def audience(chance: random.Random, peers: int = 60) -> list[dict]:
    """Peers with one to three sessions each, of which a third watches at half the continuity over one ISP."""
    return [
        record(
            peer_id=f"p{peer}",
            session_id=f"p{peer}-{view}",
            received_ms=BEGIN_MS + seq,
            seq=seq,
            weight=1 + peer % 2,
            isp="slow" if peer % 3 == 0 else "fast",
            channel=f"ch{view}",
            playback_kbps=800,
            continuity=round(chance.uniform(0.4, 0.6) if peer % 3 == 0 else chance.uniform(0.9, 1), 3),
            startup_ms=3000 if peer % 3 == 0 else 500 + peer,
        )
        for peer in range(peers)
        for view in range(1 + peer % 3)
        for seq in range(3)
    ]


@pytest.mark.parametrize("measure", ["continuity", "startup_ms", "mos"])
def test_the_impact_of_a_slice_is_its_peers_times_its_difference_from_the_rest(table_of, measure):
    table = table_of(audience(random.Random(1)))
    found = {(each.dimension, each.name): each for each in slices(table, measure=measure, span=ALL)}
    slow = found["isp", "slow"]
    own = summarize(table, span=ALL, where={"isp": "slow"})
    rest = summarize(table, span=ALL, where={"isp": "fast"})
    assert (slow.peers, slow.sessions) == (own["peers"], 20)
    assert slow.mean == pytest.approx(own[measure]["mean"])
    assert slow.rest == pytest.approx(rest[measure]["mean"])
    assert slow.impact == pytest.approx(slow.peers * abs(slow.mean - slow.rest))
    assert slow.impact > 0
    assert found["isp", "fast"].impact == 0
    assert next(iter(found)) == ("isp", "slow")


def test_a_slice_is_thin_below_25_sessions(table_of):
    found = {each.name: each.thin for each in slices(table_of(audience(random.Random(1))), measure="mos", span=ALL)}
    assert (found["ch0"], found["ch2"]) == (False, True)


@pytest.mark.parametrize("measure", ["mos", "startup_ms"])
def test_every_bar_of_a_histogram_is_a_filter_that_keeps_its_peers(table_of, measure):
    table = table_of(audience(random.Random(2)))
    bars = histogram(table, measure=measure, span=ALL, where={"channel": "ch0"})
    assert sum(share > 0 for share in bars.shares) > 1
    for (low, high), share in zip(pairwise(bars.edges), bars.shares, strict=True):
        end = "" if high == bars.edges[-1] else high
        inside = summarize(table, span=ALL, where={"channel": "ch0", f"mean.{measure}": f"{low}..{end}"})
        assert inside["peers"] == pytest.approx(share * bars.peers)


def test_the_peers_of_a_range_are_those_of_its_own_span_whichever_span_is_requested(table_of):
    early, late = Span(BEGIN_MS, BEGIN_MS + 10), Span(BEGIN_MS + 10, BEGIN_MS + 20)
    table = table_of(
        [
            record(peer_id=name, session_id=name, seq=seq, received_ms=BEGIN_MS + seq * 10, continuity=value)
            for name, values in {"better": (0.1, 0.9), "worse": (0.9, 0.1)}.items()
            for seq, value in enumerate(values)
        ]
    )
    where = {"mean.continuity": f"0.5..@{early.from_ms}..{early.to_ms}"}
    assert summarize(table, span=late, where=where)["continuity"]["mean"] == 0.1


def test_values_can_be_excluded(table_of):
    table = table_of([record(peer_id=isp, session_id=isp, isp=isp) for isp in ("a", "b", '["c"]')])
    assert summarize(table, where={"not.isp": "a"})["peers"] == 2
    assert summarize(table, where={"not.isp": '["a", "b"]'})["peers"] == 1


@pytest.mark.parametrize(
    ("where", "advice"),
    [
        ({"mean.mos": "good"}, "such as 3..3.5"),
        ({"mean.mos": ".."}, "such as 3..3.5"),
        ({"mean.messages": "1..2"}, "not a measure of the histogram view"),
        ({"not.weather": "rain"}, "not a dimension to filter"),
    ],
)
def test_an_invalid_filter_is_refused(table_of, where, advice):
    with pytest.raises(ValueError, match=advice):
        summarize(table_of([record()]), where=where)


def test_a_gap_is_late_until_it_is_proved_and_lost_from_then_on(table_of):
    sent = [record(seq=seq, received_ms=BEGIN_MS + seq * 1000) for seq in (0, 1, 3, 4, 6)]
    table = table_of(sent)
    before, between, after = (missing(table, span=ALL, proved_ms=BEGIN_MS + at) for at in (2_000, 5_000, 6_001))
    assert [(each.lost, each.late) for each in (before, between, after)] == [(0, 2), (1, 1), (2, 0)]
    assert [(each.lost, each.late) for each in (missing(table, span=ALL),)] == [(2, 0)]
    summaries = [summarize(table, span=ALL, proved_ms=BEGIN_MS + at) for at in (2_000, 5_000, 6_001)]
    assert [(each["lost"], each["late"]) for each in summaries] == [(0, 2), (1, 1), (2, 0)]


def test_a_late_message_that_arrives_is_neither_late_nor_lost(table_of):
    table = table_of([record(seq=seq, received_ms=at) for seq, at in ((0, BEGIN_MS), (2, BEGIN_MS + 2_000), (1, BEGIN_MS + 9_000))])
    found = missing(table, span=ALL, proved_ms=BEGIN_MS + 5_000)
    assert (found.lost, found.late) == (0, 0)
