"""Grouped by any column, an answer stays short: the largest groups, and one group for the others with its own exact numbers."""

import json
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.choices import MOST, choices, extra_dimensions, extra_measures
from feedback_analysis.messages.live_table import LiveTable
from feedback_analysis.messages.scores import add_scores
from feedback_analysis.messages.slices import slices
from feedback_analysis.quality.mos import MosModel
from tests.harness.logs import BEGIN_MS, add, record, records, write_log

SPAN = Span(BEGIN_MS, BEGIN_MS + 120_001)


NUMBERS = ("messages", "peers", "sessions", "mos", "startup_ms", "upload_kbps", "online_s_per_peer")


def numbers(summary):
    return {name: summary[name] for name in NUMBERS}


@given(logged=records(most=40), by=st.sampled_from(["channel", "isp", "extra.level", "session_id"]), top=st.integers(1, 4))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_others_are_one_group_with_exact_numbers(table_of, logged, by, top):
    table = table_of(logged)
    whole, short = (summarize(table, by=(by,), top=most) for most in (1_000, top))
    assert short["groups_left_out"] == max(0, len(whole["groups"]) - top)
    assert numbers(short) == numbers(whole)
    named = [group for group in short["groups"] if group["by"][by] != "(other)"]
    assert named == whole["groups"][:top]
    others = [numbers(group) for group in short["groups"] if group not in named]
    if short["groups_left_out"]:
        left = {f"not.{by}": json.dumps([group["by"][by] for group in named])}
        assert others == [numbers(summarize(table, where=left))]
    else:
        assert others == []


def test_groups_of_two_dimensions_beyond_the_largest_become_one_group(table_of):
    sent = [record(seq=at, channel=f"c{at % 4}", isp=f"i{at % 3}") for at in range(100)]
    found = summarize(table_of(sent), by=("channel", "isp"), top=2)
    assert [(tuple(group["by"].values()), group["messages"]) for group in found["groups"]] == [
        (("(other)", "(other)"), 82),
        (("c0", "i0"), 9),
        (("c1", "i1"), 9),
    ]
    assert found["groups_left_out"] == 10


@pytest.fixture
def made_up(table_of):
    """3,000 channels and names in extra from one peer, and a channel of 50 peers."""
    sent = [
        record(seq=at, channel=f"made up {at}", continuity=0.5, extra={f"name {at}": at}, session_id=f"m{at}")
        for at in range(3_000)
    ]
    sent += [
        record(session_id=f"s{at}", peer_id=f"p{at}", seq=each, channel="Olympics", continuity=0.9)
        for at in range(50)
        for each in range(2)
    ]
    return table_of(sent)


def test_a_channel_with_an_audience_is_first_and_invented_ones_are_together(made_up):
    found = summarize(made_up, by=("channel",), top=1)
    assert [(group["by"], group["messages"], group["peers"]) for group in found["groups"]] == [
        ({"channel": "(other)"}, 3_000, 1),
        ({"channel": "Olympics"}, 100, 50),
    ]
    assert found["groups_left_out"] == 3_000
    add_scores(found, made_up, ("mos",), by=("channel",), top=1)
    assert found["groups"][1]["models"]["mos"]["n"] == 0  # no playback rate
    assert len(summarize(made_up, by=("channel",))["groups"]) == 1_001


def test_slices_are_few_and_the_others_are_one(made_up):
    found = slices(made_up, measure="continuity", span=SPAN, top=1)
    channels = {each.name: each for each in found if each.dimension == "channel"}
    assert set(channels) == {"Olympics", "(other)"}
    assert (channels["(other)"].peers, channels["(other)"].sessions, channels["(other)"].mean) == (1, 3_000, 0.5)
    assert (channels["Olympics"].peers, channels["Olympics"].mean) == (50, 0.9)
    every = slices(made_up, measure="continuity", span=SPAN, top=5_000)
    assert len([each for each in every if each.dimension == "channel"]) == 3_001


def test_the_choices_of_filters_are_bounded(made_up):
    assert len(choices(made_up, dimension="channel")) == MOST
    assert choices(made_up, dimension="channel")[0] == "Olympics"
    assert len(extra_dimensions(made_up)) == MOST
    assert len(extra_measures(made_up)) == MOST


def test_answers_about_invented_names_stay_short_in_a_running_platform(locator, tmp_path):
    """5,000 channels, 3,000 ISPs and 12,000 names in extra from 6,000 peers.

    the size of answers and memory does not grow with them.
    """
    sent = [
        record(
            peer_id=f"p{at}",
            session_id=f"s{at}",
            ip=f"10.{at % 7}.{at % 250}.0",
            channel=f"channel {at % 5_000}",
            isp=f"ISP {at % 3_000}",
            continuity=0.9,
            extra={f"name {at}": at, f"text {at}": "x"},
        )
        for at in range(6_000)
    ]
    with closing(LiveTable(locator, MosModel())) as table:
        add(table, write_log(tmp_path, sent))
        kept = table.budgets.kept
        assert (kept["channel"], kept["isp"], kept["extra_names"]) == (1_000, 2_000, 64)
        both, channels = (summarize(table, by=by) for by in (("channel", "isp"), ("channel",)))
        assert (len(both["groups"]), both["groups_left_out"] > 0) == (1_001, True)
        assert len(channels["groups"]) == 1_001
        assert sum(group["messages"] for group in both["groups"]) == both["messages"] == 6_000
        assert len(json.dumps(both)) < 1_500_000
        assert len(slices(table, measure="continuity", span=SPAN)) <= 2 * 1_001 + 4 * 100
        assert len(extra_dimensions(table)) == 64
