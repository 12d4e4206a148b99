"""Feedback and inferences travel through the whole pipeline, and the platform compares them while they arrive."""

import csv
import io
import re
import time
import urllib.error
import urllib.request

import pytest

from tests.harness.judged_sessions import BROKEN, CHEAT, HONEST, MISJUDGED, SECONDS
from tests.harness.measurements import ndjson, post
from tests.harness.waiting import eventually

pytestmark = pytest.mark.journey

GAUGE = r'^swarmscope_monitor_(?:disagreeing|(judged))_sessions(?:{reason="(.+)"})? (\S+)$'
OF_SERVERS = ("received_ms", "ip", "weight", "via")


def messages(records):
    return ndjson([{name: value for name, value in each.items() if name not in OF_SERVERS} for each in records])


def reasons(monitor):
    """The likely reason of each judged session; empty before the first record has arrived."""
    try:
        with urllib.request.urlopen(f"{monitor.url}/api/v1/table?view=disagreements&p.min=0", timeout=30) as answer:
            return {row["Session"]: row["Reason"] for row in csv.DictReader(io.StringIO(answer.read().decode()))}
    except urllib.error.HTTPError as refused:
        if refused.code != 404:
            raise
        return {}


def gauges(monitor):
    """The number of judged sessions, and of those with each reason to disagree."""
    with urllib.request.urlopen(f"{monitor.url}/metrics", timeout=30) as answer:
        found = re.findall(GAUGE, answer.read().decode(), re.MULTILINE)
    return {judged or reason: float(number) for judged, reason, number in found}


def test_a_live_platform_finds_the_session_whose_report_its_packets_contradict(deployment):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    monitor = deployment.monitor()
    begin_ms = time.time_ns() // 1_000_000 - SECONDS * 1000
    judged = (HONEST, CHEAT, BROKEN, MISJUDGED)
    for session in judged:
        assert post(coordinator.url + "/v1/feedback", messages(session.feedback(begin_ms)))[0] == 202
        sent = post(coordinator.url + "/v1/inferences", messages(session.slots(begin_ms)))
        assert sent == (202, {"accepted": SECONDS})
    expected = {"honest": "agrees", "cheat": "cheat", "broken": "broken app", "misjudged": "wrong model"}
    # Each look makes the platform compare all sessions again.
    eventually(lambda: reasons(monitor) == expected, "each session has its likely reason", every_s=0.5)
    numbers = {"judged": 4, "cheat": 1, "broken app": 1, "wrong model": 1, "unclear": 0}
    eventually(lambda: gauges(monitor) == numbers, every_s=0.5)
