"""A wall of several pages stays in full screen while its pages follow one another."""

import pytest

from tests.harness.logs import record, write_log
from tests.harness.processes import start_server

pytestmark = pytest.mark.browser


@pytest.fixture
def monitor(tmp_path):
    write_log(tmp_path / "logs", [record()])
    server = start_server("monitor", "--static", str(tmp_path / "logs"), "--listen", "127.0.0.1:0", log=tmp_path / "log")
    yield server.url
    assert server.stop() == 0


def test_the_full_screen_of_a_wall_remains_while_its_pages_follow_one_another(monitor, visit):
    page = visit(monitor, "/measures?p.wall=3600&p.pages=/measures,/health")
    page.page.locator("#wall-full").click(force=True)  # visible under the pointer only
    page.becomes("() => Boolean(document.fullscreenElement && document.querySelector('iframe')?.contentWindow.location.search)")
    page.page.evaluate(
        "document.querySelector('iframe').contentWindow.location.assign('health?p.wall=5&p.pages=/measures,/health')"
    )
    page.becomes("() => document.querySelector('iframe').contentWindow.location.pathname === '/health'")
    page.becomes("() => document.querySelector('iframe').contentWindow.location.pathname === '/measures'")  # after 5 s, by itself
    page.becomes("() => document.querySelector('iframe').contentDocument.body?.dataset.state === 'ok'")
    assert page.page.evaluate("document.fullscreenElement !== null && location.search.includes('3600')")
    assert page.page.evaluate("document.querySelector('iframe').contentDocument.getElementById('wall-full').hidden")
    page.page.evaluate("document.exitFullscreen()")
    page.becomes("() => location.search.includes('p.wall=5') && document.querySelector('iframe') === null")
