"""The data of the map, the histogram and the filters."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.histogram import Histogram, histogram
from feedback_analysis.measures.regions import RegionValue, by_region
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import Span, UnknownDimension
from feedback_analysis.messages.choices import choices, extra_measures
from feedback_analysis.quality.mos import MosModel
from tests.feedback_analysis.measures.oracle import close, deduplicated, mean, oracle, scored, weight_of
from tests.harness.logs import BEGIN_MS, record, records

ALL = Span(BEGIN_MS, BEGIN_MS + 10**6)


@settings(max_examples=10)
@given(
    sent=records(), measure=st.sampled_from(["mos", "continuity", "startup_ms", "contribution_ratio", "total_peers", "messages"])
)
def test_each_region_is_measured_separately_and_no_peer_is_left_out(sent, measure, table_of, locator):
    regions = {}
    for each in deduplicated(sent):
        regions.setdefault(locator.locate(each["ip"]).district, []).append(each)
    found = by_region(table_of(sent), region="district", measure=measure, span=ALL)
    assert {each.region for each in found} == set(regions)
    for each in found:
        wanted = oracle(regions[each.region], MosModel())
        value = wanted["peers" if measure == "total_peers" else measure]
        assert each.peers == wanted["peers"]
        assert close(each.value, value["mean"] if isinstance(value, dict) else value)


def test_the_error_of_a_region_is_that_of_the_mean_of_its_peers(table_of):
    sent = [record(ip="", peer_id=str(at), session_id=str(at), upload_kbps=100.0 * at) for at in range(1, 6)]
    table = table_of([*sent, record(ip="1.64.160.7", peer_id="alone", session_id="alone", upload_kbps=7.0)])
    found = by_region(table, region="district", measure="upload_kbps", span=ALL, with_error=True)
    assert [each.error for each in found] == [pytest.approx(math.sqrt(25_000 / 5)), None]
    assert by_region(table, region="district", measure="total_peers", span=ALL, with_error=True)[0].error == math.sqrt(5)


def test_peers_that_cannot_be_located_are_a_region_too(table_of):
    found = by_region(table_of([record(ip="")]), region="area", measure="total_peers", span=ALL)
    assert found == [RegionValue("not located", 1, 1)]


def test_concurrent_peers_of_a_region_are_those_at_the_end_of_the_span(table_of):
    sent = [record(ip="", peer_id=str(at), session_id=str(at), received_ms=BEGIN_MS + at * 1000) for at in range(10)]
    span = Span(BEGIN_MS, BEGIN_MS + 10_000)
    assert by_region(table_of(sent), region="area", measure="concurrent_peers", span=span, period_s=5) == [
        RegionValue("not located", 4, 10)
    ]


EDGES = [0, 100, 850, 5000]


@settings(max_examples=10)
@given(sent=records())
def test_a_histogram_counts_a_peer_once_in_the_bar_of_its_own_mean(sent, table_of):
    peers = {}
    for each in deduplicated(sent):
        peers.setdefault(each["peer_id"], []).append(each)
    held = [Fraction(0)] * 3
    for messages in peers.values():
        value = mean([(each["upload_kbps"], each["weight"]) for each in messages if "upload_kbps" in each])
        if value is not None:
            held[0 if value < 100 else 1 if value < 850 else 2] += weight_of(messages)
    found = histogram(table_of(sent), measure="upload_kbps", span=ALL, edges=EDGES)
    assert found.peers == sum(held)
    assert all(close(share, weight / sum(held) if sum(held) else 0) for share, weight in zip(found.shares, held, strict=True))


def test_a_peer_that_always_reports_a_round_value_is_at_its_edge(table_of):
    table = table_of([record(seq=seq, continuity=0.9, weight=7.3) for seq in range(7)])
    assert histogram(table, measure="continuity", span=ALL, edges=[0, 0.9, 1]).shares == (0, 1)


def test_a_peers_startup_delay_is_the_last_that_it_reported(table_of):
    sent = [
        record(seq=0, received_ms=BEGIN_MS, startup_ms=5000),
        record(seq=0, session_id="t", received_ms=BEGIN_MS + 9, startup_ms=100),
    ]
    assert histogram(table_of(sent), measure="startup_ms", span=ALL, edges=[0, 1000, 10_000]).shares == (1, 0)


@settings(max_examples=10)
@given(sent=records(), measure=st.sampled_from([name for name, measure in MEASURES.items() if "histogram" in measure.views]))
def test_automatic_ranges_are_few_and_round_and_contain_every_peer(sent, measure, table_of):
    found = histogram(table_of(sent), measure=measure, span=ALL)
    assert len(found.shares) == max(0, len(found.edges) - 1) <= 21
    assert all(low < high for low, high in pairwise(found.edges))
    assert found.peers == 0 or sum(found.shares) == pytest.approx(1)


def test_the_score_is_always_drawn_from_1_to_5(table_of):
    edges = histogram(table_of([record(playback_kbps=850, continuity=1)]), measure="mos", span=ALL).edges
    assert (edges[0], edges[-1]) == (1, 5)


def test_one_outlier_does_not_flatten_the_histogram(table_of):
    sent = [record(peer_id=str(at), session_id=str(at), startup_ms=at * 10 if at else 2**50) for at in range(200)]
    found = histogram(table_of(sent), measure="startup_ms", span=ALL)
    assert found.edges[-1] <= 2000
    assert found.peers == 200


def test_a_histogram_without_peers_is_empty(table_of):
    assert histogram(table_of([record()]), measure="mos", span=ALL) == Histogram((), (), 0)


@pytest.mark.parametrize("edges", [[1], [1, 1], [2, 1]])
def test_edges_that_do_not_ascend_are_refused(edges, table_of):
    with pytest.raises(ValueError, match="ascend"):
        histogram(table_of(), measure="mos", span=ALL, edges=edges)


@pytest.mark.parametrize("measure", ["concurrent_peers", "nope", "extra."])
def test_a_measure_without_values_has_no_histogram(measure, table_of):
    with pytest.raises(ValueError, match="choose from mos"):
        histogram(table_of(), measure=measure, span=ALL)


def test_choices_are_ordered_by_their_number_of_messages(table_of):
    sent = [
        record(seq=seq, channel=name, weight=weight)
        for seq, (name, weight) in enumerate([("a", 1), ("a", 1), ("b", 10), (None, 1)])
    ]
    table = table_of(sent)
    assert choices(table, dimension="channel", span=ALL) == ["b", "a", "unknown"]
    assert choices(table, dimension="channel", span=ALL, where={"channel": "a"}) == ["a"]
    with pytest.raises(UnknownDimension):
        choices(table, dimension="nope")


def test_numbers_in_extra_are_found(table_of):
    sent = [{"codec": "av1", "live": True}, {"a.b": 1, "~/": 2.5}, {"a.b": -1, "codec": "h264"}, {}, None]
    table = table_of([record(session_id=f"s{at}", extra=extra) for at, extra in enumerate(sent)])
    assert extra_measures(table) == ["extra.a.b", "extra.~/"]


def test_scores_of_the_oracle_equal_those_of_the_table(table_of):
    sent = [record(playback_kbps=850, continuity=0.988)]
    assert scored(sent, MosModel())[0]["mos"] == pytest.approx(3.82, abs=0.005)
