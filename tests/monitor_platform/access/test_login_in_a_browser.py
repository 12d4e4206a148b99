"""A user in a real browser: logs in, watches, and logs out."""

import json
import time
import urllib.request

import pytest

from feedback_wire import routes
from feedback_wire.record import Origin
from monitor_platform.access import user_file
from tests.harness.processes import Server
from tests.monitor_platform.access.conftest import NAME, PASSWORD, add_user

ORIGIN = Origin(ip="1.36.209.7", weight=1, via="c1").prefix()
CONCURRENT = "document.querySelector('.tile[data-measure=concurrent_peers] b')?.innerText === '%d'"


@pytest.fixture
def feedback_server(serve, tmp_path) -> Server:
    return serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "fs"), "--name", "fs1")


@pytest.fixture
def monitor(serve, feedback_server, user_path, tmp_path) -> Server:
    polling = ("--feedback-server", feedback_server.url, "--insecure", "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"))
    return serve("monitor", *polling, "--listen", "127.0.0.1:0", "--users", str(user_path))


def send(server: Server, batch: int, peers: range) -> None:
    messages = (
        {"v": 1, "peer_id": f"p{n}", "session_id": f"s{n}", "seq": 0, "event": "join", "sent_ms": time.time_ns() // 1_000_000}
        for n in peers
    )
    body = b"".join(ORIGIN + json.dumps(message).encode()[1:] + b"\n" for message in messages)
    headers = {"Content-Type": routes.NDJSON, routes.BATCH_HEADER: f"{batch:032x}"}
    with urllib.request.urlopen(urllib.request.Request(server.url + routes.RECORDS, body, headers), timeout=60) as answer:
        assert json.loads(answer.read())["stored"] == len(peers)


@pytest.fixture
def page(browser, monitor):
    """An empty tab."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def log_in(page, password: str = PASSWORD) -> None:
    page.fill("input[name=name]", NAME)
    page.fill("input[name=password]", password)
    page.click("button")


@pytest.mark.browser
def test_a_user_logs_in_watches_and_logs_out(monitor, feedback_server, page):
    send(feedback_server, 1, range(30))
    page.goto(monitor.url + "/map?measure=continuity")
    assert page.title() == "Log in · Swarmscope"
    log_in(page, "a wrong one")
    page.wait_for_selector("[role=alert]")
    assert page.input_value("input[name=name]") == NAME
    assert page.input_value("input[name=password]") == ""
    log_in(page)
    page.wait_for_url("**/map?measure=continuity")
    page.goto(monitor.url + "/")
    page.wait_for_function(CONCURRENT % 30)
    send(feedback_server, 2, range(30, 40))
    page.wait_for_function(CONCURRENT % 40)  # came over the websocket
    cookie = page.context.cookies()[0]
    page.click("text=Log out")
    page.wait_for_url("**/login")
    page.goto(monitor.url + "/")
    page.wait_for_url("**/login?next=*")
    page.context.add_cookies([cookie])
    page.goto(monitor.url + "/")
    page.wait_for_url("**/login?next=*")
    assert monitor.log_text() == ""


@pytest.mark.soak
@pytest.mark.browser
def test_the_open_page_of_a_removed_user_becomes_the_login_page(start, browser, tmp_path):
    path = tmp_path / "users.txt"
    add_user(path, NAME, PASSWORD)
    add_user(path, "alice", PASSWORD)
    monitor = start("--users", str(path))
    context = browser.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(monitor.url)
        log_in(page)
        page.wait_for_selector(".tile b")
        assert user_file.remove(path, NAME)
        page.wait_for_url("**/login?next=*")
        assert page.title() == "Log in · Swarmscope"
    finally:
        context.close()
    assert monitor.log_text() == ""
