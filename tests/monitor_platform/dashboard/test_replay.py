"""Recorded files replayed as if they were live: a clock that runs, pauses, jumps and ends, on every page and in the address."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.logs import BEGIN_MS, write_log
from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.known_audience import evening

pytestmark = pytest.mark.browser

MINUTE_MS = 60_000
PILL_IS = "text => document.querySelector('#pill-kind').textContent === text"
CLOCK_PASSED = "ms => +new URLSearchParams(location.search).get('to') > ms"
MESSAGES = "() => Bokeh.documents[0].get_model_by_name('story').children.at(-2).renderers[0].data_source.data.at.length"


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    write_log(folder, evening())
    server = start_server("monitor", "--static", str(folder), "--listen", "127.0.0.1:0", log=folder / "log")
    yield server.url
    assert server.stop() == 0


def asked(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.page.url).query).items()}


def test_a_replay_runs_pauses_and_ends_and_back_leads_before_it(monitor, visit):
    page = visit(monitor, "/?isp=HKBN")
    entries = page.page.evaluate("history.length")
    page.page.locator("#replay-play").press("Enter")
    page.becomes(PILL_IS, "Replay ×60")
    page.becomes(CLOCK_PASSED, BEGIN_MS + MINUTE_MS)
    first = int(asked(page)["to"])
    page.becomes(CLOCK_PASSED, first + MINUTE_MS)
    assert {name: asked(page)[name] for name in ("isp", "p.replay", "p.playing")} == {
        "isp": "HKBN",
        "p.replay": "60",
        "p.playing": "1",
    }
    # What is shown comes from the platform, for the window that ends at the clock.
    page.becomes("() => document.querySelector('#time-text').textContent.includes(' – ')")
    page.becomes("ms => Bokeh.documents[0].get_model_by_name('timeline').children[0].x_range.end > ms", BEGIN_MS + MINUTE_MS)
    page.page.locator("#replay-play").press("Enter")
    page.becomes(PILL_IS, "Paused")
    stood = asked(page)["to"]
    page.becomes("() => document.querySelector('#replay-play').textContent === 'Play'")
    assert asked(page)["to"] == stood
    assert "p.playing" not in asked(page)
    assert page.page.evaluate("history.length") <= entries + 1
    page.page.locator("#replay-end").click()
    page.becomes(PILL_IS, "Static")
    page.becomes("() => location.search === '?isp=HKBN'")


@pytest.mark.soak
def test_the_speed_is_respected(monitor, visit):
    page = visit(monitor, f"/timeline?from={BEGIN_MS}&to={BEGIN_MS + MINUTE_MS}&p.replay=600&p.playing=1")
    page.becomes(PILL_IS, "Replay ×600")
    # Twenty minutes at 600 times their speed are over in two seconds; the clock stands at their end.
    page.becomes(PILL_IS, "Paused")
    assert int(asked(page)["to"]) > BEGIN_MS + 19 * MINUTE_MS
    page.page.select_option("#replay-speed", "1")
    page.becomes("() => new URLSearchParams(location.search).get('p.replay') === '1'")


@pytest.mark.soak
def test_the_clock_is_moved_by_keys_and_its_time_range_can_be_removed(monitor, visit):
    page = visit(monitor, f"/histogram?from={BEGIN_MS}&to={BEGIN_MS + 10 * MINUTE_MS}&p.replay=60")
    page.becomes(PILL_IS, "Paused")
    page.page.locator("#replay-clock").focus()
    page.page.keyboard.press("PageUp")
    page.becomes(CLOCK_PASSED, BEGIN_MS + 10 * MINUTE_MS + 30_000)
    page.becomes("() => /^2012-08-07 17:4/.test(document.querySelector('#replay-time').textContent)")
    page.becomes("() => document.querySelector('#chips button') !== null")
    page.page.locator("#chips button").click()
    page.becomes(PILL_IS, "Static")
    page.becomes("() => location.search === ''")


@pytest.mark.soak
def test_a_session_page_ends_at_the_clock_of_a_replay_which_continues_on_other_pages(monitor, visit):
    page = visit(monitor, f"/session?session_id=s-6&from={BEGIN_MS}&to={BEGIN_MS + 10 * MINUTE_MS}&p.replay=60")
    page.becomes(f"() => ({MESSAGES})() === 20")
    page.page.locator("#replay-clock").focus()
    page.page.keyboard.press("End")
    page.becomes(f"() => ({MESSAGES})() === 40")
    page.page.keyboard.press("Home")
    page.becomes("() => document.querySelector('#story-note').textContent.includes('has not begun')")
    page.page.get_by_role("link", name="Timeline").click()
    page.becomes("() => location.pathname === '/timeline' && document.querySelector('#pill-kind').textContent === 'Paused'")
    assert asked(page)["p.replay"] == "60"
