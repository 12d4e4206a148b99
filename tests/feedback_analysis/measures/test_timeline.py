"""Each point of a curve agrees with its definition, counted one by one."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.quality.mos import MosModel
from tests.feedback_analysis.measures.oracle import close, deduplicated, mean, oracle, scored, weight_of
from tests.harness.logs import BEGIN_MS, record, records

SPANS = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(
    lambda at: Span(BEGIN_MS + at[0] * 1000, BEGIN_MS + sum(at) * 1000 + 500)
)


def weight_of_peers(sent):
    peers = {}
    for each in sent:
        peers.setdefault(each["peer_id"], []).append(each)
    return sum(map(weight_of, peers.values()))


def steps(span, step_s):
    begins = range(span.from_ms, span.to_ms, step_s * 1000)
    return [(begin, min(begin + step_s * 1000, span.to_ms)) for begin in begins]


@settings(max_examples=12)
@given(sent=records(weights=[1]) | records(weights=[10]), span=SPANS, step_s=st.integers(1, 20), period_s=st.integers(1, 40))
def test_concurrent_peers_are_those_heard_within_the_period(sent, span, step_s, period_s, table_of):
    table, known = table_of(sent), deduplicated(sent)
    found = timeline(table, measures=("concurrent_peers",), span=span, step_s=step_s, period_s=period_s)
    assert found.at_ms == tuple(end for _, end in steps(span, step_s))
    for at, value in zip(found.at_ms, found.values["concurrent_peers"], strict=True):
        assert value == weight_of_peers([each for each in known if at - period_s * 1000 < each["received_ms"] <= at])


@settings(max_examples=12)
@given(sent=records(), span=SPANS, step_s=st.integers(1, 20))
def test_other_peers_and_messages_are_counted_step_by_step(sent, span, step_s, table_of):
    table, known = table_of(sent), deduplicated(sent)
    names = ("messages", "total_peers", "new_peers", "cumulative_peers")
    found = timeline(table, measures=names, span=span, step_s=step_s, period_s=30).values
    for at, (begin, end) in enumerate(steps(span, step_s)):
        heard = [each for each in known if begin <= each["received_ms"] < end]
        before = {each["peer_id"] for each in known if each["received_ms"] < begin}
        new = {each["peer_id"] for each in heard} - before
        assert found["messages"][at] == sum(Fraction(each["weight"]) for each in heard)
        assert found["total_peers"][at] == weight_of_peers(heard)
        assert found["new_peers"][at] == weight_of_peers([each for each in known if each["peer_id"] in new])
        weights = {}
        for each in known:
            if span.from_ms <= each["received_ms"] < span.to_ms:
                weights.setdefault(each["peer_id"], []).append(each)
        so_far = [peer for peer, sent in weights.items() if min(each["received_ms"] for each in sent) < end]
        assert found["cumulative_peers"][at] == sum(weight_of(weights[peer]) for peer in so_far)


@settings(max_examples=8)
@given(sent=records(), span=SPANS, step_s=st.integers(1, 20))
def test_a_mean_at_a_step_is_the_summary_of_that_step(sent, span, step_s, table_of):
    table, known = table_of(sent), deduplicated(sent)
    names = ("mos", "continuity", "upload_kbps", "startup_ms", "contribution_ratio")
    found = timeline(table, measures=names, span=span, step_s=step_s, period_s=30).values
    for at, (begin, end) in enumerate(steps(span, step_s)):
        wanted = oracle([each for each in known if begin <= each["received_ms"] < end], MosModel())
        assert close(found["contribution_ratio"][at], wanted["contribution_ratio"])
        assert all(close(found[name][at], wanted[name]["mean"]) for name in names[:-1])


@settings(max_examples=8)
@given(sent=records(), span=SPANS, step_s=st.integers(1, 10), steps_in_window=st.integers(1, 5))
def test_a_moving_average_weighs_steps_by_their_content(sent, span, step_s, steps_in_window, table_of):
    known = scored(deduplicated(sent), MosModel())
    window_s = step_s * steps_in_window
    found = timeline(table_of(sent), measures=("mos",), span=span, step_s=step_s, period_s=30, window_s=window_s)
    for at, (begin, end) in zip(found.values["mos"], steps(span, step_s), strict=True):
        first = begin - (steps_in_window - 1) * step_s * 1000
        held = [each for each in known if first <= each["received_ms"] < end and each["mos"] is not None]
        assert close(at, mean([(each["mos"], each["weight"]) for each in held]))


@settings(max_examples=12)
@given(sent=records(), span=SPANS, step_s=st.integers(1, 20), latest_s=st.integers(1, 40))
def test_the_latest_values_are_those_of_the_end_of_the_time_range(sent, span, step_s, latest_s, table_of):
    table, names = table_of(sent), ("mos", "stalls_per_hour", "startup_ms", "longest_stall_ms")
    found = timeline(table, measures=names, span=span, step_s=step_s, period_s=30, latest_s=latest_s)
    end = Span(max(span.from_ms, span.to_ms - latest_s * 1000), span.to_ms)
    alone = timeline(table, measures=names, span=end, step_s=latest_s, period_s=30)
    assert found.latest == {name: values[-1] for name, values in alone.values.items()}
    assert timeline(table, measures=names, span=span, step_s=step_s, period_s=30).latest == {}


def test_a_window_does_not_average_with_the_time_before_recording(table_of):
    table = table_of([record(seq=seq, received_ms=BEGIN_MS + seq * 1000) for seq in range(10)])
    span = Span(BEGIN_MS, BEGIN_MS + 10_000)
    found = timeline(table, measures=("messages", "concurrent_peers"), span=span, step_s=1, period_s=5, window_s=5)
    assert set(found.values["messages"]) == {1}
    assert set(found.values["concurrent_peers"]) == {1}


def test_a_peer_heard_just_before_the_span_is_present_at_its_start(table_of):
    table = table_of([record(received_ms=BEGIN_MS - 29_000)])
    span = Span(BEGIN_MS, BEGIN_MS + 2000)
    found = timeline(table, measures=("concurrent_peers",), span=span, step_s=1, period_s=30.5)
    assert found.values["concurrent_peers"] == (1, 0)


def test_a_number_in_extra_is_a_measure(table_of):
    table = table_of([record(seq=seq, extra={"level": sent}) for seq, sent in enumerate([1, 2, "high", 1e300, True, "6"])])
    span = Span(BEGIN_MS, BEGIN_MS + 1000)
    assert timeline(table, measures=("extra.level",), span=span, step_s=1, period_s=1).values == {"extra.level": (3,)}


@pytest.mark.parametrize("name", [name for name, measure in MEASURES.items() if "timeline" in measure.views])
def test_every_measure_with_a_timeline_view_has_a_timeline_and_a_filter(name, table_of):
    sent = [record(seq=seq, channel="a" if seq % 2 else "b", received_ms=BEGIN_MS + seq * 1000, p2p_ratio=0.5) for seq in range(6)]
    span = Span(BEGIN_MS, BEGIN_MS + 6000)
    one = {"span": span, "step_s": 2, "period_s": 2, "measures": (name,)}
    assert timeline(table_of(sent), where={"channel": "a"}, **one) == timeline(table_of(sent[1::2]), **one)


def test_an_empty_span_has_no_points(table_of):
    found = timeline(table_of([record()]), measures=("mos", "messages"), span=Span(BEGIN_MS, BEGIN_MS), step_s=1, period_s=30)
    assert (found.at_ms, found.values) == ((), {"mos": (), "messages": ()})


@pytest.mark.parametrize(
    ("wrong", "expected_text"),
    [({"measures": ("nope",)}, "not a measure"), ({"step_s": 0.5}, "too short"), ({"span": Span(0, 10**13)}, "longer step")],
)
def test_an_invalid_query_is_refused(wrong, expected_text, table_of):
    asked = {"measures": ("mos",), "span": Span(0, 1000), "step_s": 1, "period_s": 30} | wrong
    with pytest.raises(ValueError, match=expected_text):
        timeline(table_of(), **asked)


def test_the_messages_of_all_steps_are_the_messages_of_the_span(table_of):
    table = table_of([record(seq=seq, received_ms=BEGIN_MS + seq * 333, weight=2.5) for seq in range(100)])
    span = Span(BEGIN_MS + 1000, BEGIN_MS + 20_500)
    found = timeline(table, measures=("messages",), span=span, step_s=3, period_s=30)
    assert sum(found.values["messages"]) == summarize(table, span=span)["messages"]
