"""An alert about viewers starts measurements, and the alert shows their verdict. All parts are real processes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.harness.deployment import metrics
from tests.harness.logs import write_log
from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import KEYS, SECRETS, start_agent, start_master
from tests.monitor_platform.alerts.test_alert_service import minutes_ago
from tests.monitor_platform.alerts.test_alert_watch import evening_with_stalls

pytestmark = pytest.mark.journey

RULES = """
[[rule]]
name = "stalls"
measure = "continuity"
by = "isp"
below = 0.9
diagnose = true
destinations = ["127.0.0.1"]

[[webhook]]
url = "URL"
"""


@pytest.fixture
def receiver():
    """A webhook's receiver."""
    received = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()


def alerts(monitor):
    return requests.get(f"{monitor.url}/api/v1/alerts", timeout=60).json()["alerts"]


def diagnosed(monitor):
    return [each["diagnosis"] for each in alerts(monitor) if each["diagnosis"] and each["diagnosis"]["state"] != "running"]


def platform(deployment, serve, tmp_path, hook):
    """A platform with the evening of some minutes ago, and a master that it knows."""
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    (tmp_path / "keys.toml").write_text(KEYS)
    (tmp_path / "key").write_text(SECRETS["noc"])
    keyed = ("--keys", str(tmp_path / "keys.toml"))
    master = start_master(serve, tmp_path, "--coordinator", coordinator.url, access=keyed)
    records = minutes_ago(evening_with_stalls(), 1)
    write_log(tmp_path / "mirror" / "fs1", records, begin_s=records[0]["received_ms"] // 1000)
    (tmp_path / "rules.toml").write_text(RULES.replace("URL", hook))
    return master, (
        *("--alerts", str(tmp_path / "rules.toml"), "--measurement-master", master.url),
        *("--measurement-key", str(tmp_path / "key")),
    )


def test_an_alert_starts_a_diagnosis_and_shows_its_answer(deployment, serve, tmp_path, receiver):
    hook, received = receiver
    master, flags = platform(deployment, serve, tmp_path, hook)
    for name, isp in (("a1", "HGC"), ("a2", "PCCW")):
        start_agent(serve, tmp_path, name, master.url, "--key", SECRETS[name], "--tag", f"isp={isp}", "--insecure")
    monitor = deployment.monitor(*flags)
    [found] = eventually(lambda: diagnosed(monitor), within_s=120)
    assert found["state"] == "done", found
    assert len(found["requests"]) == 4, "PING and TRACEROUTE of AUTO, and of the agents of the ISP"
    assert found["verdicts"] == []
    assert "viewers of HGC" in found["text"], "paths on loopback are clean, so the poor quality of the viewers has no cause here"
    eventually(lambda: found in [each["diagnosis"] for each in received])
    counted = metrics(monitor.url)
    assert counted['swarmscope_monitor_diagnoses_total{outcome="done"}'] == 1
    assert counted['swarmscope_monitor_kind_records{kind="measurement"}'] >= 4
    assert monitor.stop() == 0

    again = deployment.monitor(*flags)
    eventually(lambda: metrics(again.url)['swarmscope_monitor_diagnoses_total{outcome="cool_down"}'] == 1, within_s=60)
    eventually(lambda: diagnosed(again))
    assert [each["text"] for each in diagnosed(again)] == [found["text"]], "a restart keeps the answer, and measures nothing again"


def test_a_master_without_agents_fails_the_diagnosis_with_the_reason(deployment, serve, tmp_path, receiver):
    _, flags = platform(deployment, serve, tmp_path, receiver[0])
    monitor = deployment.monitor(*flags)
    [found] = eventually(lambda: diagnosed(monitor), within_s=60)
    assert (found["state"], found["text"].startswith("the master refuses: ")) == ("failed", True), found
    assert metrics(monitor.url)['swarmscope_monitor_diagnoses_total{outcome="failed"}'] == 1
