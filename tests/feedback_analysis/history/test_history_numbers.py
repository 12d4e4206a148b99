"""The history's numbers of whole hours equal the measures of the messages themselves, to the last digit."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from feedback_analysis.history import daily as history_daily
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.history_selection import MEASURES_KEPT
from feedback_analysis.history.history_timeline import minutes, timeline
from feedback_analysis.history.periods import offset_note, periods
from feedback_analysis.history.session_means import session_means
from feedback_analysis.history.store import HistoryStore, extent
from feedback_analysis.measures import histogram as messages_histogram
from feedback_analysis.measures import regions as messages_regions
from feedback_analysis.measures import summary as messages_summary
from feedback_analysis.measures.histogram import histogram
from feedback_analysis.measures.regions import by_region
from feedback_analysis.measures.registry import COUNTS, MEASURES, Kind
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages import message_timeline
from feedback_analysis.messages.extent import extent as messages_extent
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.sessions import list_sessions
from feedback_analysis.messages.table import FeedbackTable
from tests.feedback_analysis.history.audience import FIRST_HOUR_MS, HOUR_MS, audience, write_minutes
from tests.feedback_analysis.history.conftest import BASIS
from tests.harness.logs import record, write_log

RATES = messages_summary.RATES
STALLS_AND_STARTS = ("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures")
WHERES = [
    {},
    {"channel": "a"},
    {"isp": "PCCW", "platform": "web"},
    {"peer_id": "p3"},
    {"session_id": "s4-0"},
    {"channel": "nobody's"},
]
SPANS = [None, Span(FIRST_HOUR_MS + HOUR_MS, FIRST_HOUR_MS + 3 * HOUR_MS), Span(FIRST_HOUR_MS - HOUR_MS, FIRST_HOUR_MS)]

KEPT = {name: each for name, each in MEASURES.items() if each.kind in COUNTS or name in MEASURES_KEPT}

Both = tuple[HistoryStore, FeedbackTable]


@pytest.fixture(scope="module")
def both(locator, tmp_path_factory) -> Iterator[Both]:
    """The history and the table of the same logs: three days, an audience of forty, copies among them."""
    folder = tmp_path_factory.mktemp("logs")
    logs = write_minutes(folder, audience(days=(0, 1, 2)), minutes=30)
    with HistoryStore(tmp_path_factory.mktemp("history"), BASIS) as store:
        # Some hours are folded and settled, some are not, and one was until more arrived.
        catch_up(store, logs[: len(logs) // 2 + 1], locator)
        store.fold(at_least=1)
        catch_up(store, [folder], locator)
        with closing(open_logs([folder], locator=locator, mos=BASIS.mos)) as table:
            yield store, table


def without_quantiles(summary):
    for each in (summary, *summary["groups"]):
        for rate in RATES:
            each[rate] |= {"p50": None, "p95": None}
    return summary


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("where", WHERES)
def test_a_summary_equals_that_of_the_messages_except_quantiles_of_rates(both, where, span):
    store, table = both
    wanted = without_quantiles(messages_summary.summarize(table, span=span, where=where))
    assert summarize(store, span=span, where=where) == wanted


@pytest.mark.parametrize("top", [1, 1_000])
@pytest.mark.parametrize("by", [("channel",), ("isp", "platform"), ("area",), ("district",), ("country",), ("app",)])
def test_groups_equal_those_of_the_messages(both, by, top):
    store, table = both
    wanted = without_quantiles(messages_summary.summarize(table, span=SPANS[1], by=by, top=top))
    assert len(wanted["groups"]) > 1
    assert (wanted["groups_left_out"] > 0) == (top == 1)
    assert summarize(store, span=SPANS[1], by=by, top=top) == wanted


def test_the_extent_equals_that_of_the_messages(both):
    store, table = both
    assert extent(store) == messages_extent(table)


@pytest.mark.parametrize(
    "name", [name for name, each in KEPT.items() if "region" in each.views and each.kind is not Kind.CONCURRENT]
)
@pytest.mark.parametrize("region", ["area", "district"])
def test_regions_equal_those_of_the_messages(both, name, region):
    store, table = both
    wanted = messages_regions.by_region(table, region=region, measure=name, span=SPANS[1], where={"platform": "web"})
    assert len(wanted) > 1
    assert by_region(store, region=region, measure=name, span=SPANS[1], where={"platform": "web"}) == wanted


@pytest.mark.parametrize("name", [name for name, each in KEPT.items() if "histogram" in each.views])
def test_histograms_equal_those_of_the_messages(both, name):
    store, table = both
    wanted = messages_histogram.histogram(table, measure=name, span=SPANS[1])
    assert wanted.peers > 5
    assert histogram(store, measure=name, span=SPANS[1]) == wanted


@pytest.mark.parametrize("where", WHERES[:3])
def test_hours_equal_those_of_the_messages(both, where):
    store, table = both
    span = Span(FIRST_HOUR_MS - HOUR_MS, FIRST_HOUR_MS + 30 * HOUR_MS)
    wanted = message_timeline.timeline(table, measures=tuple(KEPT), span=span, step_s=3600, period_s=30, where=where)
    assert timeline(store, measures=tuple(KEPT), span=span, where=where) == wanted


@pytest.mark.parametrize("where", [{}, {"channel": "a"}, {"district": "Sha Tin"}, {"app": "player 1"}])
def test_minutes_equal_those_of_the_messages_with_up_to_one_filter(both, where):
    store, table = both
    names = [name for name, each in KEPT.items() if each.kind is not Kind.SESSION]
    wanted = message_timeline.timeline(table, measures=names, span=SPANS[1], step_s=60, period_s=30, where=where)
    assert minutes(store, measures=names, span=SPANS[1], where=where) == wanted


def test_the_peers_of_a_minute_are_known_under_several_filters(both):
    store, table = both
    names, where = ("concurrent_peers", "total_peers", "new_peers", "cumulative_peers"), {"channel": "a", "platform": "web"}
    wanted = message_timeline.timeline(table, measures=names, span=SPANS[1], step_s=60, period_s=30, where=where)
    assert max(wanted.values["concurrent_peers"]) > 0
    assert minutes(store, measures=names, span=SPANS[1], where=where) == wanted


def test_a_measure_that_is_not_kept_by_the_minute_is_refused_with_advice(both):
    store, _ = both
    with pytest.raises(ValueError, match="one value of channel"):
        minutes(store, measures=["mos"], span=SPANS[1], where={"channel": "a", "isp": "PCCW"})
    with pytest.raises(ValueError, match="choose steps of an hour"):
        minutes(store, measures=["startup_ms"], span=SPANS[1])
    with pytest.raises(ValueError, match="too many to draw"):
        minutes(store, measures=["mos"], span=Span(0, SPANS[1].to_ms))


@pytest.mark.parametrize("name", ["event", "via", "extra.codec"])
def test_a_column_that_is_not_kept_is_no_filter(both, name):
    store, _ = both
    with pytest.raises(ValueError, match="not kept in the history"):
        summarize(store, where={name: "a"})
    with pytest.raises(ValueError, match="not kept in the history"):
        summarize(store, by=(name,))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Hong_Kong", "Asia/Kathmandu"])
def test_days_are_the_summaries_of_each_day_in_its_time_zone(both, zone):
    store, table = both
    rows = history_daily.daily(store, zone=zone)
    assert [row["period"] for row in rows] == ["2012-08-07", "2012-08-08", "2012-08-09"]
    midnight_ms = datetime(2012, 8, 7, tzinfo=ZoneInfo(zone)).timestamp() * 1000
    assert midnight_ms - rows[0]["from"] == (HOUR_MS / 4 if zone == "Asia/Kathmandu" else 0)
    names = ("new_peers", "total_peers", "cumulative_peers")
    whole = Span(rows[0]["from"], rows[-1]["to"])
    people = message_timeline.timeline(table, measures=names, span=whole, step_s=86_400, period_s=30)
    for at, row in enumerate(rows):
        wanted = messages_summary.summarize(table, span=Span(row["from"], row["to"]))
        assert {name: row[name] for name in names} == {name: people.values[name][at] for name in names}
        for name in ("messages", "sessions", "online_s_per_view", "online_s_per_peer", "contribution_ratio", *STALLS_AND_STARTS):
            assert row[name] == wanted[name]
        for name in (*RATES, "startup_ms"):
            assert row[name] == wanted[name]["mean"]


def test_the_peak_of_a_day_is_that_of_its_minutes(both):
    store, table = both
    [day] = history_daily.daily(store, span=Span(FIRST_HOUR_MS, FIRST_HOUR_MS + 1), where={"platform": "web"})
    span = Span(day["from"], day["to"])
    wanted = message_timeline.timeline(
        table, measures=["concurrent_peers"], span=span, step_s=60, period_s=30, where={"platform": "web"}
    )
    assert day["peak_concurrent_peers"] == max(wanted.values["concurrent_peers"]) > 0


def test_a_peer_counts_on_each_day_by_its_weight_of_that_day(locator, tmp_path):
    day_ms = 24 * HOUR_MS
    weights = {0: 1, 1: 2.5, 2: 1.5}
    for day, weight in weights.items():
        sent = [record(received_ms=FIRST_HOUR_MS + day * day_ms, session_id=f"s{day}", weight=weight, isp="PCCW")]
        write_log(tmp_path / "logs", sent, begin_s=FIRST_HOUR_MS // 1000 + day * day_ms // 1000)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [tmp_path / "logs"], locator)
        assert [row["total_peers"] for row in history_daily.daily(store)] == [1, 2.5, 1.5]
        assert [row["new_peers"] for row in history_daily.daily(store)] == [2.5, 0, 0]
        assert [row.peers for row in history_daily.coverage(store, unit="day")] == [{"PCCW": each} for each in (1, 2.5, 1.5, 2.5)]


def test_more_periods_than_a_number_has_bits_are_counted(both):
    store, _ = both
    long = Span(FIRST_HOUR_MS - 24 * HOUR_MS, FIRST_HOUR_MS + 72 * HOUR_MS)
    hours, days = history_daily.daily(store, unit="hour", span=long), history_daily.daily(store)
    assert len(hours) > 64 > len(days)
    assert sum(row["new_peers"] for row in hours) == sum(row["new_peers"] for row in days)
    assert max(row["peak_concurrent_peers"] for row in hours) == max(row["peak_concurrent_peers"] for row in days)
    everybody = history_daily.coverage(store, unit="hour", span=long)[-1]
    assert everybody == history_daily.coverage(store, unit="day")[-1]


def test_isp_coverage_is_the_share_of_peers_of_each_period_and_of_all(both):
    store, table = both
    rows = history_daily.coverage(store, unit="month")
    assert [row.period for row in rows] == ["2012-08", "all"]
    wanted = {group["by"]["isp"]: group["peers"] for group in messages_summary.summarize(table, by=("isp",))["groups"]}
    assert rows[0].peers == rows[1].peers == wanted
    assert sum(rows[0].shares.values()) == pytest.approx(1)


def test_isps_beyond_the_largest_are_one_group_with_its_distinct_peers(both):
    store, table = both
    wanted = {group["by"]["isp"]: group["peers"] for group in messages_summary.summarize(table, by=("isp",), top=2)["groups"]}
    assert len(wanted) == 3
    assert [row.peers for row in history_daily.coverage(store, unit="month", top=2)] == [wanted, wanted]
    found = by_region(store, region="isp", measure="total_peers", span=None, top=2)
    assert {each.region: each.value for each in found} == wanted


def test_the_spread_of_a_rate_is_that_of_the_means_of_sessions(both):
    store, table = both
    each = [
        row.value for row in list_sessions(table, measure="mos", span=messages_extent(table), most=10_000) if row.value is not None
    ]
    assert len(each) > 40
    found = session_means(store, measure="mos", where={"channel": "nobody's"})
    assert found == {"p50": None, "p95": None}
    found = session_means(store, measure="mos")
    assert min(each) <= found["p50"] <= found["p95"] <= max(each)


@pytest.mark.parametrize(("zone", "hours"), [("UTC", [24, 24, 24]), ("Europe/London", [24, 25, 24])])
def test_a_day_has_the_length_of_its_time_zone(zone, hours):
    begin = datetime(2012, 10, 27, tzinfo=ZoneInfo(zone)).timestamp() * 1000
    days = periods(Span(round(begin), round(begin) + 72 * HOUR_MS), "day", zone)
    assert [(end - begin) // HOUR_MS for begin, end in zip(days.begins_ms, days.begins_ms[1:], strict=False)][:3] == hours


@pytest.mark.parametrize(
    ("zone", "begins"),
    [("Asia/Kolkata", "23:30"), ("Asia/Kathmandu", "23:45"), ("Australia/Adelaide", "23:30"), ("America/St_Johns", "23:30")],
)
def test_a_day_of_a_zone_with_a_part_of_an_hour_begins_with_the_hour_nearest_to_midnight(zone, begins):
    from_ms = round(datetime(2026, 11, 28, 12, tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    days = periods(Span(from_ms, from_ms + 24 * HOUR_MS), "day", zone)
    assert days.names == ("2026-11-28", "2026-11-29")
    assert {begin % HOUR_MS for begin in days.begins_ms} == {0}
    assert f"days in {zone} begin at {begins}" in offset_note(days.begins_ms[0], zone)
    # The time between the whole hour and midnight belongs to the day that has begun.
    assert periods(Span(days.begins_ms[1], days.begins_ms[1] + 1), "day", zone).names == ("2026-11-29",)
    hours = periods(Span(days.begins_ms[1], days.begins_ms[1] + 1), "hour", zone)
    assert (hours.begins_ms[0], hours.names[0][11:16]) == (days.begins_ms[1], begins)
    assert offset_note(days.begins_ms[0], "UTC") == ""


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        periods(Span(0, 1), "day", "Mars/Olympus")


@pytest.mark.parametrize("name", ["startup_ms", "buffer_ms", "partners", "uptime_ms", "stall_ms", "played_ms", "upload_kbps"])
def test_the_largest_values_with_the_largest_weight_overflow_no_sum(locator, tmp_path, name):
    most = 10**9 if name == "upload_kbps" else 2**53 - 1
    sent = [
        record(session_id=f"s{at // 2}", seq=at % 2, received_ms=FIRST_HOUR_MS + at, weight=10**6, **{name: at % 2 * most})
        for at in range(80)
    ]
    path = write_log(tmp_path / "logs", sent, begin_s=FIRST_HOUR_MS // 1000)
    with HistoryStore(tmp_path / "history", BASIS) as store, closing(open_logs([path], locator=locator, mos=BASIS.mos)) as table:
        assert catch_up(store, [path], locator).messages == len(sent)
        expected = summarize(table)
        assert expected["messages"] == len(sent) * 10**6
        assert all(summarize(store)[key] == expected[key] for key in ("messages", "sessions", "startup_ms"))
