"""Dashboard pages in a real browser that record when they drew new data.

The dashboard's script dispatches the event `shown` when plots and tiles have the platform's data. Bokeh draws in the next animation
frame, so data counts as drawn at the start of the frame after that.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TIMEOUT_MS = 120_000
TIME_ON_PAGE_MS = 3_000
"""Time on each page before the next one is opened, as a person would need."""
SETTLED_MS = 500
"""How long a new tab waits for its first address."""
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
# Without these flags, Chromium draws a background page only once a second.
_AWAKE = ("--disable-renderer-backgrounding", "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows")

_RECORD_DRAWS = """() => {
    window.drawn = [];
    document.addEventListener("shown", ({ detail }) => {
        const peers = detail.tiles.find((tile) => tile.measure === "concurrent_peers")?.note ?? "0";
        requestAnimationFrame(() => requestAnimationFrame(() => {
            window.drawn.push([Date.now(), Number(peers.replace(/[^0-9]/g, ""))]);
        }));
    });
}"""
_RECORD_OPENING = """
    function check_figures() {
        const views = [...Bokeh.index.roots];
        const drawn = (place) => views.some((view) => view.model.id === place.dataset.rootId && view.is_idle);
        if ([...document.querySelectorAll(".figure")].every(drawn)) window.completed = performance.now();
        else requestAnimationFrame(check_figures);
    }
    document.addEventListener("shown", () => requestAnimationFrame(() => requestAnimationFrame(() => {
        window.opened = performance.now();
        check_figures();
    })), { once: true });
    window.shifted = window.received = 0;
    const Socket = WebSocket;
    window.WebSocket = class extends Socket {
        constructor(...address) {
            super(...address);
            this.addEventListener("message", ({ data }) => { window.received += data.length ?? data.byteLength; });
        }
    };
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""
_TRANSFERRED = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .reduce((bytes, entry) => bytes + entry.transferSize, 0)"""
_CHOOSE = """([changes, timeoutMs]) => new Promise((redrawn, late) => {
    const began = performance.now();
    setTimeout(() => late(new Error(`no answer to ${location.search}`)), timeoutMs);
    let asked;
    document.addEventListener("shown", function onShown({ detail }) {
        if (detail.asked !== asked) return;
        document.removeEventListener("shown", onShown);
        requestAnimationFrame(() => requestAnimationFrame(() => redrawn(performance.now() - began)));
    });
    swarmscope.choose(changes);
    asked = location.search.slice(1);
})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A visit of `seconds` to one page. `drawn_ms`: until the first drawn data, which fills the window. `completed_ms`: until all
    figures are drawn, those below the window, too. `layout_shift`: the sum of all shifts.

    `http`: the bytes over HTTP, compressed as they were sent, with headers. `websocket`: the bytes of the messages from the server.
    """

    seconds: float
    drawn_ms: float
    completed_ms: float
    layout_shift: float
    http: int
    websocket: int


class MeasuredPage:
    """An open page of the dashboard."""

    def __init__(self, page: Any) -> None:  # noqa: ANN401 - Playwright is imported only if a browser is needed
        self._page = page

    def record_draws(self) -> None:
        """Record the time of each draw (Unix ms) and the total number of peers that it shows."""
        self._page.evaluate(_RECORD_DRAWS)

    def drawn(self) -> list[tuple[int, int]]:
        return [(at_ms, peers) for at_ms, peers in self._page.evaluate("window.drawn")]

    def choose(self, **changes: str) -> float:
        """Set filters as the page's controls do. Returns milliseconds until the answer is drawn."""
        return float(self._page.evaluate(_CHOOSE, [changes, TIMEOUT_MS]))

    def close(self) -> None:
        self._page.close()

    def offered(self, control: str) -> list[str]:
        """The values in a select control, without the value for all."""
        script = (
            f"[...document.querySelectorAll('select[name=\"{control}\"] option')].map((option) => option.value).filter(Boolean)"
        )
        return [str(value) for value in self._page.evaluate(script)]


class Browser:
    """Chromium. Each page is a separate visitor."""

    def __init__(self, chromium: Any) -> None:  # noqa: ANN401
        self._chromium = chromium

    def open(self, address: str) -> MeasuredPage:
        """Open the page at `address` and wait until it shows data."""
        page = self._visitor()
        page.goto(address)
        page.wait_for_function("window.completed")
        return MeasuredPage(page)

    def opening_ms(self, *addresses: str) -> list[float]:
        """Milliseconds from the click on a link to the first drawn data, for each address in the same tab of a new visitor."""
        page = self._visitor()
        opened = []
        for address in addresses:
            page.goto(address)
            opened.append(float(page.wait_for_function("window.opened").json_value()))
            page.wait_for_timeout(TIME_ON_PAGE_MS)
        page.close()
        return opened

    def visit(self, address: str) -> Visit:
        """Open the page at `address` as a new visitor without a cache, stay for TIME_ON_PAGE_MS after the first picture, leave."""
        page = self._visitor()
        began = time.monotonic()
        page.goto(address)
        drawn_ms = float(page.wait_for_function("window.opened").json_value())
        page.wait_for_timeout(TIME_ON_PAGE_MS)
        visit = Visit(
            seconds=time.monotonic() - began,
            drawn_ms=drawn_ms,
            completed_ms=float(page.evaluate("window.completed")),
            layout_shift=float(page.evaluate("window.shifted")),
            http=int(page.evaluate(_TRANSFERRED)),
            websocket=int(page.evaluate("window.received")),
        )
        page.close()
        return visit

    def _visitor(self) -> Any:  # noqa: ANN401
        """An open tab in a new context, which has an empty cache. Chromium has started the tab's process, and is idle."""
        page = self._chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(TIMEOUT_MS)
        page.add_init_script(_RECORD_OPENING)
        page.goto("about:blank")
        page.wait_for_timeout(SETTLED_MS)
        return page


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("this benchmark needs Playwright and /usr/bin/chromium; install both with make setup-tests")

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=[*_ARGUMENTS, *_AWAKE])
        try:
            yield Browser(browser)
        finally:
            browser.close()
