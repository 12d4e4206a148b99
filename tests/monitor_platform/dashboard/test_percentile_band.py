"""The band behind the timeline's first line: the exact values at the 10th and the 90th percentile of each step."""

import pytest

from feedback_analysis.measures.selection import Span
from monitor_platform.dashboard import percentile_band as bands
from monitor_platform.dashboard.percentile_band import band, has_band
from tests.harness.logs import BEGIN_MS, record

TEN_S = 10_000


def rates(values, *, at_ms=BEGIN_MS, weights=()):
    """A message of each of as many sessions, a rate in each."""
    weighted = [*weights, *[1] * (len(values) - len(weights))]
    return [
        record(received_ms=at_ms, session_id=f"s{n}", peer_id=f"p{n}", seq=at_ms, upload_kbps=value, weight=weight)
        for n, (value, weight) in enumerate(zip(values, weighted, strict=True))
    ]


def of(table, measure="upload_kbps", *, to_ms=BEGIN_MS + 2 * TEN_S, **where):
    return band(table, measure=measure, span=Span(BEGIN_MS, to_ms), step_s=10, where=where)


def test_each_step_has_its_own_tenth_and_ninetieth_percentile(table_of):
    found = of(table_of(rates(range(1, 11)), rates(range(101, 201), at_ms=BEGIN_MS + TEN_S)))
    assert (found.at_ms, found.low, found.high) == ((BEGIN_MS + TEN_S, BEGIN_MS + 2 * TEN_S), (1, 110), (9, 190))


def test_a_step_without_messages_has_no_band(table_of):
    found = of(table_of(rates([5.0], at_ms=BEGIN_MS + TEN_S)))
    assert (found.low, found.high) == ((None, 5), (None, 5))


def test_messages_count_by_their_weight(table_of):
    found = of(table_of(rates([1.0, 2.0], weights=[1, 99])))
    assert (found.low[0], found.high[0]) == (2, 2)


def test_a_filter_restricts_the_band(table_of):
    sent = [each | {"isp": "HGC" if each["upload_kbps"] < 5 else "PCCW"} for each in rates(range(1, 11))]
    assert of(table_of(sent), isp="HGC").high[0] == 4


def test_a_number_in_extra_has_a_band(table_of):
    sent = [each | {"extra": {"rtt_ms": 10 * number}} for number, each in enumerate(rates(range(1, 11)))]
    assert of(table_of(sent), "extra.rtt_ms").high[0] == 80


def test_a_session_counts_once_if_it_has_one_value(table_of):
    sent = [record(received_ms=BEGIN_MS + seq, session_id="a", seq=seq, startup_ms=900) for seq in range(50)]
    sent += [record(received_ms=BEGIN_MS, session_id=f"s{n}", startup_ms=100 + n) for n in range(9)]
    assert of(table_of(sent), "startup_ms").high[0] == 108


def test_a_time_range_with_too_many_values_to_sort_has_no_band(table_of, monkeypatch):
    table = table_of(rates(range(1, 12)))
    monkeypatch.setattr(bands, "MOST_MESSAGES", 10)
    assert of(table) is None
    assert of(table, isp="nobody").high == (None, None)


@pytest.mark.parametrize("measure", ["mos", "startup_ms", "extra.rtt_ms"])
def test_measures_of_single_messages_or_sessions_have_a_band(measure):
    assert has_band(measure)


@pytest.mark.parametrize("measure", ["contribution_ratio", "total_peers", "messages"])
def test_ratios_and_counts_have_no_band(measure):
    assert not has_band(measure)
