"""Times that are not in memory are read from the logs and shown by the same pages, down to a single viewer."""

import asyncio
import csv
import io
import json
import random
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.quality.all_models import models_of
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.score_flags import Scoring
from feedback_wire.problem import Problem
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.older_records import MOST_KEPT, OlderRecords
from monitor_platform.recorded_logs import RecordedLogs
from tests.harness.browser import wait_until_drawn
from tests.harness.processes import start_server
from tests.harness.waiting import eventually

playwright = pytest.importorskip("playwright.sync_api")

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
LATER = 4
"""Hours between the two minutes that were recorded."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Forty viewers for a minute, and four hours later ten others."""
    from tests.monitor_platform.dashboard.conftest import BEGIN_MS, record, write_log

    folder, chance = tmp_path_factory.mktemp("archive"), random.Random(5)
    for hours, begins, peers in ((0, "20120807T093000Z", range(40)), (LATER, "20120807T133000Z", range(40, 50))):
        at_ms = BEGIN_MS + hours * HOUR_MS
        sent = [record(peer, seq, at_ms + seq * 10_000 + peer, chance=chance) for seq in range(6) for peer in peers]
        write_log(folder, sent, begins=begins)
    return folder, BEGIN_MS


@pytest.fixture(scope="module")
def monitor(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    arguments = ("--static", str(archive[0]), "--history", str(folder), "--keep-minutes", "20", "--listen", "127.0.0.1:0")
    server = start_server("monitor", *arguments, log=folder / "log")
    eventually(lambda: taken_in(server.url) == 2)
    yield server.url
    assert server.stop() == 0


def taken_in(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/v1/history/status", timeout=60) as answer:
        return int(json.load(answer)["logs"])


def peers_of(url: str, span: Span) -> float:
    with urllib.request.urlopen(f"{url}/api/v1/table?view=histogram&from={span.from_ms}&to={span.to_ms}", timeout=60) as answer:
        head, *rows = csv.reader(io.TextIOWrapper(answer, encoding="utf-8"))
    return sum(float(row[head.index("n (peers)")]) for row in rows)


def test_a_time_outside_of_memory_is_read_from_the_logs(monitor, archive):
    begin_ms = archive[1]
    assert peers_of(monitor, Span(begin_ms + LATER * HOUR_MS, begin_ms + LATER * HOUR_MS + MINUTE_MS)) == 10
    assert peers_of(monitor, Span(begin_ms, begin_ms + MINUTE_MS)) == 40
    assert peers_of(monitor, Span(begin_ms + 2 * HOUR_MS, begin_ms + 2 * HOUR_MS + MINUTE_MS)) == 0


def test_a_table_reads_the_other_time_of_a_comparison_from_the_logs_as_its_page_does(monitor, archive):
    begin_ms, later_ms = archive[1], archive[1] + LATER * HOUR_MS
    with urllib.request.urlopen(
        f"{monitor}/api/v1/table?view=timeline&from={later_ms}&to={later_ms + MINUTE_MS}&compare={begin_ms}", timeout=60
    ) as answer:
        _, *rows = csv.reader(io.TextIOWrapper(answer, encoding="utf-8"))
    assert (float(rows[-1][1]), float(rows[-1][3])) == (10, 40)


def test_the_summary_of_a_time_outside_of_memory_is_read_from_the_logs(monitor, archive):
    begin_ms = archive[1]
    asked = f"from={begin_ms}&to={begin_ms + MINUTE_MS}"
    with urllib.request.urlopen(f"{monitor}/api/v1/summary?{asked}", timeout=60) as answer:
        summary = json.load(answer)
    assert (summary["from"], summary["peers"], summary["unread_logs"]) == (begin_ms, 40, 0)
    with urllib.request.urlopen(f"{monitor}/api/v1/summary", timeout=60) as answer:
        assert json.load(answer)["peers"] == 10, "without a time range it is what memory holds"


def test_a_time_range_that_is_too_large_to_read_is_refused_with_advice(monitor, archive):
    with pytest.raises(urllib.error.HTTPError) as refused:
        peers_of(monitor, Span(archive[1], archive[1] + HOUR_MS))
    assert refused.value.code == 400
    assert "at most 20 minutes (--keep-minutes)" in refused.value.read().decode()


def test_live_a_time_before_the_memory_is_read_from_the_mirror(serve, invented, tmp_path):
    folder, chance = tmp_path / "mirror" / "fs1", random.Random(3)
    folder.mkdir(parents=True)
    invented.write_log(folder, [invented.record(peer, 0, invented.begin_ms + peer, chance=chance) for peer in range(60)])
    feedback = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "fs"), "--name", "fs1")
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", feedback.url, *arguments)
    assert peers_of(monitor.url, Span(invented.begin_ms, invented.begin_ms + MINUTE_MS)) == 60


def test_a_time_with_more_messages_than_memory_may_hold_is_refused_before_they_are_loaded(serve, invented, tmp_path):
    folder, chance, begin_ms = tmp_path / "mirror" / "fs1", random.Random(3), invented.begin_ms
    folder.mkdir(parents=True)
    for minute, peers in ((0, 15), (10, 15), (600, 60)):
        logged_ms = begin_ms + minute * MINUTE_MS
        records = [invented.record(peer, 0, logged_ms + peer, chance=chance) for peer in range(peers)]
        invented.write_log(folder, records, begins=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(logged_ms // 1000)))
    feedback = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "fs"), "--name", "fs1")
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--mirror", str(tmp_path / "mirror"), "--keep-messages", "20")
    url = serve("monitor", "--feedback-server", feedback.url, *arguments).url

    assert peers_of(url, Span(begin_ms, begin_ms + MINUTE_MS)) == 15, "an hour around it would be too much, the minute is not"
    crowded = Span(begin_ms + 600 * MINUTE_MS, begin_ms + 601 * MINUTE_MS)
    for view in ("table?view=histogram&", "summary?"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/api/v1/{view}from={crowded.from_ms}&to={crowded.to_ms}", timeout=60)
        with refused.value as answer:
            sent = json.load(answer)
        assert (answer.status, sent["reason"]) == (400, "too_many_messages")
        assert "choose a shorter time range" in sent["detail"]


def test_a_time_range_is_read_once_and_only_the_latest_ones_are_kept(archive):
    folder, begin_ms = archive
    read: list[Span] = []

    class Counted(RecordedLogs):
        def table(self, span: Span | None):
            read.append(span)
            return super().table(span)

    async def ask(opened: ExitStack) -> None:
        locator = opened.enter_context(Locator())
        logs = Counted(paths=[folder], locator=locator, models=models_of(Scoring()), period_s=30)
        now = DashboardState(logs.table(Span(begin_ms + LATER * HOUR_MS, begin_ms + 5 * HOUR_MS)), None, period_s=30, poll_s=1)
        older = OlderRecords(logs, now, begins_ms=lambda: begin_ms + LATER * HOUR_MS, minutes=20)
        read.clear()
        minute = Span(begin_ms, begin_ms + MINUTE_MS)
        first, second = await asyncio.gather(older.state_for(minute), older.state_for(minute))
        assert first is second is not now
        assert await first.answers.ask(first.moment(), extent) == Span(begin_ms, begin_ms + 50_000 + 39 + 1)
        assert await older.state_for(Span(begin_ms, begin_ms + 30_000)) is first
        assert len(read) == 1
        # Whole stretches, none of which contains another.
        for earlier in range(1, MOST_KEPT + 1):
            begins_ms = begin_ms - earlier * MINUTE_MS
            await older.state_for(Span(begins_ms, begins_ms + 20 * MINUTE_MS))
        assert len(read) == 1 + MOST_KEPT
        # In the first stretch, and in none of the later ones.
        await older.state_for(Span(begin_ms - 9 * MINUTE_MS, begin_ms + MINUTE_MS))
        assert len(read) == 2 + MOST_KEPT
        assert await older.state_for(Span(begin_ms + HOUR_MS, begin_ms + HOUR_MS + 1)) is now
        assert await older.state_for(None) is now
        with pytest.raises(Problem, match="at most"):
            await older.state_for(Span(begin_ms, begin_ms + HOUR_MS))

    with ExitStack() as opened:
        asyncio.run(ask(opened))


@contextmanager
def older_of(folder, *, begins_ms: int):
    """The records below `folder` before `begins_ms`, twenty minutes at once."""
    with Locator() as locator:
        logs = RecordedLogs(paths=[folder], locator=locator, models=models_of(Scoring()), period_s=30)
        now = DashboardState(logs.table(Span(begins_ms, begins_ms + 1)), None, period_s=30, poll_s=1)
        yield OlderRecords(logs, now, begins_ms=lambda: begins_ms, minutes=20)


async def last_record_ms(older: OlderRecords, span: Span) -> int:
    state = await older.state_for(span)
    loaded = await state.answers.ask(state.moment(), extent)
    return loaded.to_ms - 1


def write_minute(invented, folder, minute: int, *, server: str = "fs1", peer: int = 0) -> int:
    """Write the log of a minute, with one message at its begin; returns the time of the message."""
    at_ms = invented.begin_ms + minute * MINUTE_MS
    begins = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_ms // 1000))
    invented.write_log(folder, [invented.record(peer, 0, at_ms, chance=random.Random(minute))], begins=begins, server=server)
    return at_ms


@pytest.mark.parametrize("server", ["fs1", "fs2"])
def test_a_log_that_arrives_after_its_time_was_read_is_shown(invented, tmp_path, server):
    begin_ms = invented.begin_ms
    first_ms = write_minute(invented, tmp_path, 0)
    span = Span(begin_ms, begin_ms + 15 * MINUTE_MS)

    async def ask() -> None:
        with older_of(tmp_path, begins_ms=begin_ms + HOUR_MS) as older:
            assert await last_record_ms(older, span) == first_ms
            later_ms = write_minute(invented, tmp_path, 10, server=server, peer=1)
            assert await last_record_ms(older, span) == later_ms

    asyncio.run(ask())


def test_a_time_stays_loaded_while_logs_after_the_start_of_memory_arrive(invented, tmp_path):
    begin_ms = invented.begin_ms
    for minute in (0, 12):
        write_minute(invented, tmp_path, minute)
    span = Span(begin_ms, begin_ms + 2 * MINUTE_MS)

    async def ask() -> None:
        with older_of(tmp_path, begins_ms=begin_ms + 10 * MINUTE_MS) as older:
            first = await older.state_for(span)
            write_minute(invented, tmp_path, 13, peer=1)
            assert await older.state_for(span) is first
            for path in tmp_path.iterdir():
                path.unlink()
            tmp_path.rmdir()
            assert await older.state_for(span) is first, "without the folder, the loaded records are the best answer"

    asyncio.run(ask())


def test_a_peer_that_was_present_before_a_time_range_is_present_at_its_start(archive):
    folder, begin_ms = archive
    with Locator() as locator:
        table = open_logs([folder], locator=locator, mos=MosModel(), span=Span(begin_ms, begin_ms + MINUTE_MS))
        state = DashboardState(table, None, period_s=30, poll_s=1, begins_ms=begin_ms + 30_000)
        snapshot = asyncio.run(state.snapshot(state.moment()))
        assert snapshot.extent.from_ms == begin_ms + 30_000
        audience = timeline(table, measures=["concurrent_peers"], span=snapshot.extent, step_s=1, period_s=30)
    assert audience.values["concurrent_peers"][0] == 40


def draw_over(page: object, hour: float) -> None:
    """Draw over some minutes of the day until that leads away; a figure that is being set up still ignores it."""
    for _ in range(6):
        wait_until_drawn(page)
        figure = page.locator(".history-day")
        # The axis begins 56 pixels from the left and ends 16 from the right.
        at = 56 + (figure.bounding_box()["width"] - 72) * hour / 24
        figure.hover(position={"x": at - 5, "y": 60})  # waits until the figure moves no more
        box = figure.bounding_box()
        page.mouse.down()
        page.mouse.move(box["x"] + at + 5, box["y"] + 60, steps=4)
        page.mouse.up()
        with suppress(playwright.TimeoutError):
            return page.wait_for_url(lambda url: "/history" not in url, timeout=20_000, wait_until="commit")
    pytest.fail("drawing over the day leads nowhere")


@pytest.mark.browser
def test_links_lead_from_a_day_of_the_history_to_its_busiest_hour_and_to_a_session(monitor, archive, visit):
    page = visit(monitor)
    assert page.page.locator(".tile[data-measure=concurrent_peers] small").inner_text() == "10 in all"
    page.open(f"{monitor}/history?p.day=2012-08-07&p.timezone={quote('Asia/Hong_Kong')}")
    assert page.page.locator("#history-busiest").is_visible()
    page.becomes("document.querySelector('#history-day').innerText.includes('drag over a time range')")
    draw_over(page.page, 17.5)
    page.becomes("location.pathname === '/' && document.querySelector('.tile small')?.innerText === '40 in all'")
    page.page.locator("nav a", has_text="Sessions").click()
    page.becomes("location.pathname === '/sessions' && document.querySelectorAll('table tbody tr').length > 5")
    page.page.locator("table tbody tr a").first.click()
    page.becomes("location.pathname === '/session' && document.body.innerText.includes('messages, latest first')")
    page.becomes("document.querySelector('.chosen').innerText.includes('Aug 7')")
    page.page.locator("nav a", has_text="Overview").click()
    page.becomes("location.pathname === '/' && document.body.dataset.state === 'ok'")


@pytest.mark.browser
@pytest.mark.parametrize(("path", "content"), [("history", "#history-rows tbody tr"), ("health", "table tbody tr")])
def test_a_page_that_needs_no_messages_takes_a_longer_time_than_messages_may_be_read_of(monitor, archive, visit, path, content):
    page = visit(monitor, f"/{path}?from={archive[1]}&to={archive[1] + (LATER + 1) * HOUR_MS}")
    page.becomes("(content) => document.querySelectorAll(content).length >= 1", content)
    assert "choose a shorter time range" not in page.page.locator("body").inner_text()


@pytest.mark.browser
def test_the_whole_of_a_past_hour_stays_that_hour(monitor, archive, visit):
    begin_ms = archive[1]
    page = visit(monitor, f"/?from={begin_ms}&to={begin_ms + 30_000}")
    assert page.page.locator(".tile[data-measure=concurrent_peers] small").inner_text() == "40 in all"
    page.page.locator("#time-open").click()
    page.page.locator("#time-form [name=to]").fill("2012-08-07T17:30:50")
    page.page.locator("#time-form button").click()
    page.becomes("document.getElementById('time-text').innerText.includes('17:30:50')")
    page.becomes(f"new URLSearchParams(location.search).get('from') === '{begin_ms}'")
    page.page.locator("#chips button").first.click()
    page.becomes("document.querySelector('.tile small')?.innerText === '10 in all'")


@pytest.mark.browser
def test_a_comparison_reads_the_other_time_from_the_logs_if_memory_does_not_hold_it(monitor, archive, visit):
    begin_ms = archive[1]
    later_ms = begin_ms + LATER * HOUR_MS
    page = visit(monitor, f"/?from={later_ms}&to={later_ms + MINUTE_MS}&compare={begin_ms}")
    tile = page.page.locator(".tile[data-measure=concurrent_peers]")
    assert "▼\u202f30\u202fpeers" in tile.inner_text()
    assert "No change is shown" not in page.page.locator("main").inner_text()


@pytest.mark.browser
def test_the_comparison_is_chosen_where_the_time_range_is(monitor, archive, visit):
    later_ms = archive[1] + LATER * HOUR_MS
    page = visit(monitor, f"/?from={later_ms}&to={later_ms + MINUTE_MS}", width=390)
    page.page.locator("#compare-open").click()
    assert page.page.locator("#compare-list button").all_inner_texts() == [
        *("The time before (default)", "The time before, in all views", "An hour earlier", "A day earlier", "A week earlier"),
    ]
    in_force = page.page.locator("#compare-list [aria-pressed=true]")
    chosen = page.page.locator("select[name=compare] option:checked")
    assert in_force.all_inner_texts() == chosen.all_text_contents() == ["The time before (default)"]
    page.page.get_by_role("button", name="A day earlier", exact=True).click()
    page.becomes("() => document.getElementById('against-text').innerText.includes('no records of the other time, a day earlier')")
    assert "compare=day" in page.page.url
    page.page.locator("#time-open").click()
    page.page.locator("#compare-list [aria-pressed=true]").click()
    page.becomes("() => !location.search.includes('compare')")
