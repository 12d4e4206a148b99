"""A feedback server with another clock than the platform's: its skew is measured, named, and corrected in the live views."""

import csv
import io
import json
import re
import time
import urllib.request
from collections import Counter
from email.utils import formatdate
from random import Random

import pytest

from monitor_platform.retrieval import feed as feed_module
from monitor_platform.retrieval.follower_context import FollowerContext
from monitor_platform.retrieval.server_clock import ServerClock
from tests.harness.logs import record, write_log
from tests.harness.processes import start_server
from tests.harness.waiting import eventually

NOW = 1_790_000_000_000

SHIFTED = """
import os, pathlib, time
shift = pathlib.Path(os.environ["CLOCK_AHEAD_S"])
wall, wall_ns = time.time, time.time_ns
time.time = lambda: wall() + int(shift.read_text())
time.time_ns = lambda: wall_ns() + int(shift.read_text()) * 10**9
"""
"""A `sitecustomize`: Python runs it before anything else, so the whole process has another time, which a file states."""


def dated(seconds: float) -> dict[str, str]:
    return {"Date": formatdate(NOW / 1000 + seconds, usegmt=True)}


@pytest.mark.parametrize(("ahead_s", "ahead_ms"), [(0, 0), (2, 0), (-2, 0), (60, 60_000), (-600, -600_000)])
def test_the_skew_is_the_median_of_the_last_dates(ahead_s, ahead_ms):
    clock = ServerClock()
    for late_s in (0, 0.4, 30, 0.2, 0.1):  # one answer took half a minute
        late_ms = round(late_s * 1000)
        clock.note(dated(ahead_s), NOW + late_ms, waited_ms=late_ms, monotonic_ms=late_ms)
    assert abs(clock.ahead_ms - ahead_ms) <= (1000 if ahead_ms else 0)


@pytest.mark.parametrize(("at_s", "ahead_ms"), [(-20, 0), (-10, 0), (0, 0), (-80, -60_000), (60, 60_000)])
def test_a_date_from_the_start_of_a_long_poll_is_no_skew(at_s, ahead_ms):
    """A server without new logs answers after 20 s. It may have written the Date when the request arrived."""
    clock = ServerClock()
    clock.note(dated(at_s), NOW, waited_ms=20_000)
    assert abs(clock.ahead_ms - ahead_ms) <= (1000 if ahead_ms else 0)


@pytest.mark.parametrize("date", [None, "", "soon", "Sat, 99 Nov 2026 00:00:00 GMT"])
def test_an_invalid_date_gives_no_skew(date):
    clock = ServerClock()
    clock.note({} if date is None else {"Date": date}, NOW)
    assert clock.ahead_ms == 0


def test_the_servers_own_clock_counts_and_not_the_date_of_a_proxy():
    clock = ServerClock()
    clock.note(dated(0) | {"Swarmscope-Clock": str(NOW + 60_000)}, NOW)
    assert clock.ahead_ms == 60_000


@pytest.mark.parametrize("step_s", [400 * 86_400, -400 * 86_400, 3600, -60])
def test_a_step_of_the_platforms_own_clock_counts_at_once(step_s):
    """The median of five answers had the old clock for two more rounds, so the logs that began meanwhile got wrong times."""
    clock = ServerClock()
    for _ in range(5):
        clock.note(dated(600), NOW, monotonic_ms=1000)
    clock.note(dated(620), NOW + 20_000 + step_s * 1000, monotonic_ms=21_000)
    assert abs(clock.ahead_ms - (600 - step_s) * 1000) <= 1000


@pytest.mark.parametrize(("step_ms", "waited_ms"), [(74 * 365 * 86_400_000, 20_000), (-56 * 365 * 86_400_000, 0), (-29_900, 0)])
def test_a_step_of_a_servers_clock_counts_at_once(step_ms, waited_ms):
    """The median of old and new answers gave logs that began meanwhile a time years away, or half of the difference."""
    clock = ServerClock()
    for round_number in range(8):
        now_ms = NOW + round_number * 20_000
        ahead_ms = 0 if round_number in (0, 1, 2, 5, 6, 7) else step_ms
        clock.note({"Swarmscope-Clock": str(now_ms + ahead_ms)}, now_ms, waited_ms=waited_ms, monotonic_ms=now_ms - NOW)
        assert abs(clock.ahead_ms - ahead_ms) <= 1000


def test_a_server_behind_by_less_than_a_long_poll_is_noticed_in_each_answer():
    """The clock that a server states is that of its answer. It counted as one from the start of the poll: no difference."""
    clock = ServerClock()
    for waited_ms in (20_000, 0, 20_000, 20_000, 20_000):
        clock.note({"Swarmscope-Clock": str(NOW - 15_000)}, NOW, waited_ms=waited_ms)
        assert clock.ahead_ms == -15_000


@pytest.mark.parametrize("ahead_ms", [0, 1000, 2500, 3000, 5000, 29_900])
def test_a_clock_that_jitters_is_not_noticed_and_forgotten_in_turn(ahead_ms):
    """A clock 2.5 s ahead gave 850 warnings a day, and a pill that was red in each other minute."""
    clock, jitter, changes = ServerClock(), Random(1), 0
    for number in range(4320):  # a day
        now_ms, was = NOW + number * 20_000, clock.ahead_ms
        stated = {"Swarmscope-Clock": str(now_ms + ahead_ms + jitter.randint(-1000, 1000))}
        clock.note(stated, now_ms, monotonic_ms=now_ms - NOW)
        changes += (was == 0) != (clock.ahead_ms == 0)
    assert changes <= 1


@pytest.fixture
def skewed_server(tmp_path):
    """A real feedback server whose clock is `ahead_s` ahead."""
    running = []
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SHIFTED)

    def start(name: str, ahead_s: int):
        arguments = ("--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / name), "--name", name, "--roll-seconds", "2")
        (tmp_path / f"{name}.ahead").write_text(str(ahead_s))
        env = {"PYTHONPATH": str(tmp_path / "site"), "CLOCK_AHEAD_S": str(tmp_path / f"{name}.ahead")}
        running.append(start_server("feedback-server", *arguments, log=tmp_path / f"{name}.log", env=env))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def shown(feed) -> list[int]:
    with feed.table.reading() as cursor:
        return [row[0] for row in cursor.execute("SELECT received_ms FROM feedback").fetchall()]


@pytest.mark.parametrize("ahead_s", [600, -600])
def test_records_of_a_server_with_another_time_are_shown_at_the_platforms_time(
    feedback_server, skewed_server, start_feed, sender, tmp_path, ahead_s
):
    right, wrong = feedback_server("fs1"), skewed_server("fs2", ahead_s)
    began_ms = time.time_ns() // 1_000_000
    feed = start_feed(right.url, wrong.url, keep_minutes=5)
    for _ in range(3):
        for server in (right, wrong):
            sender.send(server.url)
        time.sleep(1.1)  # the records lie in several logs of 2 s
    eventually(lambda: feed.identities() == sender.acknowledged)
    ended_ms = time.time_ns() // 1_000_000
    assert all(began_ms - 2_000 <= at <= ended_ms + 2_000 for at in shown(feed))
    ahead = {server.name: server.ahead_ms for server in feed.status().servers}
    assert ahead["fs1"] == 0
    assert abs(ahead["fs2"] - ahead_s * 1000) <= 2_000
    [*_, raw] = sorted((tmp_path / "mirror" / "fs2").glob("2*"))
    told_s = int(time.mktime(time.strptime(raw.name[:16], "%Y%m%dT%H%M%SZ"))) - time.timezone
    assert abs(told_s - ended_ms / 1000 - ahead_s) < 30, "the files keep the server's own time"
    before = sorted(shown(feed))
    feed.stop()
    again = start_feed(right.url, wrong.url, keep_minutes=5)
    eventually(lambda: again.identities() == sender.acknowledged)
    assert sorted(shown(again)) == before, "after a restart the correction is the same"
    again.stop()


@pytest.mark.parametrize("text", ["", "soon", "-5", "9" * 16, "²"])
def test_an_invalid_clock_of_a_server_counts_as_none(text):
    clock = ServerClock()
    clock.note(dated(0) | {"Swarmscope-Clock": text, "Swarmscope-Records-Ahead": text}, NOW)
    assert clock.ahead_ms == 0


def test_records_are_shown_and_the_server_is_named_after_its_clock_was_set_back(skewed_server, start_feed, sender, tmp_path):
    """The times of its records stand still until the clock has caught up: its viewers were invisible for these ten minutes."""
    server = skewed_server("fs2", 600)
    feed = start_feed(server.url, keep_minutes=60)
    sender.send(server.url)
    eventually(lambda: feed.identities() == sender.acknowledged)
    (tmp_path / "fs2.ahead").write_text("-3600")
    for _ in range(2):
        before_ms, known = time.time() * 1000, Counter(shown(feed))
        sender.send(server.url)
        eventually(lambda: feed.identities() == sender.acknowledged)
        new = Counter(shown(feed)) - known
        assert all(before_ms - 2_000 <= at_ms <= time.time() * 1000 + 2_000 for at_ms in new), new
        assert abs(feed.status().servers[0].ahead_ms - 600_000) < 30_000
        time.sleep(1.1)  # the records lie in several logs
    feed.stop()


def test_a_correction_that_was_measured_with_a_wrong_date_of_the_platform_does_not_apply_after_a_restart(
    feedback_server, start_feed, tmp_path
):
    """The lowest correction of all times decided how far back logs were read: one wrong date made each restart read 400 days."""
    day_s, now_s = 86_400, int(time.time())
    folder = tmp_path / "mirror" / "fs1"
    for number, begin_s in enumerate((now_s - 300 * day_s, now_s - 60)):
        write_log(folder, [record(session_id=f"s{number}", received_ms=begin_s * 1000)], begin_s=begin_s)
    recent = max(folder.iterdir())
    (folder / "clock-ahead").write_text(f"{recent.name.partition('.')[0]} {-400 * day_s * 1000}\n")
    feed = start_feed(feedback_server("fs1").url, keep_minutes=60)
    eventually(lambda: not feed.status().reading_back)
    assert feed.identities() == {("s1", 0): 1}
    assert shown(feed) == [(now_s - 60) * 1000]
    feed.stop()


def test_when_the_platforms_clock_is_set_back_the_messages_that_a_wrong_date_dropped_are_read_from_the_logs(
    feedback_server, start_feed, sender, monkeypatch, caplog
):
    ahead_ms = [0]
    since_ms = FollowerContext.since_ms
    monkeypatch.setattr(FollowerContext, "since_ms", lambda self: since_ms(self) + ahead_ms[0])
    monkeypatch.setattr(feed_module, "DROP_EVERY_S", 0.05)
    server = feedback_server("fs1")
    feed = start_feed(server.url, keep_minutes=60)
    sender.send(server.url)
    eventually(lambda: feed.identities() == sender.acknowledged)
    ahead_ms[0] = 400 * 86_400_000
    eventually(lambda: not feed.identities())
    assert feed.feed.begins_ms == 0
    ahead_ms[0] = 0
    eventually(lambda: feed.feed.begins_ms)
    assert abs(feed.feed.begins_ms - time.time() * 1000) < 30_000
    feed.stop()
    assert caplog.text.count("clock was set back") == 1


def test_messages_that_a_wrong_date_of_the_platform_shows_in_the_future_leave_memory(
    feedback_server, start_feed, sender, monkeypatch
):
    """They stayed, and would have been shown as present ones when the clock had caught up."""
    ahead_ms, time_ns = [400 * 86_400_000], time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: time_ns() + ahead_ms[0] * 1_000_000)
    monkeypatch.setattr(feed_module, "DROP_EVERY_S", 0.05)
    server = feedback_server("fs1")
    feed = start_feed(server.url, keep_minutes=60)
    sender.send(server.url)
    eventually(lambda: feed.identities() == sender.acknowledged)
    assert min(shown(feed)) > time_ns() // 1_000_000 + 399 * 86_400_000
    ahead_ms[0] = 0
    eventually(lambda: not shown(feed))
    eventually(lambda: feed.status().servers[0].ahead_ms == 0)

    def sent_and_shown() -> bool:
        sender.send(server.url)
        return any(abs(at_ms - time.time() * 1000) < 30_000 for at_ms in shown(feed))

    eventually(sent_and_shown, every_s=0.3)  # when the next log of 2 s begins
    eventually(lambda: max(shown(feed)) < time.time() * 1000 + 30_000)
    sender.send(server.url)
    eventually(lambda: feed.feed.delay() is not None)
    feed.stop()


def asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def test_all_live_views_show_the_viewers_of_a_server_that_is_ten_minutes_ahead_and_name_it(
    feedback_server, skewed_server, sender, tmp_path
):
    right, wrong = feedback_server("fs1"), skewed_server("fs2", 600)
    servers = ("--feedback-server", right.url, "--feedback-server", wrong.url)
    arguments = (*servers, "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"), "--insecure", "--listen", "127.0.0.1:0")
    monitor = start_server("monitor", *arguments, log=tmp_path / "monitor.log")
    try:
        sender.send(right.url, 14)
        sender.send(wrong.url, 6)

        def peers() -> tuple[int, float]:
            summary = json.loads(asked(f"{monitor.url}/api/v1/summary"))["peers"]
            table = "" if not summary else asked(f"{monitor.url}/api/v1/table?view=timeline")
            last = list(csv.DictReader(io.StringIO(table)))[-1] if table else {}
            return summary, max((float(value) for name, value in last.items() if name.lower().startswith("concurrent")), default=0)

        eventually(lambda: peers() == (20, 20), every_s=0.5)
        assert re.search(r"clock_ahead_seconds\{server=\"[^\"]+\"\} (59[89]|60[012])\.0", asked(f"{monitor.url}/metrics"))
        assert "its clock is +" in monitor.log_text()
    finally:
        assert monitor.stop() == 0
