"""A real browser that shows pages of the dashboard, and reports whatever goes wrong in them.

Each pytest process has one browser, which runs from the first test that needs it to the end: a start costs more than a page.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feedback_wire import routes

BROWSER_DEADLINE_MS = 60_000
"""A deadline, not an expectation: other tests may keep every core busy."""

_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
# All pages share one process, which has compiled the scripts of the dashboard. Else, each server's first page gets another one.
_CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", "--renderer-process-limit=1", *_QUIET)

_event_loop: list[asyncio.AbstractEventLoop] = []
"""The one of Playwright while a browser runs."""


def begin_test(*, uses_browser: bool) -> None:
    """Call this before each test.

    Playwright's event loop counts as running between its calls, and would forbid `asyncio.run` in the tests without a browser.
    """
    for loop in _event_loop:
        asyncio._set_running_loop(loop if uses_browser else None)


def wait_until_drawn(page: Any) -> None:
    """Wait until a page of the dashboard has its document, its data and no work left to do."""
    page.wait_for_function(
        """() => document.body.dataset.state !== 'loading'
            && [...document.querySelectorAll('.figure')].every((place) => place.firstChild)
            && [...Bokeh.index.roots].every((view) => view.is_idle)"""
    )


class PageVisit:
    """A page of the dashboard in a browser, and all that goes wrong in it: errors, warnings, requests to other servers."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.wrong: list[str] = []
        self._listeners: dict[str, Callable[[Any], None]] = {
            "console": lambda line: self._note(line.text, line.type in {"error", "warning"}),
            "pageerror": lambda error: self._note(str(error)),
            "request": lambda sent: self._note(f"asked {sent.url}", not sent.url.startswith((url, "data:"))),
            "websocket": lambda socket: self._note(socket.url, not re.match(r"ws://127\.0\.0\.1:", socket.url)),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def _note(self, text: str, wrong: bool = True) -> None:
        if wrong:
            self.wrong.append(text)

    def close(self) -> None:
        """Note nothing more of what goes wrong."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def open(self, address: str) -> None:
        self.page.goto(address)
        wait_until_drawn(self.page)

    def tile(self, measure: str) -> str:
        return str(self.page.locator(f'.tile[data-measure="{measure}"] b').inner_text())

    def note(self, view: str) -> str:
        return str(self.page.locator(f'[data-note="{view}"]').inner_text())

    def source(self, view: str, column: str) -> list[Any]:
        """A column of the source behind the glyphs of `view`, as the browser has it."""
        values: list[Any] = self.page.evaluate(
            """([view, column]) => {
                const figure = Bokeh.documents[0].get_model_by_name(view);
                const source = figure.renderers.at(-1).data_source;
                return Array.from(source.data.get?.(column) ?? source.data[column]);
            }""",
            [view, column],
        )
        return values

    def becomes(self, script: str, argument: object = None) -> None:
        """Wait until `script`, an expression or a function of `argument`, is true. Between two pages there is no body to ask."""
        result = f"const result = {script}; return typeof result === 'function' ? result(argument) : result;"
        self.page.wait_for_function(
            f"(argument) => {{ if (!document.body) return false; {result} }}", arg=argument, timeout=BROWSER_DEADLINE_MS
        )


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser that reaches nothing but this machine."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=list(_CHROMIUM_FLAGS))
        _event_loop.append(asyncio.get_running_loop())
        yield chromium
        begin_test(uses_browser=True)
        _event_loop.clear()
        chromium.close()


class Tabs:
    """Tabs of a browser that tests use one after the other.

    A page in a used tab costs less than half of the processor time of one in a new tab, whose process compiles all scripts again.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._unused: list[Any] = []

    def take(self, *, width: int, height: int) -> Any:
        """An empty tab without cookies and stored choices; tabs that are open at the same time share none."""
        size = {"width": width, "height": height}
        if not self._unused:
            context = self._browser.new_context(viewport=size, timezone_id="Asia/Hong_Kong")
            context.set_default_timeout(BROWSER_DEADLINE_MS)
            return context.new_page()
        tab = self._unused.pop()
        tab.set_viewport_size(size)
        return tab

    def give_back(self, tab: Any, url: str) -> None:
        """Forget all that a test did in the tab with pages of `url`. The next test gets the tab, unless that fails."""
        from playwright.sync_api import Error

        try:
            tab.goto(url + routes.HEALTH)  # on the same server, which is the site of the stored choices
            tab.evaluate("localStorage.clear(), sessionStorage.clear()")
            tab.context.clear_cookies()
            tab.emulate_media(color_scheme="light")
            tab.mouse.move(-1, -1)
            tools = tab.context.new_cdp_session(tab)
            tools.send("Page.resetNavigationHistory")
            tools.detach()
        except Error:  # the server has ended
            tab.context.close()
        else:
            self._unused.append(tab)


@pytest.fixture(scope="session")
def tabs(browser: Any) -> Tabs:
    """The tabs that the tests share."""
    return Tabs(browser)


@pytest.fixture
def visit(tabs: Tabs) -> Iterator[Callable[..., PageVisit]]:
    """Open a page of the dashboard; at the end of the test, fail if anything went wrong in it."""
    visits: list[PageVisit] = []

    def visit(url: str, path: str = "/", *, width: int = 1280, height: int = 800) -> PageVisit:
        visits.append(PageVisit(tabs.take(width=width, height=height), url))
        visits[-1].open(url + path)
        return visits[-1]

    yield visit
    for each in visits:
        each.close()
        tabs.give_back(each.page, each.url)
    wrong = [wrong for each in visits for wrong in each.wrong]
    assert wrong == [], wrong
