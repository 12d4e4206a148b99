"""Days that are too old are removed from the history as a whole, and their number is reported."""

import json
import logging
import urllib.request

import pytest

from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.daily import daily
from feedback_analysis.history.follow import HistoryFollower
from feedback_analysis.history.retention import Retention, first_day_ms
from feedback_analysis.history.store import HistoryStore, extent
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.time_units import DAY_MS
from tests.feedback_analysis.history.audience import FIRST_HOUR_MS, HOUR_MS, audience, write_minutes
from tests.feedback_analysis.history.conftest import BASIS
from tests.harness.logs import record, write_log
from tests.harness.waiting import eventually


@pytest.fixture
def folder(tmp_path):
    """Three days of logs, 7 to 9 August 2012."""
    write_minutes(tmp_path / "logs", audience(peers=12, hours=2, days=(0, 1, 2)), minutes=60)
    return tmp_path / "logs"


def test_only_the_last_days_are_kept_and_they_are_unchanged(folder, locator, tmp_path, caplog):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        span, rows = Span(FIRST_HOUR_MS + 12 * HOUR_MS, extent(store).to_ms), daily(store)
        kept, messages = summarize(store, span=span), summarize(store)["messages"]
        with caplog.at_level(logging.WARNING):
            gone = Retention(days=2, live=False).apply(store)
        assert (gone.days, gone.messages) == (1, count_of("20120807"))
        assert [row["period"] for row in daily(store)] == ["2012-08-08", "2012-08-09"]
        assert summarize(store, span=span) == kept
        assert 0 < summarize(store)["messages"] < messages
        assert daily(store)[-1]["total_peers"] == rows[-1]["total_peers"]
        assert "1 days before 2012-08-08 dropped" in caplog.text
        assert Retention(days=2, live=False).apply(store).days == 0


def count_of(day):
    """The messages of `day`, each once."""
    first = {}
    for each in audience(peers=12, hours=2, days=(0, 1, 2)):
        first.setdefault((each["session_id"], each["seq"]), each["received_ms"])
    begin = FIRST_HOUR_MS // DAY_MS * DAY_MS + (int(day) - 20120807) * DAY_MS
    return sum(begin <= at < begin + DAY_MS for at in first.values())


class Clocks:
    """Both clocks of a live platform, set by the test."""

    def __init__(self, wall_ms: int) -> None:
        self.wall_s, self.monotonic_s = wall_ms / 1000, 0.0

    def pass_by(self, store: HistoryStore, retention: Retention, for_s: float, every_s: float = 600.0) -> int:
        """The days dropped meanwhile."""
        days, until = 0, self.monotonic_s + for_s
        while self.monotonic_s < until:
            days += retention.apply(store).days
            self.wall_s += every_s
            self.monotonic_s += every_s
        return days

    def start(self, days: int) -> Retention:
        return Retention(days=days, wall=lambda: self.wall_s, monotonic=lambda: self.monotonic_s)


def test_live_days_are_dropped_as_the_platform_runs_even_without_messages(folder, locator, tmp_path):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        clocks = Clocks(extent(store).to_ms)
        assert clocks.pass_by(store, clocks.start(days=3), 3600) == 0
        assert clocks.pass_by(store, clocks.start(days=2), 3600) == 1
        assert [row["period"] for row in daily(store)] == ["2012-08-08", "2012-08-09"]
        assert clocks.pass_by(store, clocks.start(days=2), 3 * 86_400) == 2
        assert extent(store) is None


def test_live_a_date_400_days_ahead_drops_nothing_over_any_number_of_starts(folder, locator, tmp_path, caplog):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        before = summarize(store)
        clocks = Clocks(extent(store).to_ms)
        clocks.wall_s += 400 * 86_400
        clocks.start(days=4).look(store)
        for number in range(4):
            wrong = record(peer_id=f"p{number}", session_id=f"s{number}", received_ms=int(clocks.wall_s * 1000))
            write_log(tmp_path / "wrong", [wrong], begin_s=int(clocks.wall_s))
            catch_up(store, [tmp_path / "wrong"], locator)
            assert clocks.pass_by(store, clocks.start(days=4), 4 * 3600) == 0
        assert summarize(store)["messages"] == before["messages"] + 4
        assert "the clock has advanced by 400.0 days in which this platform did not run" in caplog.text


def test_without_a_limit_everything_is_kept(folder, locator, tmp_path):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        before = summarize(store)
        assert Retention().apply(store).messages == 0
        assert summarize(store) == before


@pytest.mark.parametrize(("now_ms", "days", "first"), [(5 * DAY_MS, 1, 5), (6 * DAY_MS - 1, 1, 5), (6 * DAY_MS - 1, 3, 3)])
def test_the_current_day_is_one_of_those_that_are_kept(now_ms, days, first):
    assert first_day_ms(now_ms, days) == first * DAY_MS


def test_a_peer_present_across_the_edge_of_a_dropped_hour_stays_one_peer(locator, tmp_path):
    midnight = (FIRST_HOUR_MS // DAY_MS + 1) * DAY_MS
    late = record(peer_id="late", session_id="late", received_ms=midnight - 1)
    write_log(tmp_path / "logs", [late], begin_s=midnight // 1000 - 60)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [tmp_path / "logs"], locator)
        store.drop_before(midnight)
        new = record(peer_id="new", session_id="new", received_ms=midnight + 1)
        write_log(tmp_path / "logs", [new], begin_s=midnight // 1000)
        catch_up(store, [tmp_path / "logs"], locator)
        [row] = daily(store)
        assert (row["total_peers"], row["messages"]) == (1, 1)


def test_a_follower_drops_old_days_and_counts_them(folder, locator, tmp_path):
    retention = Retention(days=1, live=False)
    with (
        HistoryStore(tmp_path / "history", BASIS) as store,
        HistoryFollower(store, [folder], locator, retention=retention) as follower,
    ):
        eventually(lambda: follower.progress.dropped.days == 2)
        assert follower.progress.complete
        assert [row["period"] for row in daily(store)] == ["2012-08-09"]
        assert follower.progress.taken.messages == follower.progress.dropped.messages + count_of("20120809")


def test_the_platform_keeps_the_days_of_its_setting(serve, folder, tmp_path):
    keep = ("--history", str(tmp_path / "history"), "--history-days", "2")
    monitor = serve("monitor", "--static", str(folder), *keep, "--listen", "127.0.0.1:0")
    eventually(lambda: asked(monitor, "status")["dropped_days"] == 1)
    assert [row["period"] for row in asked(monitor, "daily")] == ["2012-08-08", "2012-08-09"]


def asked(monitor, figure):
    with urllib.request.urlopen(f"{monitor.url}/api/v1/history/{figure}", timeout=60) as answer:
        return json.loads(answer.read())
