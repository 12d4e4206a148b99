"""A real browser that shows pages of the dashboard, and reports whatever goes wrong in them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BROWSER_DEADLINE_MS = 60_000
"""A deadline, not an expectation: other tests may keep every core busy."""

_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
_CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", *_QUIET)


def wait_until_drawn(page: Any) -> None:
    """Wait until a page of the dashboard has its document, its data and no work left to do."""
    page.wait_for_function("window.Bokeh?.documents.length && Bokeh.documents[0].is_idle")
    page.wait_for_function("document.body.dataset.state !== 'loading'")


class PageVisit:
    """A page of the dashboard in a browser, and all that goes wrong in it: errors, warnings, requests to other servers."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda line: self.wrong.append(line.text) if line.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith((url, "data:")) else self.wrong.append(f"asked {sent.url}"))
        page.on("websocket", lambda socket: None if re.match(r"ws://127\.0\.0\.1:", socket.url) else self.wrong.append(socket.url))

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser that reaches nothing but this machine."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=list(_CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., PageVisit]]:
    """Open a page of the dashboard; at the end of the test, fail if anything went wrong in it."""
    visits: list[PageVisit] = []

    def visit(url: str, path: str = "/", *, width: int = 1280, height: int = 800) -> PageVisit:
        context = browser.new_context(viewport={"width": width, "height": height}, timezone_id="Asia/Hong_Kong")
        context.set_default_timeout(BROWSER_DEADLINE_MS)
        visits.append(PageVisit(context.new_page(), url))
        visits[-1].open(url + path)
        return visits[-1]

    yield visit
    for each in visits:
        each.page.context.close()
    wrong = [wrong for each in visits for wrong in each.wrong]
    assert wrong == [], wrong
