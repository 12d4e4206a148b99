"""Queries that no page sends: too many filters at once, and invalid messages over the websocket."""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
import requests
import urllib3

from feedback_analysis.measures.filters import Range
from feedback_analysis.measures.registry import MEASURES
from monitor_platform.access.guarded_bokeh import raised_by_us
from monitor_platform.dashboard.query_limits import MOST_FILTERS, MOST_RANGES, MOST_VALUES
from tests.harness.logs import record, write_log
from tests.harness.processes import Server, start_server
from tests.monitor_platform.access.websocket_client import Socket

MEANS = [f"mean.{name}" for name, measure in MEASURES.items() if "histogram" in measure.views]
EXTRAS = [f"extra.{number}" for number in range(200)]
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
KNOWN = ("channel", "isp", "district", "country", "app", "platform", "event", "via", "peer_id", "session_id")


FREQUENT_KEEP_ALIVE = """
from bokeh.server.tornado import BokehTornado

BokehTornado.__init__.__kwdefaults__["keep_alive_milliseconds"] = 20
"""


@pytest.fixture(scope="module")
def monitor(tmp_path_factory) -> Iterator[Server]:
    """A platform whose keep-alive runs every 20 ms, not every 37 s: so one comes between a close and its answer."""
    folder = tmp_path_factory.mktemp("hostile-queries")
    write_log(folder / "logs", [record(seq=seq, continuity=0.9, upload_kbps=300) for seq in range(30)])
    (folder / "sitecustomize.py").write_text(FREQUENT_KEEP_ALIVE)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    flags = ("--static", "logs", "--history", "history", "--listen", "127.0.0.1:0")
    server = start_server("monitor", *flags, log=folder / "log", env={"PYTHONPATH": path})
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def open_token(monitor) -> Iterator[str]:
    """The token of an open page. Any number of connections may use it; a new page for each would cost the most time here."""
    token = token_of(monitor, "/")
    with connected(monitor, token):
        yield token


def token_of(monitor: Server, path: str) -> str:
    [token] = re.findall(r'swarmscope\.draw\("([^"]+)"', requests.get(monitor.url + path, timeout=60).text)
    return token


def left_out(count: int) -> dict[str, str]:
    return {"not.isp": json.dumps([str(number) for number in range(count)])}


TOO_MUCH = [
    (dict.fromkeys(EXTRAS[:150], "x"), f"at most {MOST_FILTERS}"),
    (dict.fromkeys(EXTRAS[: MOST_FILTERS + 1], "x"), f"at most {MOST_FILTERS}"),
    (dict.fromkeys(EXTRAS[:9], "x") | {f"vs.{name}": "x" for name in EXTRAS[9:20]}, f"at most {MOST_FILTERS}"),
    (dict.fromkeys(MEANS[:MOST_FILTERS], "..1e9"), f"at most {MOST_RANGES}"),
    (dict.fromkeys(MEANS[: MOST_RANGES + 1], "..1e9"), f"at most {MOST_RANGES}"),
    (left_out(MOST_VALUES + 1), f"at most {MOST_VALUES}"),
]
JUST_ENOUGH = [
    dict.fromkeys(KNOWN, "x") | dict.fromkeys(EXTRAS[: MOST_FILTERS - len(KNOWN)], "x"),
    dict.fromkeys(MEANS[:MOST_RANGES], "..1e9"),
    left_out(MOST_VALUES),
]


@pytest.mark.parametrize(("query", "expected"), TOO_MUCH)
@pytest.mark.parametrize("path", ["/", "/timeline", "/history", "/session", "/api/v1/table?view=map"])
def test_an_address_with_too_many_filters_is_refused(monitor, path, query, expected):
    address = f"{monitor.url}{path}{'&' if '?' in path else '?'}{urlencode(query)}"
    refused = requests.get(address, timeout=60)
    assert (refused.status_code, refused.json()["reason"]) == (400, "too_many_filters")
    assert expected in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/timeline", "/history", "/session"])
def test_a_browser_gets_the_refusal_as_a_page_with_a_link_back(monitor, path):
    address = f"{monitor.url}{path}?{urlencode(dict.fromkeys(EXTRAS[: MOST_FILTERS + 1], 'x'))}"
    refused = requests.get(address, headers={"Accept": BROWSER}, timeout=60)
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "text/html; charset=UTF-8")
    assert f"{MOST_FILTERS + 1} filters are too many for one query; use at most {MOST_FILTERS}" in refused.text
    [back] = re.findall('<a href="([^"]*)">open this page without filters</a>', refused.text)
    assert urljoin(address, back) == monitor.url + path
    assert "script-src" not in refused.headers["Content-Security-Policy"]
    if path == "/":
        assert requests.get(monitor.url + path, headers={"Accept": BROWSER}, timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["table?view=map&", "summary?", "history/summary?"])
def test_an_api_answers_browsers_in_json_too(monitor, path):
    query = dict.fromkeys(EXTRAS[: MOST_FILTERS + 1], "x")
    query = query if "table" in path else {f"where.{name}": value for name, value in query.items()}
    refused = requests.get(f"{monitor.url}/api/v1/{path}{urlencode(query)}", headers={"Accept": BROWSER}, timeout=60)
    assert (refused.status_code, refused.json()["reason"]) == (400, "too_many_filters")


def test_the_link_back_leads_to_no_other_site(monitor):
    """`//evil.example` would be another site if it were used unchanged."""
    address = f"{monitor.url}//evil.example?bokeh-token=x"
    query = urllib3.PoolManager().request("GET", address, headers={"Accept": BROWSER}, timeout=60)
    assert query.status == 403
    links = re.findall('href="(.*?)"', query.data.decode().split("<h1>")[1])
    assert links
    assert all(urljoin(address, link).startswith(f"{monitor.url}/") for link in links)


NO_SENSE = [
    f"from=x&to=y&minutes=-5&compare={'9' * 900}&vs.x=1&vs.=&measure=nix&series=x,,&by=extra.%00&table=zz&p.day=x&%&&==",
    f"from=1&to={'9' * 900}&minutes={'9' * 900}&measure=extra.%00&mean.continuity=nan..nan&mean.nix=1..2&p.day=9999-12-31",
    "from=9&to=1&from=%ff&not.isp=[&area=zz&channel=%00&mean.mos=1e999..&p.day=0001-01-01&p.timezone=../../etc/passwd",
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", each) for each in NO_SENSE]
    + [("/history", NO_SENSE[-1]), *(pytest.param("/history", each, marks=pytest.mark.soak) for each in NO_SENSE[:-1])],
)
def test_invalid_parts_of_an_address_are_ignored(monitor, path, expected):
    wrong = errors(monitor)
    with Viewer(monitor, f"{path}?{expected}") as viewer:
        viewer.change(viewer.exchange["id"], "zone", "UTC")  # the browser's time zone, which pages with times wait for
        assert "No answer" not in json.dumps(viewer.next_facts())
    assert errors(monitor) == wrong


@pytest.mark.parametrize("path", ["summary", "history/summary", "history/timeline"])
def test_api_requests_have_the_same_limits_as_pages(monitor, path):
    for names in (EXTRAS[: MOST_FILTERS + 1], EXTRAS[:150]):
        refused = requests.get(f"{monitor.url}/api/v1/{path}", {f"where.{name}": "x" for name in names}, timeout=60)
        assert (refused.status_code, refused.json()["reason"]) == (400, "too_many_filters")
        assert f"at most {MOST_FILTERS}" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("path", "query"),
    [("/api/v1/table?view=map", each) for each in JUST_ENOUGH]
    + [("/", JUST_ENOUGH[-1]), *(pytest.param("/", each, marks=pytest.mark.soak) for each in JUST_ENOUGH[:-1])],
)
def test_an_address_at_the_limit_is_answered(monitor, path, query):
    address = f"{monitor.url}{path}{'&' if '?' in path else '?'}{urlencode(query)}"
    assert requests.get(address, timeout=60).status_code == 200


def test_a_summary_is_grouped_by_at_most_sixteen_names(monitor):
    at_the_limit, beyond = (",".join(EXTRAS[:count]) for count in (16, 17))
    assert requests.get(f"{monitor.url}/api/v1/summary", {"by": at_the_limit}, timeout=60).status_code == 200
    for path in ("summary", "history/summary"):
        refused = requests.get(f"{monitor.url}/api/v1/{path}", {"by": beyond}, timeout=60)
        assert refused.status_code == 400
        assert "at most 16" in refused.json()["detail"]


@pytest.mark.parametrize("top", ["0", "-1", "1.5", "10001", "9" * 100, "all"])
@pytest.mark.parametrize("path", ["summary", "history/summary"])
def test_an_impossible_number_of_groups_is_refused(monitor, path, top):
    refused = requests.get(f"{monitor.url}/api/v1/{path}", {"by": "channel", "top": top}, timeout=60)
    assert (refused.status_code, refused.json()["reason"]) == (400, "bad_parameter")
    assert "from 1 to 10,000" in refused.json()["detail"]


NO_FLAT_LISTS = ["[" * 600 + "]" * 600, '[["a"]]', '[{"a": 1}]', "[null]", r'["\ud800"]']


@pytest.mark.parametrize("listed", NO_FLAT_LISTS, ids=lambda text: text[:12])
@pytest.mark.parametrize(
    ("path", "name"),
    [("/api/v1/summary", "where.not.isp"), ("/api/v1/history/summary", "where.not.isp"), ("/api/v1/table?view=map", "not.isp")],
)
def test_a_nested_list_is_refused_with_the_reason(monitor, path, name, listed):
    wrong = errors(monitor)
    refused = requests.get(monitor.url + path, {name: listed}, timeout=60)
    assert (refused.status_code, refused.json()["reason"]) == (400, "bad_parameter")
    assert "lists do not nest" in refused.json()["detail"]
    assert errors(monitor) == wrong


@pytest.mark.parametrize("path", ["/api/v1/summary", "/api/v1/history/summary"])
def test_a_list_that_is_nested_more_deeply_than_an_address_of_a_page_can_hold_is_refused(monitor, path):
    test_a_nested_list_is_refused_with_the_reason(monitor, path, "where.not.isp", "[" * 2_000 + "]" * 2_000)


def connected(monitor: Server, token: str, path: str = "/") -> Socket:
    """The websocket of the page at `path`, as its script opens it."""
    host = monitor.url.removeprefix("http://")
    opened = Socket(host, path=f"{path.partition('?')[0].rstrip('/')}/ws", token=token)
    opened.connection.settimeout(60)
    assert opened.receive()[0] == "ACK"
    return opened


class Viewer:
    """A client that speaks the websocket protocol of the page at `path` by hand."""

    def __init__(self, monitor: Server, path: str = "/") -> None:
        self.socket = connected(monitor, token_of(monitor, path), path)
        self.socket.send_bokeh("PULL-DOC-REQ", {})
        self.document = self.until("PULL-DOC-REPLY")
        self.exchange = exchange_in(self.document)
        self._held: str = self.exchange.get("attributes", {}).get("facts", "")

    def __enter__(self) -> "Viewer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.connection.close()

    def until(self, kind: str) -> Any:
        """The content of the next message of this kind."""
        heard, content = self.socket.receive()
        while heard != kind:
            heard, content = self.socket.receive()
        return content

    def change(self, model: str, attribute: str, value: object) -> None:
        event = {"kind": "ModelChanged", "model": {"id": model}, "attr": attribute, "new": value}
        self.socket.send_bokeh("PATCH-DOC", {"events": [event]})

    def models(self, name: str) -> list[str]:
        """The ids of all models of this kind in the page."""
        return [each["id"] for each in _objects(self.document) if each.get("name") == name and "id" in each]

    def next_facts(self) -> dict[str, Any]:
        """The next facts that the page gets; at first those that it already has, if it got them before its websocket."""
        held, self._held = self._held, ""
        if held:
            return json.loads(held)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for event in self.until("PATCH-DOC")["events"]:
                if event.get("attr") == "facts":
                    return json.loads(event["new"])
        raise TimeoutError("the page gets no event")


def _objects(part: object) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _objects(each)


def exchange_in(document: object) -> dict[str, Any]:
    [exchange] = [each for each in _objects(document) if str(each.get("name", "")).endswith("Exchange") and "id" in each]
    return exchange


def exchange_of(viewer: Viewer) -> str:
    return exchange_in(viewer.document)["id"]


def test_an_open_page_with_too_many_filters_shows_the_limit_and_continues(monitor):
    wrong = errors(monitor)
    with Viewer(monitor) as viewer:
        viewer.next_facts()
        viewer.change(exchange_of(viewer), "asked", urlencode(dict.fromkeys(MEANS[:MOST_FILTERS], "..1e9")))
        assert f"at most {MOST_RANGES}" in viewer.next_facts()["state"]["text"]
        viewer.change(exchange_of(viewer), "asked", "channel=c1")
        assert "at most" not in viewer.next_facts()["state"].get("text", "")
    assert errors(monitor) == wrong


def test_selecting_a_bar_or_a_region_that_is_not_drawn_changes_nothing(monitor):
    wrong = errors(monitor)
    with Viewer(monitor) as viewer:
        viewer.next_facts()
        selections = viewer.models("Selection")
        assert len(selections) >= 3  # map, districts, histogram
        for selection, place in itertools.product(selections, ([10_000], [-1], [-10_000], [2**40])):
            viewer.change(selection, "indices", place)
            assert viewer.until("OK") is not None
        viewer.change(exchange_of(viewer), "asked", "channel=c1")
        assert [chip["names"] for chip in viewer.next_facts()["chips"]] == [["channel"]]
    assert errors(monitor) == wrong


def message(kind: str, content: object) -> list[str]:
    return [json.dumps(part) for part in ({"msgtype": kind, "msgid": "1"}, {}, content)]


MADE_UP = {
    "an unknown model": message(
        "PATCH-DOC", {"events": [{"kind": "ModelChanged", "model": {"id": "no such"}, "attr": "indices", "new": [1]}]}
    ),
    "an unknown event": message("PATCH-DOC", {"events": [{"kind": "MadeUp"}]}),
    "no content": message("PATCH-DOC", {}),
    "content of another shape": message("PATCH-DOC", 5),
    "an unknown kind": message("MADE-UP", {}),
    "a document of one's own": message("PUSH-DOC", {"doc": {"roots": [], "title": "mine", "version": "3"}}),
    "no JSON": ["{", "{", "{"],
    "no head": ["[]", "{}", "{}"],
    "lines that a log would take for its own": ['"\\nERROR x\\u001b[31m"', "{}", "{}"],
    "nested beyond reason": ["[" * 30_000, "{}", "{}"],
    "bytes": [b"\x00\xff"],
}


@pytest.mark.parametrize("parts", MADE_UP.values(), ids=MADE_UP)
def test_a_message_that_no_page_sends_closes_its_connection_and_logs_one_line(monitor, open_token, parts):
    before, lines = bad_messages(monitor), len(monitor.log_text().splitlines())
    with connected(monitor, open_token) as opened:
        for part in parts:
            opened.send(part)
        assert opened.close_code() == 1008
    assert bad_messages(monitor) == before + 1
    logged = monitor.log_text().splitlines()[lines:]
    assert len(logged) == 1, logged
    line = logged[0]
    assert " WARNING monitor_platform.access.guarded_bokeh: bad_message: " in line
    assert len(line) < 300
    assert line.isprintable()


def test_a_keep_alive_between_the_close_and_its_answer_logs_no_traceback(monitor, open_token):
    before = len(monitor.log_text().splitlines())
    with connected(monitor, open_token) as opened:
        for part in MADE_UP["an unknown event"]:
            opened.send(part)
        assert opened.close_code() == 1008
        with pytest.raises(ConnectionError):  # the server gives up waiting for the client's close
            opened.opcode()
    [line] = monitor.log_text().splitlines()[before:]
    assert " bad_message: " in line


def test_an_error_of_our_own_keeps_its_traceback():
    with pytest.raises(ValueError, match="Expecting value") as not_ours:
        json.loads("no JSON")
    with pytest.raises(ValueError, match="range") as ours:
        Range.parse("no range")
    assert (raised_by_us(not_ours.value), raised_by_us(ours.value)) == (False, True)


def errors(monitor: Server) -> int:
    return monitor.log_text().count("Traceback")


def bad_messages(monitor: Server) -> float:
    metrics = requests.get(f"{monitor.url}/metrics", timeout=60).text
    [count] = re.findall(r'swarmscope_monitor_turned_away_total{reason="bad_message"} (\S+)', metrics) or ["0"]
    return float(count)
