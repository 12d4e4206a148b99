"""The process as scripts, scrapers and pages of other sites see it."""

import base64
import gzip
import hashlib
import json
import os
import re
import socket
import urllib.error
import urllib.request
from collections import Counter
from contextlib import ExitStack

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from tests.harness.processes import run_swarmscope, start_server

FILES = ("duplicates", "conflicts", "unreadable", "lost", "late", "implausible")
"""Facts about files, which groups do not have."""


@pytest.fixture(scope="module")
def monitor(recorded, tmp_path_factory):
    server = start_server(
        "monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", log=tmp_path_factory.mktemp("log") / "log"
    )
    yield server
    assert server.stop() == 0


def get(url, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read()


def shake_hands(monitor, origin):
    """The status of the answer to a websocket from a page at `origin`."""
    host = monitor.url.removeprefix("http://")
    name, port = host.split(":")
    request = (
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Protocol: bokeh, none\r\n"
        f"Origin: {origin}\r\n\r\n"
    )
    with socket.create_connection((name, int(port)), timeout=10) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])


def test_the_summary_equals_the_measures_of_the_files(monitor, recorded, invented):
    begin = invented.begin_ms
    with Locator() as locator:
        table = open_logs([recorded], locator=locator, mos=MosModel())
        everything = summarize(table, by=("channel", "isp")) | {"unread_logs": 0}
        minute = summarize(table, span=Span(begin, begin + 60_000), by=("district",)) | {"unread_logs": 0}
        table.close()
    assert json.loads(get(f"{monitor.url}/api/v1/summary?by=channel,isp")[2]) == everything
    for ends in (f"from={begin}&to={begin + 60_000}", "from=2012-08-07T09:30:00Z&to=2012-08-07T17:31:00%2B08:00"):
        assert json.loads(get(f"{monitor.url}/api/v1/summary?by=district&{ends}")[2]) == minute


def test_the_summary_is_filtered_as_it_is_grouped(monitor):
    def summary(query):
        return json.loads(get(f"{monitor.url}/api/v1/summary?{query}")[2])

    groups = summary("by=isp,%20extra.codec")["groups"]
    assert [list(group["by"]) for group in groups] == [["isp", "extra.codec"]] * len(groups)
    [wanted] = [group for group in groups if group["by"] == {"isp": "PCCW", "extra.codec": "av1"}]
    found = summary("where.isp=PCCW&where.extra.codec=av1")
    assert found["peers"] == 15
    assert all(found[name] == wanted[name] for name in wanted if name not in ("by", *FILES))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("from=yesterday", "'from': 'yesterday' is not a time"),
        ("to=99999999999999999999999", "'to': '99999999999999999999999' is too large"),
        ("from=1700000000", "'from': '1700000000' looks like Unix seconds"),
        ("from=1344331800001&to=1344331800000", "'from' is later than 'to'"),
        ("by=shoe_size", "'shoe_size' is not a dimension to"),
        ("where.shoe_size=43", "'shoe_size' is not a dimension to"),
        ("where.isp=a&where.isp=b", "'where.isp' is given twice"),
        ("colour=red", "'colour' is not a parameter"),
    ],
)
def test_bad_parameters_get_a_problem_with_the_reason(monitor, query, reason):
    status, headers, body = get(f"{monitor.url}/api/v1/summary?{query}")
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert reason in json.loads(body)["detail"]


def test_health_readiness_and_metrics_answer(monitor):
    assert get(f"{monitor.url}/healthz")[0] == get(f"{monitor.url}/readyz")[0] == 200
    _, headers, body = get(f"{monitor.url}/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    assert b"swarmscope_monitor_viewers 0.0" in body
    assert b"# TYPE swarmscope_monitor_queries_total counter" in body


def test_the_page_of_measures_names_the_document_on_how_well_scores_predict_people(monitor):
    page = get(f"{monitor.url}/measures")[2].decode()
    assert "How well scores predict people's ratings: docs/scores-and-people.md" in page


def test_a_browser_caches_scripts_and_styles_until_they_change(monitor):
    links = re.findall(r'"(assets/[^"]+\.(?:css|js)[^"]*)"', get(f"{monitor.url}/")[2].decode())
    assert len(links) == 5  # each request delays the first picture
    for link in links:
        status, headers, content = get(f"{monitor.url}/{link}")
        assert (status, headers["Cache-Control"]) == (200, "public, max-age=315360000, immutable")
        assert hashlib.sha256(content).hexdigest().startswith(link.split("/")[-1].split(".")[0]), "another content, another name"


def test_scripts_are_sent_compressed_to_browsers_that_ask_for_it(monitor):
    links = re.findall(r'"(assets/joined/[^"]+)"', get(f"{monitor.url}/")[2].decode())
    for link in links:
        plain = get(f"{monitor.url}/{link}")[2]
        _, headers, compressed = get(f"{monitor.url}/{link}", {"Accept-Encoding": "gzip, br"})
        assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert gzip.decompress(compressed) == plain
    assert get(f"{monitor.url}/assets/joined/0123456789abcdef0123.js")[0] == 404


def test_every_answer_forbids_the_browser_to_load_from_elsewhere(monitor):
    for path in ("/", "/api/v1/summary", "/assets/dashboard.css"):
        policy = get(monitor.url + path)[1]["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'")
        assert "frame-ancestors 'self'" in policy


def test_a_websocket_is_only_for_pages_of_this_dashboard(monitor):
    host = monitor.url.removeprefix("http://")
    port = host.split(":")[1]
    assert shake_hands(monitor, f"http://{host}") == 101
    for stranger in (
        "http://evil.example",
        f"http://127.0.0.1.evil.example:{port}",
        f"http://evil.example:{port}",
        "null",
        "http://127.0.0.1:1",
    ):
        assert shake_hands(monitor, stranger) == 403, stranger


def test_a_foreign_host_name_that_resolves_here_reads_nothing(monitor):
    status, _, body = get(f"{monitor.url}/api/v1/summary", {"Host": "evil.example"})
    assert status == 403
    assert b"messages" not in body
    status, _, body = get(f"{monitor.url}/map?channel=x", {"Host": "evil.example", "Accept": "text/html"})
    assert status == 403
    assert b"use the address that it printed at its start." in body
    assert b"<a " not in body  # it would lead to the same refusal


def test_a_session_that_was_not_issued_here_is_refused(monitor):
    assert get(f"{monitor.url}/?bokeh-session-id=invented")[0] == 403


def test_an_unknown_address_is_a_page_with_a_link_back_or_a_problem(monitor):
    status, headers, body = get(f"{monitor.url}/<i>nope", {"Accept": "text/html,*/*"})
    assert (status, headers["X-Content-Type-Options"]) == (404, "nosniff")
    assert b"There is nothing at /&lt;i&gt;nope." in body
    assert b'<a href="./">To the overview</a>' in body
    status, headers, body = get(f"{monitor.url}/api/v1/nope")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(body)["reason"] == "not_found"


def test_a_query_that_waits_when_the_platform_stops_gets_503_and_is_no_error(recorded, tmp_path):
    server = start_server("monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", log=tmp_path / "log")
    with ExitStack() as opened:
        asking = [opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30)) for _ in range(120)]
        for number, connection in enumerate(asking):
            query = f"/api/v1/summary?by=channel,isp,district&where.peer_id=p{number}"
            connection.sendall(f"GET {query} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        asking[0].recv(1, socket.MSG_PEEK)  # the first answer
        assert server.stop() == 0
        statuses = Counter(_status(connection) for connection in asking)
    assert statuses["200"]
    assert statuses["503"]
    assert statuses.keys() <= {"200", "503", "none"}
    assert " 500 " not in server.log_text()


def _status(connection):
    try:
        return connection.recv(4096).decode().partition(" ")[2][:3] or "none"
    except ConnectionResetError:
        return "none"


def test_other_coefficients_apply_to_the_pages_too(serve, recorded):
    flags = ("--model-set", "startup_score.half_s=1e6", "--model-set", "mos.calibration=none")
    server = serve("monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", *flags)
    [head, *rows] = get(f"{server.url}/api/v1/table?view=map&measure=startup_score")[2].decode().splitlines()
    assert head == '"Area","Startup score","n (peers)"'
    assert min(float(row.split(",")[1]) for row in rows) > 99
    with Locator() as locator:
        table = open_logs([recorded], locator=locator, mos=MosModel(calibration="none"))
        bare = summarize(table)["mos"]
        table.close()
    assert json.loads(get(f"{server.url}/api/v1/summary")[2])["mos"] == bare


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (("--static", "no-such-folder", "--listen", "127.0.0.1:0"), 1, "no-such-folder"),
        (("--feedback-server", "http://127.0.0.1:1"), 2, "--read-token"),
        (("--static", ".", "--listen", "0.0.0.0:0"), 2, "--users"),
        (("--static", ".", "--model-set", "mos.nope=1"), 2, "no coefficient 'nope'"),
        (("--static", ".", "--mos-lambda", "0"), 2, "--mos-lambda"),
        (("--static", ".", "--listen", "127.0.0.1:0", "--geo-city", "no-such.mmdb"), 2, "no-such.mmdb"),
    ],
)
def test_a_startup_error_is_reported_in_one_line(tmp_path, arguments, code, advice):
    ended = run_swarmscope("monitor", *arguments, cwd=tmp_path)
    assert ended.returncode == code
    assert advice in " ".join((ended.stdout + ended.stderr).split())
    assert "Traceback" not in ended.stderr
