"""`swarmscope monitor --alerts`: rules are evaluated live, sent to a real receiver, counted, silenced, and shown on a page."""

import json
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.harness.logs import BEGIN_MS, write_log
from tests.harness.processes import NotReadyError, start_server
from tests.harness.waiting import eventually
from tests.monitor_platform.access.conftest import add_user
from tests.monitor_platform.alerts.test_alert_watch import MINUTES, evening_with_stalls

MINUTE_MS = 60_000
LIVE = (
    *("monitor", "--feedback-server", "http://127.0.0.1:9", "--insecure", "--poll-seconds", "1", "--mirror", "mirror"),
    *("--alerts", "rules.toml", "--listen", "127.0.0.1:0"),
)
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


def ask(url, path, body=None, *, method=None, user="", **headers):
    """The status and the JSON of an answer of the platform. `user`: NAME:PASSWORD."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()} | (
        {"Content-Type": "application/json"} if data else {}
    )
    if user:
        named["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    try:
        with urlopen(Request(url + path, data, named, method=method), timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as refused:
        return refused.code, json.loads(refused.read())


def minutes_ago(records, minutes, *, of=MINUTES):
    """The same records, moved so that the last of their `of` minutes ended `minutes` ago."""
    shift = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - (BEGIN_MS // MINUTE_MS * MINUTE_MS) - (minutes + of) * MINUTE_MS
    return [each | {"received_ms": each["received_ms"] + shift, "sent_ms": each["sent_ms"] + shift} for each in records]


def test_a_running_platform_sends_the_start_and_the_end_of_an_alert_to_a_webhook(receiver, tmp_path):
    hook, received, refused = receiver
    # No waiting: the minutes have passed when the platform reads its mirror.
    records = minutes_ago(evening_with_stalls(), 3)
    write_log(tmp_path / "mirror" / "fs1", records, begin_s=records[0]["received_ms"] // 1000)
    (tmp_path / "rules.toml").write_text(f'{RULE}\n[[webhook]]\nurl = "{hook}"\n')
    server = start_server(*LIVE, log=tmp_path / "log")
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
    status, silence = ask(server.url, "/api/v1/silences", {"rule": "stalls", "slice": {"isp": "HGC"}, "minutes": 60})
    assert (status, ask(server.url, "/api/v1/silences")) == (200, (200, [silence]))
    assert server.stop() == 0
    received.clear()
    restarted_and_silenced(silence, received, tmp_path)


def restarted_and_silenced(silence, received, folder):
    """After a restart the minutes are evaluated again, and the silenced alert reaches no webhook. Now with a login."""
    add_user(folder / "users", "mei", "secret")
    server = start_server(*LIVE, "--users", "users", log=folder / "log")
    mei = {"user": "mei:secret"}
    eventually(lambda: [each["until"] for each in ask(server.url, "/api/v1/alerts", **mei)[1]["alerts"]] not in ([], [None]))
    # A test message is sent after all others, so it is the first one that arrives.
    assert ask(server.url, "/api/v1/webhooks/0/test", {}, **mei)[0] == 200
    eventually(lambda: received)
    assert [each["title"] for each in received] == ["Test message of Swarmscope"]
    _, [webhook] = ask(server.url, "/api/v1/webhooks", **mei)
    assert [(each["outcome"], each["answer"]) for each in webhook["deliveries"]] == [("sent", "204")]
    refused_and_ended(server, silence, mei)
    rules_changed(server, folder / "rules.toml", mei)
    assert server.stop() == 0


def refused_and_ended(server, silence, mei):
    """Changes need a login, a page of this dashboard, and JSON; the name of the user is kept."""
    assert ask(server.url, "/api/v1/silences", {"rule": "stalls", "minutes": 1})[0] == 401
    whole_rule = {"rule": "stalls", "minutes": 5, "comment": "翡翠台"}
    status, refused = ask(server.url, "/api/v1/silences", whole_rule, Origin="https://evil.example", **mei)
    assert (status, refused["reason"]) == (403, "foreign_origin")
    status, refused = ask(server.url, f"/api/v1/silences/{silence['id']}", method="DELETE", Sec_Fetch_Site="cross-site", **mei)
    assert (status, refused["reason"]) == (403, "foreign_origin")
    status, refused = ask(server.url, "/api/v1/silences", {"rule": "other", "minutes": 5}, **mei)
    assert (status, refused["reason"]) == (400, "bad_parameter")
    status, made = ask(server.url, "/api/v1/silences", whole_rule, **mei)
    assert (status, made["by"], made["slice"], made["comment"]) == (200, "mei", None, "翡翠台")
    assert ask(server.url, "/api/v1/silences", **mei) == (200, [made, silence])
    assert ask(server.url, f"/api/v1/silences/{silence['id']}", method="DELETE", **mei) == (200, silence)
    assert ask(server.url, f"/api/v1/silences/{silence['id']}", method="DELETE", **mei)[0] == 404
    assert ask(server.url, "/api/v1/silences", **mei) == (200, [made])
    view = {"name": "晚上", "address": "/?isp=HGC"}
    assert ask(server.url, "/api/v1/views", view, Origin="https://evil.example", **mei)[0] == 403
    status, saved = ask(server.url, "/api/v1/views", view, **mei)
    assert (status, ask(server.url, "/api/v1/views", **mei)) == (200, (200, [saved]))
    assert ask(server.url, "/api/v1/views", view | {"address": "https://evil.example/"}, **mei)[0] == 400
    assert ask(server.url, f"/api/v1/views/{saved['id']}", method="DELETE", **mei) == (200, saved)


def rules_changed(server, path, mei):
    """A rule is tried, and changed in the file, which another process may change too."""
    _, state = ask(server.url, "/api/v1/rules", **mei)
    assert (state["changed"], state["not_writable"], [rule["name"] for rule in state["rules"]]) == (False, "", ["stalls"])
    milder = {"name": "stalls", "measure": "continuity", "by": ["isp"], "below": 0.1}
    assert ask(server.url, "/api/v1/rules/dry-run", state["rules"][0], **mei)[1]["alerts"][0]["slice"] == {"isp": "HGC"}
    assert ask(server.url, "/api/v1/rules/dry-run", milder, **mei)[1]["alerts"] == []
    change = {"rule": milder, "replaces": "stalls", "revision": state["revision"]}
    assert ask(server.url, "/api/v1/rules", change, Sec_Fetch_Site="cross-site", **mei)[0] == 403
    assert ask(server.url, "/api/v1/rules", change | {"rule": {"name": "x"}}, **mei)[0] == 400
    status, changed = ask(server.url, "/api/v1/rules", change, **mei)
    assert (status, changed["rules"][0]["below"], "below = 0.1" in path.read_text()) == (200, 0.1, True)
    path.write_text(path.read_text().replace("0.1", "0.2"))
    status, refused = ask(server.url, "/api/v1/rules", change | {"revision": changed["revision"]}, **mei)
    assert (status, refused["reason"]) == (409, "file_changed")
    status, loaded = ask(server.url, "/api/v1/rules/load", {}, **mei)
    assert (status, loaded["changed"], loaded["rules"][0]["below"]) == (200, False, 0.2)


@pytest.fixture
def alerting(tmp_path):
    """A live platform with an open alert, for which its rule waits so long that it stays open without reports."""
    bad = [each for each in evening_with_stalls() if BEGIN_MS + 3 * MINUTE_MS <= each["received_ms"] < BEGIN_MS + 7 * MINUTE_MS]
    more = [each | {"seq": each["seq"] + 4, "received_ms": each["received_ms"] + 4 * MINUTE_MS} for each in bad]
    records = minutes_ago([*bad, *more], 0, of=11)
    write_log(tmp_path / "mirror" / "fs1", records, begin_s=records[0]["received_ms"] // 1000)
    (tmp_path / "rules.toml").write_text(f"{RULE}for_minutes = 6\n")
    server = start_server(*LIVE, log=tmp_path / "log")
    eventually(lambda: ask(server.url, "/api/v1/alerts")[1]["rules"][0]["open"] == 1)
    yield server.url
    assert server.stop() == 0


@pytest.mark.browser
def test_an_operator_with_a_phone_silences_an_alert_in_two_taps_and_ends_the_silence(alerting, visit):
    phone = visit(alerting, width=390)
    phone.becomes("() => document.querySelector('#marks button') !== null")
    phone.page.locator("#marks button").click()
    phone.page.get_by_role("button", name="1 hour").click()
    phone.becomes("() => document.querySelector('#marks').innerText.includes('silenced until')")
    _, [silence] = ask(alerting, "/api/v1/silences")
    assert (silence["rule"], silence["slice"]) == ("stalls", {"isp": "HGC"})
    assert phone.page.locator("#lasting").is_hidden()
    phone.open(f"{alerting}/alerts")
    phone.becomes("() => document.querySelector('#alerts-note').innerText.includes('1 open (1 silenced), 0 ended')")
    phone.page.locator("#alerts").get_by_role("button", name="End now").click()
    phone.becomes("() => document.querySelector('#no-silences').checkVisibility()")
    assert ask(alerting, "/api/v1/silences") == (200, [])


@pytest.mark.browser
@pytest.mark.soak
def test_an_operator_annotates_saves_a_view_acknowledges_an_alert_edits_its_rule_and_starts_wall_mode(alerting, visit, tmp_path):
    phone = visit(alerting, width=390)
    phone.becomes("() => document.querySelector('#marks button') !== null")
    phone.page.get_by_role("button", name="Annotate").click()
    phone.page.fill("#annotations-form [name=text]", "player 2.1 is deployed")
    phone.page.get_by_role("button", name="Add", exact=True).click()
    phone.becomes("() => document.querySelector('#annotations-list').textContent.includes('player 2.1 is deployed')")
    phone.page.get_by_role("button", name="Saved views").click()
    phone.page.fill("#views-form [name=name]", "the evening")
    phone.page.get_by_role("button", name="Save this view").click()
    phone.page.get_by_role("link", name="the evening").click()
    phone.becomes("() => document.body.dataset.state === 'ok' && document.querySelector('#marks').innerText !== ''")
    page = visit(alerting, "/alerts")
    page.becomes("() => document.querySelector('#alerts-note').innerText.includes('1 open, 0 ended')")
    assert page.page.locator("#rules tbody tr").inner_text().split()[:2] == ["Firing", "stalls"]
    page.page.get_by_role("button", name="Acknowledge").click()
    page.page.fill("#silence-comment", "<b>on it</b>")
    page.page.locator("#silence-acknowledge").click()
    page.becomes("() => document.querySelector('#alerts').innerText.includes(': <b>on it</b>')")
    assert page.page.locator("#alerts .severity").inner_text().endswith(", acknowledged")
    assert page.page.locator("#alerts .lasts").count() == 0, "an alert that a user works on does not stand out"
    page.page.get_by_role("button", name="Edit the rule stalls").click()
    page.becomes("() => document.querySelector('#rule-form [name=by]').value === 'isp'")
    page.page.locator("#rule-try").click()
    page.becomes("() => document.querySelector('#rule-found').innerText.startsWith('1 alert from')")
    page.page.fill("#rule-form [name=value]", "0.125")
    page.page.locator("#rule-save").click()
    page.becomes("() => document.querySelector('#rules tbody').innerText.includes('12.50 %')")
    page.becomes("() => document.querySelector('#alerts-note').innerText.includes('0 open, 1 ended')")
    assert "below = 0.125\n" in (tmp_path / "rules.toml").read_text()
    page.page.goto(f"{alerting}/?p.wall=5&p.pages=/,/alerts,/nowhere")
    assert not page.page.locator("nav").is_visible()
    page.becomes("() => location.pathname === '/alerts' && location.search.includes('p.wall=5')")
    page.becomes("() => location.pathname === '/'")
    page.page.keyboard.press("Escape")
    page.becomes("() => location.search === '' && document.querySelector('nav')?.checkVisibility()")


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
def test_a_replay_shows_an_alert_when_it_would_have_been_sent(recorded, visit):
    # The first bad minute ends at 4, the second, which the rule waits for, at 5.
    replayed = f"from={BEGIN_MS}&p.replay=60&to="
    page = visit(recorded, f"/alerts?{replayed}{BEGIN_MS + 5 * MINUTE_MS - 1}")
    page.becomes("() => document.querySelector('#alerts-note').textContent.includes('; 0 open, 0 ended')")
    assert page.page.locator("#lasting").is_hidden()
    page = visit(recorded, f"/alerts?{replayed}{BEGIN_MS + 5 * MINUTE_MS}")
    page.becomes("() => document.querySelector('#alerts-note').textContent.includes('; 1 open, 0 ended')")
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
    assert marked == ["critical: stalls: Continuity of ISP HGC is below 90.00 %"]
    page.page.get_by_role("link", name="Alerts 1 open").click()
    page.becomes("() => document.querySelectorAll('#alerts .lasts').length === 1")
    notification = page.page.locator("#alerts").inner_text()
    assert all(text in notification for text in ("critical", "stalls: Continuity of ISP HGC is below", "Platform mobile"))
    order = "open ones first, then the latest to begin"
    assert page.page.locator("#alerts-note").inner_text() == f"2 rules, recorded files, checked once; 1 open, 0 ended; {order}"
    assert page.page.get_by_role("link", name="HGC-0", exact=True).is_visible()
    # One click leads to the alert's slice in all views, in its measure; another to its sessions, the worst first.
    page.page.get_by_role("link", name="this slice in all views").click()
    page.becomes("() => document.body.dataset.state === 'ok' && document.querySelector('#chips')?.innerText.includes('ISP: HGC')")
    assert page.page.locator("select[name=measure]").input_value() == "continuity"
    page.page.go_back()
    page.page.get_by_role("link", name="its worst sessions").click()
    page.becomes("() => document.querySelectorAll('#sessions tbody tr').length === 60")
    worst = page.page.locator("#sessions tbody a").first
    assert worst.inner_text() == "HGC-0"
    worst.click()
    page.becomes("() => document.querySelector('#story-title')?.textContent === 'Peer HGC-0'")
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
