"""A comparison names what it compares, has a colour only for clear changes, and does not compare with a gap in the records."""

import asyncio

import pytest

from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import recorded_time
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.facts import facts
from monitor_platform.dashboard.page_queries import PageQueries
from monitor_platform.dashboard.tiles import is_slight
from tests.feedback_analysis.conftest import locator, table_of
from tests.harness.logs import BEGIN_MS, record

__all__ = ["locator", "table_of"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
VIEWERS = 40


def watched(begin_ms, minutes, *, continuity=1.0, **fields):
    """Viewers who report every half minute."""
    return [
        record(
            received_ms=begin_ms + at * 30_000 + peer,
            peer_id=f"p{peer}{fields.get('channel', '')}",
            session_id=f"s{peer}{fields.get('channel', '')}-{begin_ms}",
            seq=at,
            continuity=continuity,
            download_kbps=800 + peer,
            upload_kbps=800,
            playback_kbps=800,
            **fields,
        )
        for at in range(2 * minutes)
        for peer in range(VIEWERS)
    ]


def page(table, begin_ms, minutes, *, views=("tiles",), **choices):
    """The data and the facts of a page over `minutes` from `begin_ms`."""
    span = Span(begin_ms, begin_ms + minutes * MINUTE_MS)
    query = AddressQuery(span=span, **choices)

    async def ask():
        state = DashboardState(table, None, period_s=30, poll_s=1)
        snapshot = await state.snapshot(state.moment())
        data = await PageQueries(state.answers, snapshot, query, views=frozenset(views)).page_data()
        return data, facts(data, snapshot)

    return asyncio.run(ask())


def change(shown, measure):
    return next(tile["change"] for tile in shown["tiles"] if tile["measure"] == measure)


def test_a_comparison_states_both_values_and_the_verdict_in_one_line(table_of):
    table = table_of(watched(BEGIN_MS, 10), watched(BEGIN_MS + HOUR_MS, 10, continuity=0.7))
    _, shown = page(table, BEGIN_MS + HOUR_MS, 9, compare="hour", measure="continuity")
    against = shown["against"]
    assert against["both"] == "Continuity 70.00\u202f%, 100.00\u202f% an hour earlier"
    assert (against["verdict"], against["missing"]) == ("worse", "")
    assert (against["from"], against["to"]) == (BEGIN_MS, BEGIN_MS + 9 * MINUTE_MS)


def test_the_line_of_a_comparison_names_figures_as_in_a_sentence(table_of):
    _, shown = page(table_of(watched(BEGIN_MS, 10)), BEGIN_MS, 9)
    names = {tile["measure"]: tile["name"] for tile in shown["tiles"]}
    assert [names[each] for each in ("mos", "startup_ms", "stall_ms")] == ["MOS", "startup", "stall length"]


def test_the_time_before_is_not_compared_across_a_gap_in_the_records(table_of):
    # Two of the fifteen minutes before are recorded, and none at their end.
    table = table_of(watched(BEGIN_MS, 2), watched(BEGIN_MS + 15 * MINUTE_MS, 15))
    _, shown = page(table, BEGIN_MS + 15 * MINUTE_MS, 15)
    assert {tile["change"]["kind"] for tile in shown["tiles"]} == {"none"}
    assert shown["against"]["missing"] == "too few records"


def test_peers_are_not_compared_with_the_end_of_a_time_without_records_at_its_end(table_of):
    table = table_of(watched(BEGIN_MS, 12), watched(BEGIN_MS + 15 * MINUTE_MS, 15))
    _, shown = page(table, BEGIN_MS + 15 * MINUTE_MS, 15)
    assert change(shown, "concurrent_peers")["text"] == ""
    assert change(shown, "continuity")["text"] != ""


def test_viewers_of_a_channel_who_were_not_there_are_compared_if_others_were_recorded(table_of):
    table = table_of(
        watched(BEGIN_MS, 2, channel="a"), watched(BEGIN_MS, 15, channel="b"), watched(BEGIN_MS + 15 * MINUTE_MS, 15, channel="a")
    )
    _, shown = page(table, BEGIN_MS + 15 * MINUTE_MS, 14, channel="a")
    assert change(shown, "concurrent_peers")["arrow"] == "▲"


def test_a_time_without_records_is_stated_by_tiles_maps_and_timeline_alike(table_of):
    table = table_of(watched(BEGIN_MS, 3), watched(BEGIN_MS + HOUR_MS, 14))
    data, shown = page(table, BEGIN_MS + HOUR_MS, 14, compare="before", views=("tiles", "map", "district", "timeline", "histogram"))
    assert shown["against"]["missing"] == "no records"
    assert shown["notes"]["map"].endswith("change since the time before (no records)")
    assert shown["notes"]["timeline"].endswith("dashed: the time before (no records)")
    assert set(data.comparison.audience.values["concurrent_peers"]) == {None}, "the audience is unknown, not 0"


@pytest.mark.parametrize(("views", "minutes"), [(("tiles", "map"), 14), (("tiles", "map"), 8)])
def test_tiles_and_maps_agree_whether_the_other_time_is_recorded(table_of, views, minutes):
    # The records begin within the other time: less than half of it is recorded, or more than half.
    table = table_of(watched(BEGIN_MS, 20))
    data, shown = page(table, BEGIN_MS + (20 - minutes) * MINUTE_MS, minutes, compare="before", views=views)
    assert bool(data.regions_there.areas) == (not shown["against"]["missing"]) == (minutes == 8)


@pytest.mark.parametrize(
    ("continuity", "kind", "words"),
    [(0.9896, "neutral", "slightly worse than"), (0.6, "worse", "worse than"), (0.99, "same", "the same as")],
)
def test_only_a_clear_change_has_a_colour(table_of, continuity, kind, words):
    table = table_of(watched(BEGIN_MS, 10, continuity=0.99), watched(BEGIN_MS + 10 * MINUTE_MS, 10, continuity=continuity))
    _, shown = page(table, BEGIN_MS + 10 * MINUTE_MS, 10)
    found = change(shown, "continuity")
    assert found["kind"] == kind
    assert words in found["words"]


@pytest.mark.parametrize(
    ("measure", "other", "by", "slight"),
    [("mos", 3.6, -0.1, True), ("mos", 3.6, -0.3, False), ("continuity", 0.988, -0.01, False), ("startup_ms", 4000.0, 100.0, True)],
)
def test_a_change_is_slight_below_a_twentieth_of_the_value_or_of_the_rest_of_a_share(measure, other, by, slight):
    assert is_slight(by, other, MEASURES[measure]) is slight


def test_a_part_of_a_time_range_that_is_shorter_than_a_period_is_no_gap(table_of):
    table = table_of(watched(BEGIN_MS, 1)[:2])
    found = recorded_time(table, span=Span(BEGIN_MS, BEGIN_MS + MINUTE_MS), period_s=60)
    assert (found.share, found.at_end) == (1.0, True)
