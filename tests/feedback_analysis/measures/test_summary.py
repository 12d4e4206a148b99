"""The structure of a summary, compared with the same measures in plain Python."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.selection import Span, UnknownDimension
from feedback_analysis.measures.summary import summarize
from feedback_analysis.quality.mos import MosModel
from tests.feedback_analysis.measures.oracle import assert_same, deduplicated, lost, oracle, with_continuous_uptime
from tests.harness.logs import BEGIN_MS, record, records

FIELDS = [
    "messages",
    "duplicates",
    "conflicts",
    "unreadable",
    "lost",
    "late",
    "implausible",
    "peers",
    "sessions",
    "starts",
    "stalls",
    "contribution_ratio",
    "rebuffering_ratio",
    "stalls_per_hour",
    "stall_ms",
    "longest_stall_ms",
    "start_failures",
    "p2p_ratio",
    "upload_kbps",
    "download_kbps",
    "playback_kbps",
    "continuity",
    "startup_ms",
    "mos",
    "online_s_per_view",
    "online_s_per_peer",
]


def test_a_summary_has_the_documented_structure(table_of):
    summary = summarize(table_of([record(channel="a")]), by=("channel",))
    assert list(summary) == ["from", "to", *FIELDS, "groups", "groups_left_out"]
    assert list(summary["groups"][0]) == ["by", *FIELDS]
    assert summary["groups"][0]["by"] == {"channel": "a"}
    assert (summary["from"], summary["to"]) == (BEGIN_MS, BEGIN_MS + 1)


@settings(max_examples=12)
@given(sent=records())
def test_numbers_equal_those_of_plain_python(sent, table_of):
    assert_same(summarize(table_of(sent)), oracle(with_continuous_uptime(deduplicated(sent)), MosModel()))


@settings(max_examples=12)
@given(sent=records(weights=[10]))
def test_numbers_equal_those_of_plain_python_when_all_weights_are_equal(sent, table_of):
    assert_same(summarize(table_of(sent)), oracle(with_continuous_uptime(deduplicated(sent)), MosModel()))


@settings(max_examples=12)
@given(sent=records(), by=st.sampled_from([("channel",), ("channel", "via"), ("extra.codec",)]))
def test_each_group_is_a_summary_of_its_own(sent, by, table_of):
    def of(each, column):
        return (each.get("extra") or {}).get("codec", "unknown") if column == "extra.codec" else each.get(column) or "unknown"

    known = with_continuous_uptime(deduplicated(sent))
    summary = summarize(table_of(sent), by=by)
    names = {tuple(of(each, column) for column in by) for each in known}
    assert {tuple(group["by"].values()) for group in summary["groups"]} == names
    for group in summary["groups"]:
        assert_same(
            group, oracle([each for each in known if [of(each, column) for column in by] == list(group["by"].values())], MosModel())
        )
    order = [(-group["messages"], *group["by"].values()) for group in summary["groups"]]
    assert order == sorted(order)


@settings(max_examples=12)
@given(
    sent=records(), begin=st.integers(0, 120_000), length=st.integers(0, 120_000), channel=st.sampled_from([None, "a", "unknown"])
)
def test_a_span_and_a_filter_restrict_the_records(sent, begin, length, channel, table_of):
    span = Span(BEGIN_MS + begin, BEGIN_MS + begin + length)
    known = [each for each in deduplicated(sent) if span.from_ms <= each["received_ms"] < span.to_ms]
    known = with_continuous_uptime(known)
    if channel is not None:
        known = [each for each in known if each.get("channel", "unknown") == channel]
    summary = summarize(table_of(sent), span=span, where={} if channel is None else {"channel": channel})
    assert (summary["from"], summary["to"]) == (span.from_ms, span.to_ms)
    within = [each for each in deduplicated(sent) if span.from_ms <= each["received_ms"] < span.to_ms]
    assert summary["lost"] == lost(within, elsewhere=deduplicated(sent))
    assert_same(summary, oracle(known, MosModel()))


def test_an_end_host_sampled_one_in_ten_counts_as_ten(table_of):
    sent = [
        record(peer_id="a", session_id="a", weight=10, upload_kbps=100),
        record(peer_id="b", session_id="b", weight=1, upload_kbps=1200),
    ]
    summary = summarize(table_of(sent))
    assert (summary["messages"], summary["peers"], summary["sessions"]) == (11, 11, 11)
    assert summary["upload_kbps"] == {"mean": 200, "p50": 100, "p95": 1200}


def test_counts_are_integers_if_they_are_whole(table_of):
    whole, broken = summarize(table_of([record(weight=2.5), record(seq=1, weight=2.5)])), summarize(table_of([record(weight=2.5)]))
    assert (whole["messages"], type(whole["messages"])) == (5, int)
    assert broken["messages"] == 2.5


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 40, 59, 60, 100, 1000, 12_340])
def test_a_quantile_is_the_first_value_at_which_the_share_is_reached(count, table_of):
    table = table_of([record(seq=seq, upload_kbps=seq + 1) for seq in range(count)])
    assert summarize(table)["upload_kbps"] == {"mean": (count + 1) / 2, "p50": -(-count // 2), "p95": -(-19 * count // 20)}


def test_a_value_of_extra_is_a_filter_like_any_other(table_of):
    sent = [record(seq=seq, extra={"a/b~c": kind}) for seq, kind in enumerate(["x", "x", 1.5, True])] + [record(seq=9)]
    table = table_of(sent)
    groups = summarize(table, by=("extra.a/b~c",))["groups"]
    assert [(group["by"]["extra.a/b~c"], group["messages"]) for group in groups] == [
        ("x", 2),
        ("1.5", 1),
        ("true", 1),
        ("unknown", 1),
    ]
    assert summarize(table, where={"extra.a/b~c": "x"})["messages"] == 2


@pytest.mark.parametrize("name", ["nope", "ip; DROP TABLE feedback", "extra.", "", "received_ms"])
def test_an_unknown_column_is_refused_with_the_choices(name, table_of):
    with pytest.raises(UnknownDimension, match="choose from channel, isp, area"):
        summarize(table_of(), by=(name,))


@pytest.mark.parametrize("name", ["a' OR 1=1 --", '"; DROP TABLE feedback; --', "$x", "$.*", "a]b", "中"])
def test_user_input_is_never_sql(name, table_of):
    table = table_of([record(channel=name, extra={name: name})])
    summary = summarize(table, by=("channel", f"extra.{name}"), where={"channel": name, f"extra.{name}": name})
    assert summary["groups"][0]["by"] == {"channel": name, f"extra.{name}": name}


def test_a_gap_in_a_sessions_numbers_is_lost_and_belongs_to_no_group(table_of):
    sent = [
        record(session_id=session, seq=seq, weight=weight, channel="ab"[seq % 2], received_ms=BEGIN_MS + seq)
        for session, weight, numbers in (("whole", 1, range(3)), ("torn", 1, (0, 1, 4)), ("joined before", 10, (7, 9)))
        for seq in numbers
    ]
    table = table_of(sent, sent[:1])
    summary = summarize(table, by=("channel",))
    assert summary["lost"] == 2 + 10
    assert [group["lost"] for group in summary["groups"]] == [None, None]
    assert summarize(table, where={"channel": "a"})["lost"] == 12
    assert summarize(table, span=Span(BEGIN_MS, BEGIN_MS + 4))["lost"] == 0


def test_duplicates_belong_to_the_span_in_which_they_were_received(table_of):
    table = table_of([record(received_ms=BEGIN_MS), record(received_ms=BEGIN_MS + 1000)])
    assert summarize(table, span=Span(BEGIN_MS, BEGIN_MS + 1000))["duplicates"] == 0
    assert summarize(table, span=Span(BEGIN_MS + 1000, BEGIN_MS + 2000)) | {"from": 0, "to": 0} == summarize(
        table_of(), span=Span(0, 0)
    ) | {"duplicates": 1}
