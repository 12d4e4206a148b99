"""Names from end hosts are shown as text on pages and in reports: a real browser runs none of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlencode

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from monitor_platform.dashboard.html_report import write_report
from tests.harness.browser import wait_until_drawn
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import start_server
from tests.hostile.corpus import CANARY, MARKUP, SIGHT, TEMPLATES, TEXTS

pytestmark = pytest.mark.browser
PAGES = ("/", "/map", "/district", "/histogram", "/timeline", "/measures")
FIELDS = ("channel", "isp", "app", "platform", "peer_id", "session_id")
NAMES = tuple(dict.fromkeys(text for text in TEXTS if text))
HOMES = ("1.36.209.7", "1.64.35.7", "1.64.160.7", "")
WATCH = f"window.{CANARY} = () => {{ window.{CANARY}Ran = true; }};"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A viewer for each text, with the text in every field; three messages of each, so that timelines have data."""
    folder = tmp_path_factory.mktemp("hostile")
    sent = [
        record(
            **dict.fromkeys(FIELDS, text),
            seq=seq,
            received_ms=BEGIN_MS + 10_000 * seq + number,
            ip=HOMES[number % len(HOMES)],
            event="report",
            continuity=0.9,
            playback_kbps=800,
            upload_kbps=100 + number,
            download_kbps=900,
            startup_ms=500,
            extra={text: text, "x": text},
        )
        for seq in range(3)
        for number, text in enumerate(NAMES)
    ]
    write_log(folder, sorted(sent, key=lambda each: each["received_ms"]))
    return folder


@pytest.fixture(scope="module")
def monitor(recorded, tmp_path_factory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "log"
    server = start_server("monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", log=log)
    yield server.url
    assert server.stop() == 0
    assert "Traceback" not in server.log_text()


@pytest.fixture(scope="module")
def tab(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(WATCH)
    yield context.new_page()
    context.close()


@pytest.fixture
def watched(tab):
    """A tab of the browser; after the test, its page must not have run any of the texts."""
    wrong: list[str] = []
    listeners = {
        "console": lambda sent: wrong.append(sent.text) if sent.type in {"error", "warning"} else None,
        "pageerror": lambda error: wrong.append(str(error)),
        "dialog": lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()),
        "framenavigated": lambda frame: wrong.append(f"frame {frame.url}") if frame != tab.main_frame else None,
    }
    for event, listener in listeners.items():
        tab.on(event, listener)
    yield tab
    assert not tab.evaluate(f"window.{CANARY}Ran")
    assert wrong == []
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)


def show(page, address: str) -> None:
    page.goto(address)
    wait_until_drawn(page)


def nothing_came_of_it(page) -> None:
    """The page contains none of the elements that the texts try to create."""
    strange = "img[onerror], svg[onload], iframe, [onfocus], [ontoggle], [onanimationstart], a[href^=javascript], mglyph, math"
    assert page.locator(strange).count() == 0
    assert not page.evaluate(f"window.{CANARY}Ran")


def test_the_test_would_detect_a_text_that_the_browser_runs(browser):
    page = browser.new_page()
    page.add_init_script(WATCH)
    page.goto("data:text/html,<body></body>")
    page.evaluate(f"window.{CANARY} = () => {{ window.{CANARY}Ran = true; }}")
    page.evaluate("markup => { document.body.innerHTML = markup }", MARKUP[1])
    page.wait_for_function(f"window.{CANARY}Ran")
    page.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_hostile_names_as_text(monitor, watched, path):
    show(watched, monitor + path)
    choices = "Array.from(document.querySelectorAll('#filters:not([hidden]) select[name=channel] option'), option => option.value)"
    if offered := watched.evaluate(choices):
        assert {*MARKUP, *TEMPLATES} <= set(offered)
    nothing_came_of_it(watched)
    box = watched.locator("body").bounding_box()
    for x, y in ((0.3, 0.4), (0.5, 0.6), (0.7, 0.5)):  # tooltips
        watched.mouse.move(box["x"] + box["width"] * x, 800 * y)
    nothing_came_of_it(watched)
    assert watched.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.soak
def test_filters_with_hostile_values_are_shown_as_text(monitor, watched):
    everywhere(monitor, watched, (f"\"'{MARKUP[1]}", SIGHT[0], MARKUP[13]))


@pytest.mark.soak
def test_filters_with_any_text_are_shown_as_text(monitor, watched):
    everywhere(monitor, watched, tuple(text for text in NAMES if text.isprintable()))


def everywhere(monitor, page, texts) -> None:
    """Filter by each text in every column at once: one viewer has that name in all of them, unless none has."""
    for text in texts:
        asked = dict.fromkeys((*FIELDS, "extra.x", f"extra.{text}"), text)
        show(page, f"{monitor}/timeline?{urlencode(asked)}")
        viewers = page.locator('.tile[data-measure="concurrent_peers"] b').inner_text()
        assert viewers == ("1" if text in NAMES else ""), text
        assert text in page.evaluate("document.body.innerText") or text not in NAMES
        nothing_came_of_it(page)


def test_a_report_shows_hostile_names_as_text(recorded, watched, tmp_path):
    page = tmp_path / "report.html"
    by = f"channel,isp,app,platform,extra.x,extra.{MARKUP[1]}"
    reported(recorded, page, {"event": "report"}, by.split(","))
    watched.goto(page.as_uri())
    watched.wait_for_function("window.Bokeh?.documents.length && Bokeh.documents[0].is_idle")
    text = " ".join(watched.locator("body").inner_text().split())
    assert [name for name in (*MARKUP, *TEMPLATES) if " ".join(name.split()) not in text] == []
    nothing_came_of_it(watched)


@pytest.mark.soak
def test_the_filters_of_a_report_are_shown_as_text(recorded, watched, tmp_path):
    page = tmp_path / "report.html"
    reported(recorded, page, dict.fromkeys(FIELDS, MARKUP[0]), ["channel"])
    watched.goto(page.as_uri())
    watched.wait_for_function("window.Bokeh?.documents.length && Bokeh.documents[0].is_idle")
    assert MARKUP[0] in watched.locator("body").inner_text()
    nothing_came_of_it(watched)


def reported(recorded, page, where, by) -> None:
    """Write a report in another thread, because this one has the browser's event loop."""

    def write() -> None:
        with Locator() as locator, closing(open_logs([recorded], locator=locator, mos=MosModel())) as table:
            write_report(page, table, where=where, by=by)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(write).result()
