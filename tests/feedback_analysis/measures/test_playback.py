"""Stalls and failed starts: every view, compared with loops over the messages of each session."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.histogram import histogram
from feedback_analysis.measures.regions import by_region
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.messages.sessions import list_sessions
from feedback_analysis.messages.slices import slices
from tests.feedback_analysis.measures.oracle import close, deduplicated
from tests.feedback_analysis.measures.playback_oracle import NAMES, playback
from tests.harness.logs import BEGIN_MS, record, records

MEASURES = ["rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures"]
SPANS = st.tuples(st.integers(0, 100), st.integers(1, 60)).map(
    lambda at: Span(BEGIN_MS + at[0] * 1000, BEGIN_MS + sum(at) * 1000 + 500)
)
ALL = Span(BEGIN_MS, BEGIN_MS + 10**6)


def within(sent, span):
    return [each for each in sent if span.from_ms <= each["received_ms"] < span.to_ms]


def assert_playback(found, wanted):
    for name in NAMES:
        assert close(found[name], wanted[name]), name


@settings(max_examples=15)
@given(sent=records(), span=st.none() | SPANS, channel=st.sampled_from([None, "a", "unknown"]))
def test_a_summary_has_the_stalls_and_the_failed_starts_of_its_messages(sent, span, channel, table_of):
    known = deduplicated(sent)
    chosen = within(known, span) if span else known
    chosen = [each for each in chosen if channel is None or each.get("channel", "unknown") == channel]
    summary = summarize(table_of(sent), span=span, where={} if channel is None else {"channel": channel})
    assert_playback(summary, playback(chosen, known, span=span))


@settings(max_examples=10)
@given(sent=records(), span=SPANS)
def test_each_group_has_the_stalls_that_its_messages_report_as_under_a_filter(sent, span, table_of):
    known = deduplicated(sent)
    table = table_of(sent)
    for group in summarize(table, span=span, by=("channel",))["groups"]:
        chosen = [each for each in within(known, span) if each.get("channel", "unknown") == group["by"]["channel"]]
        assert_playback(group, playback(chosen, known, span=span))
        assert_playback(summarize(table, span=span, where=group["by"]), group)


@settings(max_examples=10)
@given(sent=records(), measure=st.sampled_from(MEASURES))
def test_each_region_and_each_slice_has_its_own_stalls_and_failed_starts(sent, measure, table_of):
    known, table = deduplicated(sent), table_of(sent)
    wanted = {
        name: playback([each for each in known if each.get("isp", "unknown") == name], known, span=ALL)[measure]
        for name in {each.get("isp", "unknown") for each in known}
    }
    located = {each["isp"] for each in known if "isp" in each}
    regions = {each.region: each.value for each in by_region(table, region="isp", measure=measure, span=ALL)}
    found = {each.name: each.mean for each in slices(table, measure=measure, span=ALL, dimensions=("isp",))}
    for name in located - {"unknown"}:
        assert close(regions[name], wanted[name])
        assert close(found.get(name), wanted[name])


@settings(max_examples=10)
@given(sent=records(), span=SPANS, step_s=st.integers(1, 20), measure=st.sampled_from(MEASURES[:4]))
def test_each_step_of_a_timeline_has_the_stalls_that_were_reported_in_it(sent, span, step_s, measure, table_of):
    known = deduplicated(sent)
    found = timeline(table_of(sent), measures=(measure,), span=span, step_s=step_s, period_s=30).values[measure]
    for at, begin in enumerate(range(span.from_ms, span.to_ms, step_s * 1000)):
        step = Span(begin, min(begin + step_s * 1000, span.to_ms))
        wanted = playback(within(known, step), known, span=Span(span.from_ms, span.to_ms))
        assert close(found[at], wanted[measure])


def session(name, counters, **fields):
    """Messages of one session, 10 s apart, with (stall_count, stall_ms, played_ms) each."""
    return [
        record(
            peer_id=name,
            session_id=name,
            seq=seq,
            received_ms=BEGIN_MS + seq * 10_000,
            stall_count=count,
            stall_ms=stalled,
            played_ms=played,
            **fields,
        )
        for seq, (count, stalled, played) in enumerate(counters)
    ]


def test_a_session_of_two_stalls_has_the_numbers_of_the_documentation(table_of):
    table = table_of(session("a", [(0, 0, 0), (1, 2_000, 8_000), (2, 8_000, 12_000)]))
    summary = summarize(table)
    assert summary["rebuffering_ratio"] == 0.4
    assert (summary["stalls"], summary["stall_ms"], summary["longest_stall_ms"]) == (2, 4_000, 6_000)
    assert summary["stalls_per_hour"] == 360


def test_a_stall_that_lasts_over_several_messages_is_one_stall(table_of):
    table = table_of(session("a", [(0, 0, 0), (1, 4_000, 6_000), (1, 14_000, 6_000), (1, 20_000, 10_000), (2, 21_000, 19_000)]))
    summary = summarize(table)
    assert (summary["stalls"], summary["longest_stall_ms"]) == (2, 20_000)


def test_a_player_that_restarts_within_a_session_counts_from_zero_again(table_of):
    summary = summarize(table_of(session("a", [(0, 0, 0), (3, 9_000, 31_000), (1, 1_000, 9_000)])))
    assert (summary["stalls"], summary["rebuffering_ratio"]) == (4, 0.2)


def test_two_adjacent_time_ranges_have_all_stalls_between_them(table_of):
    table = table_of(session("a", [(at, at * 1000, at * 9000) for at in range(20)]))
    middle = BEGIN_MS + 95_000
    early, late = summarize(table, span=Span(BEGIN_MS, middle)), summarize(table, span=Span(middle, BEGIN_MS + 10**6))
    assert (early["stalls"], late["stalls"]) == (9, 10)
    assert (early["rebuffering_ratio"], late["rebuffering_ratio"]) == (0.1, 0.1)


def test_a_range_that_begins_within_a_session_leaves_out_what_happened_before(table_of):
    table = table_of([each for each in session("a", [(7, 70_000, 0), (8, 71_000, 9_000)]) if each["seq"]])
    assert summarize(table)["stalls"] == 0
    assert summarize(table)["rebuffering_ratio"] is None


@pytest.mark.parametrize("measure", MEASURES[:4])
def test_the_sessions_that_stall_most_come_first(measure, table_of):
    table = table_of(
        [
            *session("smooth", [(0, 0, 0), (0, 0, 10_000)]),
            *session("short", [(0, 0, 0), (1, 500, 9_500)]),
            *session("frozen", [(0, 0, 0), (1, 9_000, 1_000)]),
        ]
    )
    rows = list_sessions(table, measure=measure, span=ALL)
    assert rows[0].session_id == "frozen" or measure == "stalls_per_hour"
    assert rows[0].value > (rows[-1].value or 0)
    shown = histogram(table, measure=measure, span=ALL)
    assert shown.peers == sum(each.value is not None for each in rows)


def test_the_longest_stall_is_compared_with_the_longest_of_the_other_slices(table_of):
    table = table_of(
        [
            *session("a", [(0, 0, 0), (1, 9_000, 1_000)], isp="bad"),
            *session("b", [(0, 0, 0), (1, 2_000, 8_000)], isp="good"),
        ]
    )
    worst, *_ = slices(table, measure="longest_stall_ms", span=ALL, dimensions=("isp",))
    assert (worst.name, worst.mean, worst.rest, worst.impact) == ("bad", 9_000, 2_000, 7_000)


def test_a_session_that_never_played_failed_to_start_and_a_very_new_one_did_not(table_of):
    def join(name, **fields):
        return record(peer_id=name, session_id=name, event="join", **fields)

    table = table_of(
        [
            join("plays", startup_ms=900),
            join("waits"),
            join("gives up", received_ms=ALL.to_ms - 2),
            record(peer_id="gives up", session_id="gives up", event="leave", seq=1, received_ms=ALL.to_ms - 1),
            join("came just now", received_ms=ALL.to_ms - 59_000),
            join("starts late"),
            record(peer_id="starts late", session_id="starts late", seq=1, continuity=0.5),
            record(peer_id="was here before", session_id="was here before", seq=7),
        ]
    )
    summary = summarize(table, span=ALL)
    assert (summary["starts"], summary["start_failures"]) == (4, 0.5)
    absent = summarize(table, span=ALL, where={"peer_id": "absent"})
    assert (absent["starts"], absent["start_failures"]) == (0, None)
    [(value, base)] = {(each.value, each.peers) for each in by_region(table, region="channel", measure="start_failures", span=ALL)}
    assert (Fraction(value), base) == (Fraction(1, 2), 6)
