"""The time control of every page: the last minutes, any range, any zone; all of it is in the address."""

import pytest

from tests.harness.logs import BEGIN_MS, write_log
from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.known_audience import evening

pytestmark = pytest.mark.browser

MINUTE_MS = 60_000
FIRST_PERIOD_IS = "text => document.querySelector('#history-rows tbody th')?.innerText === text"
TICKS = """([from, to]) => [...Bokeh.documents[0]._all_models.values()]
    .find(({ type }) => type === "CustomJSTicker").get_ticks(from, to).major"""
TEXT_IS = "text => document.getElementById('time-text').innerText === text"


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("times")
    write_log(folder / "logs", evening())
    arguments = ("--static", str(folder / "logs"), "--history", str(folder / "history"), "--listen", "127.0.0.1:0")
    server = start_server("monitor", *arguments, log=folder / "log")
    yield server.url
    assert server.stop() == 0


def parameter(page, name):
    return page.page.evaluate("name => new URLSearchParams(location.search).get(name)", name)


def test_the_last_minutes_and_any_other_range_can_be_chosen(monitor, visit):
    page = visit(monitor)
    assert page.page.locator("#time-text").inner_text().startswith("Aug 7, 17:30:00 – 17:49:5")
    page.page.locator("#time-open").click()
    assert page.page.locator("#time-last button").all_inner_texts() == ["All", "Last 5 min", "Last 15 min"]
    page.page.get_by_role("button", name="Last 5 min", exact=True).click()
    page.becomes(TEXT_IS, "Last 5 min")
    assert parameter(page, "minutes") == "5"
    page.becomes(
        "from => Bokeh.documents[0].get_model_by_name('timeline').children[0].x_range.start > from", BEGIN_MS + 14 * MINUTE_MS
    )
    page.page.locator("#time-open").click()
    page.page.locator("#time-form [name=from]").fill("2012-08-07T17:35:00")
    page.page.locator("#time-form [name=to]").fill("2012-08-07T17:34:00")
    page.page.get_by_role("button", name="Show this range").click()
    assert page.page.locator("#time-wrong").inner_text() == "The end must be after the beginning."
    page.page.locator("#time-form [name=to]").fill("2012-08-07T17:40:00")
    page.page.get_by_role("button", name="Show this range").click()
    page.becomes(TEXT_IS, "Aug 7, 17:35:00 – 17:40:00")
    assert parameter(page, "from") == str(BEGIN_MS + 5 * MINUTE_MS)
    assert parameter(page, "to") == str(BEGIN_MS + 10 * MINUTE_MS)
    page.page.go_back()
    page.becomes(TEXT_IS, "Last 5 min")
    over_years = page.page.evaluate("swarmscope_times.range(Date.UTC(2011, 11, 31), Date.UTC(2012, 0, 1))")
    assert over_years == "Dec 31, 2011, 08:00:00 – Jan 1, 2012, 08:00:00"


def test_in_utc_no_tooltip_repeats_the_time(monitor, visit):
    page = visit(monitor, "/alerts?zone=UTC")
    assert page.page.locator("#hover-for-utc").is_hidden()
    assert page.page.evaluate("swarmscope_times.element(0).title") == ""


@pytest.mark.parametrize(
    "names", [["Sessions", "History"], pytest.param(["Sessions", "Ranking", "Alerts", "History"], marks=pytest.mark.soak)]
)
def test_a_zone_holds_on_every_page_and_moves_the_days_of_the_history(monitor, visit, names):
    page = visit(monitor)
    page.page.locator("#time-open").click()
    page.page.select_option("#zone", "Pacific/Kiritimati")
    page.becomes("() => document.getElementById('time-text').innerText.startsWith('Aug 7, 23:30:00 – ')")
    assert parameter(page, "zone") == "Pacific/Kiritimati"
    for name in names:
        page.page.locator("nav a", has_text=name).click()
        page.becomes("name => document.title.startsWith(name) && document.body.dataset.state !== 'loading'", name)
        assert parameter(page, "zone") == "Pacific/Kiritimati"
        assert page.page.locator("#time-zone-text").inner_text() == "Pacific/Kiritimati"
    page.becomes(FIRST_PERIOD_IS, "2012-08-07")
    page.page.select_option("select[name=unit]", "hour")
    page.becomes(FIRST_PERIOD_IS, "2012-08-07T23:00+14:00")


def test_the_history_uses_the_browsers_zone_unless_the_address_has_another(monitor, visit):
    page = visit(monitor, "/history?p.unit=hour")
    page.becomes(FIRST_PERIOD_IS, "2012-08-07T17:00+08:00")
    page.open(f"{monitor}/history?p.unit=hour&zone=UTC")
    page.becomes(FIRST_PERIOD_IS, "2012-08-07T09:00+00:00")
    page.open(f"{monitor}/history?zone=Asia/Kathmandu")
    page.becomes(FIRST_PERIOD_IS, "2012-08-07")
    assert "begin at 23:45" in page.page.locator("#history-message").inner_text()
    for length_ms, step_ms in ((30 * 3_600_000, 6 * 3_600_000), (7 * 60_000, 60_000), (5 * 86_400_000, 86_400_000)):
        ticks = page.page.evaluate(TICKS, [BEGIN_MS, BEGIN_MS + length_ms])
        assert len(ticks) > 3
        assert {(tick + 345 * 60_000) % step_ms for tick in ticks} == {0}
