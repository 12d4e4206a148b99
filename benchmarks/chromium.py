"""Pages of the dashboard in a real browser, which write down when they have drawn what they were told.

The dashboard's script says `shown` once figures and tiles have what the platform sent. Bokeh draws in the next animation frame, so
a picture counts as drawn when the frame after that one begins.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENT_MS = 120_000
LOOKED_AT_MS = 3_000
"""Nobody goes from page to page without looking at any."""
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
# A page behind another would be drawn once a second only.
_AWAKE = ("--disable-renderer-backgrounding", "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows")

_NOTE_DOWN = """() => {
    window.drawn = [];
    document.addEventListener("shown", ({ detail }) => {
        const peers = detail.tiles.find((tile) => tile.measure === "concurrent_peers")?.note ?? "0";
        requestAnimationFrame(() => requestAnimationFrame(() => {
            window.drawn.push([Date.now(), Number(peers.replace(/[^0-9]/g, ""))]);
        }));
    });
}"""
_CHOOSE = """([changes, patientMs]) => new Promise((redrawn, late) => {
    const began = performance.now();
    setTimeout(() => late(new Error(`no answer to ${location.search}`)), patientMs);
    let asked;
    document.addEventListener("shown", function told({ detail }) {
        if (detail.asked !== asked) return;
        document.removeEventListener("shown", told);
        requestAnimationFrame(() => requestAnimationFrame(() => redrawn(performance.now() - began)));
    });
    swarmscope.choose(changes);
    asked = location.search.slice(1);
})"""


class DashboardPage:
    """A page that is open."""

    def __init__(self, page: Any) -> None:  # noqa: ANN401 - Playwright is imported only where there is a browser
        self._page = page

    def note_down(self) -> None:
        """From now on keep when each picture was drawn (Unix ms) and how many peers in all it tells."""
        self._page.evaluate(_NOTE_DOWN)

    def drawn(self) -> list[tuple[int, int]]:
        return [(at_ms, peers) for at_ms, peers in self._page.evaluate("window.drawn")]

    def choose(self, **changes: str) -> float:
        """Change the address as the page's own controls do; milliseconds until the answer is drawn."""
        return float(self._page.evaluate(_CHOOSE, [changes, PATIENT_MS]))

    def close(self) -> None:
        self._page.close()

    def offered(self, control: str) -> list[str]:
        """The values that a list of the page offers, without the one for all."""
        script = (
            f"[...document.querySelectorAll('select[name=\"{control}\"] option')].map((option) => option.value).filter(Boolean)"
        )
        return [str(value) for value in self._page.evaluate(script)]


class Browser:
    """Chromium; every page is a visitor of its own."""

    def __init__(self, chromium: Any) -> None:  # noqa: ANN401
        self._chromium = chromium

    def open(self, address: str) -> DashboardPage:
        """The page at `address` once it shows what there is."""
        page = self._chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENT_MS)
        page.goto(address)
        page.wait_for_function("window.Bokeh?.documents.length && Bokeh.documents[0].is_idle")
        page.wait_for_function("document.body.dataset.state !== 'loading'")
        return DashboardPage(page)

    def opening_ms(self, *addresses: str) -> list[float]:
        """From the click on a link to the first picture, one address after the other in the same tab of a new visitor."""
        page = self._chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENT_MS)
        page.add_init_script(
            'document.addEventListener("shown", () => requestAnimationFrame(() => requestAnimationFrame(() => '
            "{ window.opened ??= performance.now(); })))"
        )
        opened = []
        for address in addresses:
            page.goto(address)
            opened.append(float(page.wait_for_function("window.opened").json_value()))
            page.wait_for_timeout(LOOKED_AT_MS)
        page.close()
        return opened


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("this needs Playwright and /usr/bin/chromium: make setup-tests installs both")

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=[*_ARGUMENTS, *_AWAKE])
        try:
            yield Browser(browser)
        finally:
            browser.close()
