"""`swarmscope monitor --alerts`: rules are evaluated live, sent to a real receiver, counted, and shown on a page."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest

from tests.harness.logs import BEGIN_MS, write_log
from tests.harness.processes import NotReadyError, start_server
from tests.harness.waiting import eventually
from tests.monitor_platform.alerts.test_alert_watch import MINUTES, evening_with_stalls

MINUTE_MS = 60_000
RULE = '[[rule]]\nname = "stalls"\nmeasure = "continuity"\nby = "isp"\nbelow = 0.9\nseverity = "critical"\n'


@pytest.fixture
def receiver():
    """A webhook's receiver: refuses the first call, then accepts."""
    received, refused = [], []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not refused:
                refused.append(notification)
                self.send_response(503)
            else:
                received.append(notification)
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_said):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received, refused
    server.shutdown()
    server.server_close()


def metrics(url):
    with urlopen(f"{url}/metrics", timeout=20) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def minutes_ago(records, minutes):
    """The same records, moved so that the last of them was received `minutes` ago."""
    shift = (
        time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - (BEGIN_MS // MINUTE_MS * MINUTE_MS) - (minutes + MINUTES) * MINUTE_MS
    )
    return [each | {"received_ms": each["received_ms"] + shift, "sent_ms": each["sent_ms"] + shift} for each in records]


def test_a_running_platform_sends_the_begin_and_the_end_of_an_alert_to_a_webhook(receiver, tmp_path):
    hook, received, refused = receiver
    # No waiting: the minutes have passed when the platform reads its mirror.
    records = minutes_ago(evening_with_stalls(), 3)
    write_log(tmp_path / "mirror" / "fs1", records, begin_s=records[0]["received_ms"] // 1000)
    (tmp_path / "rules.toml").write_text(f'{RULE}\n[[webhook]]\nurl = "{hook}"\n')
    server = start_server(
        *("monitor", "--feedback-server", "http://127.0.0.1:9", "--insecure", "--poll-seconds", "1", "--mirror", "mirror"),
        *("--alerts", "rules.toml", "--listen", "127.0.0.1:0"),
        log=tmp_path / "log",
    )
    eventually(lambda: len(received) == 2, within_s=60)
    assert refused == received[:1]
    begun, ended = received
    assert (begun["rule"], begun["severity"], begun["slice"], begun["until"]) == ("stalls", "critical", {"isp": "HGC"}, None)
    assert begun["explained_by"][0]["by"] == {"platform": "mobile"}
    assert begun["worst_sessions"][0]["session_id"] == "HGC-0"
    assert begun["link"] == f"{server.url}/?isp=HGC&measure=continuity"
    assert ended["until"] - ended["from"] == 5 * MINUTE_MS
    eventually(lambda: metrics(server.url)['swarmscope_monitor_alert_messages_total{outcome="sent"}'] == 2)
    counted = metrics(server.url)
    assert counted["swarmscope_monitor_alerts_total"] == 1
    assert counted['swarmscope_monitor_alerts_open{severity="critical"}'] == 0
    assert server.stop() == 0


@pytest.mark.parametrize("rules", ["[[rule]]\nname = 'x'\n", "no toml ["])
def test_invalid_rules_are_refused_before_anything_starts(rules, tmp_path):
    (tmp_path / "rules.toml").write_text(rules)
    with pytest.raises(NotReadyError, match=r"rules\.toml"):
        start_server("monitor", "--static", ".", "--alerts", "rules.toml", "--listen", "127.0.0.1:0", log=tmp_path / "log")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A platform that shows an evening whose last alert is still open when the files end."""
    folder = tmp_path_factory.mktemp("recorded")
    write_log(folder / "logs", [each for each in evening_with_stalls() if each["received_ms"] < BEGIN_MS + 6 * MINUTE_MS])
    (folder / "rules.toml").write_text(
        RULE + RULE.replace("stalls", "bad for all").replace('by = "isp"\n', "").replace("0.9\n", "0.1\n")
    )
    server = start_server("monitor", "--static", "logs", "--alerts", "rules.toml", "--listen", "127.0.0.1:0", log=folder / "log")
    yield server.url
    assert server.stop() == 0


def test_recorded_files_are_evaluated_at_startup_and_no_webhook_is_called(recorded):
    counted = metrics(recorded)
    assert counted["swarmscope_monitor_alerts_total"] == 1
    assert counted['swarmscope_monitor_alerts_open{severity="critical"}'] == 1
    assert counted['swarmscope_monitor_alerts_open{severity="warning"}'] == 0
    assert not [name for name in counted if "alert_messages" in name]


@pytest.mark.browser
def test_the_page_leads_from_the_alert_to_the_one_viewer(recorded, visit):
    page = visit(recorded, "/alerts")
    page.becomes("() => document.querySelectorAll('#alerts .lasts').length === 1")
    notification = page.page.locator("#alerts").inner_text()
    assert "critical" in notification
    assert "stalls: Continuity of isp HGC is below" in notification
    assert "Platform mobile" in notification
    assert page.page.locator("#alerts-note").inner_text() == "2 rules, recorded files, checked once; 1 open, 0 ended"
    page.page.get_by_role("link", name="HGC-0", exact=True).press("Enter")
    page.becomes("() => document.querySelector('#story-title')?.textContent === 'Session HGC-0'")


@pytest.mark.browser
def test_a_replay_shows_an_alert_when_it_would_have_been_sent(recorded, visit):
    # The first bad minute ends at 4, the second, which the rule waits for, at 5.
    replayed = f"from={BEGIN_MS}&p.replay=60&to="
    page = visit(recorded, f"/alerts?{replayed}{BEGIN_MS + 5 * MINUTE_MS - 1}")
    page.becomes("() => document.querySelector('#alerts-note').textContent.endsWith('; 0 open, 0 ended')")
    assert page.page.locator("#lasting").is_hidden()
    page = visit(recorded, f"/alerts?{replayed}{BEGIN_MS + 5 * MINUTE_MS}")
    page.becomes("() => document.querySelector('#alerts-note').textContent.endsWith('; 1 open, 0 ended')")
    assert "as known at 2012-08-07 09:35 UTC" in page.page.locator("#alerts-note").inner_text()
    assert page.page.locator("#lasting-number").inner_text() == "1"


@pytest.mark.browser
def test_an_operator_follows_the_pages_from_the_alert_to_the_one_viewer(recorded, visit):
    page = visit(recorded, "/")
    # An alert is open: the navigation shows it, the timeline shows what it is and since when.
    assert page.page.get_by_role("link", name="Alerts 1 open").is_visible()
    assert " ".join(page.page.locator("#marks").inner_text().split()).startswith("critical 17:34 (open) stalls: ")
    marked = page.page.evaluate(
        """() => Bokeh.documents[0].get_model_by_name("timeline").children.at(-1).renderers.slice(0, 1)
            .map((each) => each.data_source.data).filter((data) => data.shown_from ?? data.get?.("shown_from"))
            .flatMap((data) => Array.from(data.text ?? data.get("text")))"""
    )
    assert marked == ["critical: stalls: Continuity of isp HGC is below 90.00 %"]
    page.page.get_by_role("link", name="Alerts 1 open").click()
    page.becomes("() => document.querySelectorAll('#alerts .lasts').length === 1")
    # One click leads to the alert's slice in all views, in its measure; another to its sessions, the worst first.
    page.page.get_by_role("link", name="this slice in all views").click()
    page.becomes("() => document.body.dataset.state === 'ok' && document.querySelector('#chips')?.innerText.includes('ISP: HGC')")
    assert page.page.locator("select[name=measure]").input_value() == "continuity"
    page.page.go_back()
    page.page.get_by_role("link", name="sessions of this slice, worst first").click()
    page.becomes("() => document.querySelectorAll('#sessions tbody tr').length === 60")
    worst = page.page.locator("#sessions tbody a").first
    assert worst.inner_text() == "HGC-0"
    worst.click()
    page.becomes("() => document.querySelector('#story-title')?.textContent === 'Session HGC-0'")
    page.becomes("() => document.querySelector('#facts').innerText.includes('mobile')")


@pytest.mark.soak
@pytest.mark.browser
def test_the_page_states_that_there_are_no_alerts(visit, tmp_path):
    write_log(tmp_path / "logs", evening_with_stalls()[:120])
    (tmp_path / "rules.toml").write_text(RULE)
    server = start_server(
        *("monitor", "--static", "logs", "--alerts", "rules.toml", "--listen", "127.0.0.1:0"), log=tmp_path / "log"
    )
    page = visit(server.url, "/alerts")
    page.becomes("() => document.querySelector('#no-alerts').checkVisibility()")
    assert not page.page.locator("#no-rules").is_visible()
    page.page.goto("about:blank")
    assert server.stop() == 0
