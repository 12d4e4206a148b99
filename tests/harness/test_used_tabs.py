"""A tab of the browser that a test has used has nothing of that test left."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.harness.browser import Tabs, begin_test

pytestmark = pytest.mark.browser

LEFT = """[history.length, localStorage.length, sessionStorage.length, document.cookie, innerWidth,
    matchMedia("(prefers-color-scheme: dark)").matches]"""


@pytest.fixture
def pages() -> Iterator[str]:
    """The address of a server with a page at every path."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a page")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_used_tab_has_no_history_storage_cookie_size_or_scheme_of_the_test_before(browser, pages):
    tabs = Tabs(browser)
    tab = tabs.take(width=640, height=480)
    tab.emulate_media(color_scheme="dark")
    for number in range(3):
        tab.goto(f"{pages}/{number}")
    tab.evaluate("localStorage.a = sessionStorage.a = document.cookie = 'a=1'")
    assert tab.evaluate(LEFT) == [4, 1, 1, "a=1", 640, True]
    tabs.give_back(tab, pages)
    assert tabs.take(width=800, height=600) is tab
    tab.goto(pages)
    assert tab.evaluate(LEFT) == [2, 0, 0, "", 800, False]
    tab.context.close()


def test_a_tab_whose_server_has_ended_is_closed(browser):
    tabs = Tabs(browser)
    tab = tabs.take(width=640, height=480)
    tabs.give_back(tab, "http://127.0.0.1:9")
    assert tab.is_closed()


def test_a_test_without_the_browser_may_run_an_event_loop_while_the_browser_runs(browser, tabs, pages):
    tab = tabs.take(width=640, height=480)
    assert asyncio.get_running_loop().is_running(), "that of Playwright"
    begin_test(uses_browser=False)
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"
    begin_test(uses_browser=True)
    tab.goto(pages)
    assert tab.inner_text("body") == "a page"
    tabs.give_back(tab, pages)
