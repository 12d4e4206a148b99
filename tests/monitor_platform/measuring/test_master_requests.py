"""A manager starts a measurement through the platform; a master that refuses, lies or is away gives a clear problem."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from feedback_wire.problem import Problem
from monitor_platform.api.trigger_handler import TRIGGER, request_of
from monitor_platform.measuring.master_requests import ANSWER_BYTES, MasterRequests
from monitor_platform.settings import Settings
from tests.harness.ports import free_port
from tests.harness.processes import start_server
from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import KEYS, SECRETS, HandmadeAgent

KEYED = ("--feedback-server", "http://127.0.0.1:9", "--insecure")


@pytest.fixture
def platform(tmp_path):
    """A platform whose manager's key the master knows, and the master."""
    (tmp_path / "keys.toml").write_text(KEYS)
    (tmp_path / "key").write_text(SECRETS["noc"] + "\n")
    allowed = ("--allow-network", "127.0.0.0/8", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "master"))
    master = start_server("measurement-master", "--keys", str(tmp_path / "keys.toml"), *allowed, log=tmp_path / "master.log")
    knows = ("--measurement-master", master.url, "--measurement-key", str(tmp_path / "key"), "--mirror", str(tmp_path / "mirror"))
    monitor = start_server("monitor", *KEYED, "--listen", "127.0.0.1:0", *knows, log=tmp_path / "monitor.log")
    yield monitor, master
    monitor.stop()
    master.stop()


def ask(monitor, **body):
    answer = requests.post(monitor.url + TRIGGER, json=body, timeout=60)
    return answer.status_code, answer.json()


def test_a_manager_starts_a_measurement_or_gets_the_reason_why_the_master_refuses(platform):
    monitor, master = platform
    status, refused = ask(monitor, technique="PING", destinations=["127.0.0.1"])
    assert (status, refused["reason"]) == (400, "invalid_request"), refused
    agent = HandmadeAgent(master.url, "a1", who="a1").connect()
    status, started = ask(monitor, technique="PING", destinations=["127.0.0.1"], parameters={"count": 3})
    assert (status, started["planned"]) == (200, 1), started
    assert agent.next_start()["operation"]["parameters"] == {"count": 3}
    status, wrong = ask(monitor, technique="PING", destinations=["127.0.0.1"], parameters={"colour": "red"})
    assert status == 400
    assert wrong["detail"].startswith("the master refuses: PING has no parameter")
    assert ask(monitor, technique="PING", destinations=["127.0.0.1"], period_s=1)[0] == 400
    master.stop()
    status, away = ask(monitor, technique="PING", destinations=["127.0.0.1"])
    assert (status, away["reason"]) == (502, "master_unreachable")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"destinations": ["a"]}, "'technique' is missing"),
        ({"technique": "PING", "destinations": []}, "'destinations' is missing"),
        ({"technique": "PING", "destinations": ["a"], "priority": 9}, "'priority' is not a field"),
    ],
)
def test_a_request_with_other_fields_is_refused(body, words):
    with pytest.raises(Problem) as refused:
        request_of(body)
    assert words in refused.value.detail


LIES = {
    "garbage": (200, "application/json", b"\xff\xfe"),
    "a list": (200, "application/json", b"[]"),
    "too large": (200, "application/json", b'{"id": "' + b"x" * ANSWER_BYTES + b'"}'),
    "a redirect": (302, "text/html", b""),
    "a key problem": (401, "application/problem+json", json.dumps({"reason": "unauthorized", "status": 401}).encode()),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_cannot_be_used_is_a_bad_gateway(lie):
    status, content_type, content = LIES[lie]

    class Liar(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = MasterRequests(url=f"http://127.0.0.1:{server.server_port}/", key="")
    with pytest.raises(Problem) as refused:
        asyncio.run(client.submit({"technique": "PING"}))
    assert refused.value.status == 502
    server.shutdown()
    server.server_close()
    eventually(lambda: not thread.is_alive())


def test_settings_of_the_master_go_together(tmp_path):
    live = {"feedback_server": ("http://127.0.0.1:9",), "insecure": True}
    with pytest.raises(ValueError, match="--measurement-master is 'master'"):
        Settings(**live, measurement_master="master")
    with pytest.raises(ValueError, match="give its URL too"):
        Settings(**live, measurement_key=tmp_path / "key")
    with pytest.raises(ValueError, match="cannot be read"):
        Settings(**live, measurement_master="http://127.0.0.1:1", measurement_key=tmp_path / "key")
    with pytest.raises(ValueError, match="works only with --feedback-server"):
        Settings(static=(tmp_path,), measurement_master=f"http://127.0.0.1:{free_port()}")
    (tmp_path / "key").write_text("a key with blanks\n")
    with pytest.raises(ValueError, match="--measurement-key"):
        Settings(**live, measurement_master="http://127.0.0.1:1", measurement_key=tmp_path / "key")
