"""Every page in the windows of phones, tablets and desktops, light and dark: none scrolls sideways, and targets are large."""

from pathlib import Path
from urllib.request import urlopen

import pytest

from monitor_platform.dashboard.tiles import TILE_COUNT
from tests.harness.inferences import inference_record, write_inferences
from tests.harness.logs import BEGIN_MS, write_log
from tests.harness.measurements import write_measurements
from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.known_audience import evening
from tests.monitor_platform.dashboard.known_network import measurement_records
from tests.monitor_platform.dashboard.known_swarm import swarm_records
from tests.monitor_platform.dashboard.known_trainings import write_trainings

pytestmark = pytest.mark.browser

PAGES = (
    *("/", "/map", "/district", "/histogram", "/timeline?series=mos,continuity", "/sessions", "/session?session_id=s-0"),
    *("/ranking", "/history", "/alerts", "/health", "/measures", "/swarm", "/network"),
    *("/disagreements", "/trainings?p.training=hls-evening"),
)
WIDTHS = (390, 360, 820, 1280, 1920)
NARROW = 1100
"""Up to this width the page is for fingers; above it only a device with a touch screen gets large targets."""

MOST_SHIFT = 0.1

LARGE_TARGET = 44
SMALL_TARGET = 24

RULES = """
[[rule]]
name = "an ISP stalls"
measure = "continuity"
by = "isp"
below = 0.985
least_sessions = 5
for_minutes = 1
severity = "critical"
"""

TOO_SMALL = """(least) => [...document.querySelectorAll("a, button, select, summary, input:not([type=range]), .chips label")]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }))
    .filter((each) => !each.matches(".skip, label input, p:not(.when) > a, .about"))
    .map((each) => [each.getBoundingClientRect(), each.outerHTML.slice(0, 120)])
    .filter(([box]) => Math.round(box.height) < least || Math.round(box.width) < least)
    .map(([box, text]) => `${Math.round(box.width)} x ${Math.round(box.height)}: ${text}`)"""
"""Targets with a side shorter than `least`, without links in running text, whose height is that of the text."""

SCROLLING_TABLES = """() => [...document.querySelectorAll(".scroll:not(.listed)")]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }) && each.scrollWidth > each.clientWidth)
    .map((each) => `${each.ariaLabel}: ${each.scrollWidth} > ${each.clientWidth}`)"""
"""The tables of pages that are wider than their boxes."""

SHIFTS = """() => new Promise((resolve) => {
    const sum = (list) => list.getEntries().reduce((total, each) => total + each.value, 0);
    new PerformanceObserver((list) => resolve(sum(list))).observe({ type: "layout-shift", buffered: true });
    setTimeout(() => resolve(0), 200);
})"""
"""The sum of the layout shifts so far; the observer reports nothing if there were none."""


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layout")
    write_log(folder / "logs", evening())
    write_log(folder / "logs", swarm_records(begin_ms=BEGIN_MS + 15 * 60_000))
    write_inferences(folder / "logs", [inference_record(slot, "s-0", slot_ms=BEGIN_MS + slot * 1000) for slot in range(60)])
    write_trainings(folder / "trainings")
    lab = start_server(
        *("lab", "serve", "--insecure", "--listen", "127.0.0.1:0", "--data", str(folder / "trainings")), log=folder / "lab.log"
    )
    write_measurements(folder / "logs", measurement_records())
    (folder / "alerts.toml").write_text(RULES)
    server = start_server(
        *("monitor", "--static", str(folder / "logs"), "--history", str(folder / "history"), "--listen", "127.0.0.1:0"),
        *("--alerts", str(folder / "alerts.toml"), "--lab-url", lab.url),
        log=folder / "log",
    )
    yield server.url
    assert (server.stop(), lab.stop()) == (0, 0)


@pytest.fixture(scope="module")
def axe():
    package = pytest.importorskip("axe_playwright_python")
    return Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


def assert_fits(page, width):
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width, width
    assert page.page.evaluate(TOO_SMALL, LARGE_TARGET if width <= NARROW else SMALL_TARGET) == [], width
    if width > NARROW:
        assert page.page.evaluate(SCROLLING_TABLES) == [], width
        page.becomes("() => document.querySelector('nav').scrollWidth <= document.querySelector('nav').clientWidth")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_every_window_in_light_and_dark_and_axe_finds_no_fault(monitor, visit, axe, path):
    # Pages alternate, so that each width has light and dark pages, and axe sees both in narrow and in wide windows. The next
    # test has every page in every window.
    place = PAGES.index(path)
    widths = (390, 820, 1920) if place % 2 else (1280, 360)
    schemes = ("light", "dark") if place % 4 < 2 else ("dark", "light")
    page = visit(monitor, path, width=390)
    assert page.page.evaluate(SHIFTS) <= MOST_SHIFT
    page.page.evaluate("document.getElementById('lasting').hidden = false")  # as with open alerts
    grounds = set()
    for at, width in enumerate(widths):
        page.page.emulate_media(color_scheme=schemes[at > 0])
        page.page.set_viewport_size({"width": width, "height": 800})
        assert_fits(page, width)
        grounds.add(page.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert len(grounds) == 2
    page.page.add_script_tag(content=axe)
    found = page.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found] == []


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_that_opens_in_a_window_fits_it_like_one_whose_window_changes(monitor, visit, path, scheme):
    page = visit(monitor, path)
    page.page.emulate_media(color_scheme=scheme)
    for width in WIDTHS:
        page.page.set_viewport_size({"width": width, "height": 800})
        page.open(monitor + path)
        assert_fits(page, width)


def test_a_page_reserves_the_places_of_all_tiles_and_hardly_moves_when_its_data_arrives(monitor, visit):
    page = visit(monitor, "/?isp=PCCW&by=isp")
    assert page.page.evaluate(SHIFTS) <= MOST_SHIFT
    assert page.page.locator(".tile").count() == TILE_COUNT


def test_a_tile_has_room_for_the_numbers_of_a_large_audience(monitor, visit):
    page = visit(monitor, "/", width=1920)
    notes = """(text) => [...document.querySelectorAll(".tile small")].map((each) => {
        each.textContent = text;
        return each.scrollWidth - each.clientWidth;
    })"""
    assert max(page.page.evaluate(notes, "now 98.89 · 12,345 peers")) <= 0


def test_the_label_of_a_mark_has_the_letters_for_which_the_window_has_room(monitor, visit):
    page = visit(monitor, "/timeline", width=390)
    data = "Bokeh.documents[0].get_model_by_name('timeline').children.at(-1).renderers.at(-1).data_source.data"
    label = f"({data}.get?.('label') ?? {data}.label)[0]"
    page.becomes(f"() => /^an ISP stalls: .*…$/.test({label})")
    page.page.set_viewport_size({"width": 1920, "height": 800})
    page.becomes(f"() => {label} === 'an ISP stalls: Continuity of ISP HKBN is below 98.50 %'")


def test_a_map_fills_a_high_window(monitor, visit):
    page = visit(monitor, "/map", width=1280, height=1500)
    footer, card = page.page.locator("footer").bounding_box(), page.page.locator(".card.map").bounding_box()
    assert footer["y"] - (card["y"] + card["height"]) <= 24


def test_recorded_files_have_no_column_of_actions(monitor, visit):
    page = visit(monitor, "/alerts")
    assert page.page.locator("#rules thead th:visible").all_inner_texts() == ["State", "Rule", "Last value", "Limit", "Since"]


def test_a_phone_leads_from_an_alert_to_the_viewer(monitor, visit):
    page = visit(monitor, "/alerts", width=390)
    page.page.locator(".evidence summary").first.click()
    page.page.locator(".why a").first.click()
    page.becomes("() => location.pathname === '/session' && document.body.dataset.state === 'ok'")
    page.becomes("() => document.getElementById('story-title').innerText.startsWith('Peer p')")
    box = page.page.locator("#story-title").bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= 390


def test_a_page_has_its_parts_and_choices_before_any_script_runs(monitor):
    with urlopen(f"{monitor}/?measure=continuity&isp=%3Cb%3EPCCW&by=isp") as answer:
        page = answer.read().decode()
    assert page.count("data-waits") == TILE_COUNT
    assert '<p id="loading" role="status">Loading…</p>' in page
    assert '<span id="time-text">All</span>' in page
    assert all(f"<h2>{name}</h2>" in page for name in ("Timeline", "Where it hurts", "Map", "District", "Histogram"))
    assert all(f"<option>{text}</option>" in page for text in ("Continuity", "&lt;b&gt;PCCW", "All channels", "ISP"))
