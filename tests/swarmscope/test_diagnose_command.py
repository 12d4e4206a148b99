"""Recorded measurements and feedback give verdicts with their evidence."""

import json

import pytest

from feedback_analysis.time_units import MINUTE_MS
from tests.harness.logs import record, write_log
from tests.harness.measurements import BEGIN_MS, measurement_record, write_measurements
from tests.harness.processes import run_swarmscope


def path(number, agent, address, *routers, lost=0, isp="HKBN"):
    """A PING with 100 packets and a TRACEROUTE."""
    hops = [{"ttl": ttl, "address": each, "rtt_ms": float(ttl)} for ttl, each in enumerate((*routers, address), 1)]
    own = {"agent": agent, "address": address, "tags": {"isp": isp}, "started_ms": BEGIN_MS + number * 1000}
    answered = {"packets_sent": 100, "packets_answered": 100 - lost, "rtt_median_ms": 20}
    status = {"status": "partial", "reason": "some are lost"} if lost else {}
    yield measurement_record(f"ping-{number}", technique="PING", values=answered, hops=None, **own, **status)
    yield measurement_record(f"trace-{number}", technique="TRACEROUTE", values={"reached": 1}, hops=hops, **own)


def shared_link(lost=40):
    """Two agents lose packets behind the same link; other paths clear all other links."""
    return [
        *path(1, "a1", "203.0.113.1", "10.0.0.1", "10.1.0.1", "10.2.0.1", lost=lost),
        *path(2, "a2", "203.0.113.1", "10.0.0.2", "10.1.0.1", "10.2.0.1", lost=lost),
        *path(3, "a1", "203.0.113.2", "10.0.0.1", "10.1.0.1", isp="HKBN"),
        *path(4, "a2", "203.0.113.2", "10.0.0.2", "10.1.0.1", isp="HKBN"),
        *path(5, "a3", "203.0.113.1", "10.0.0.3", "10.2.0.1", isp="PCCW"),
    ]


def poor_viewers():
    return [
        record(
            received_ms=BEGIN_MS + minute * MINUTE_MS + peer, peer_id=f"p{peer}", session_id=f"p{peer}", seq=minute, isp="HKBN",
            continuity=0.3, playback_kbps=300,
        )
        for minute in range(5)
        for peer in range(20)
    ]  # fmt: skip


def diagnose(*arguments):
    done = run_swarmscope("diagnose", *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def logs(tmp_path):
    write_measurements(tmp_path / "logs", shared_link())
    write_log(tmp_path / "logs", poor_viewers(), begin_s=BEGIN_MS // 1000)
    return tmp_path / "logs"


def test_a_lossy_link_is_blamed_with_the_evidence_of_agents_and_viewers(logs):
    found = json.loads(diagnose(logs, "--from", BEGIN_MS, "--to", BEGIN_MS + 10 * MINUTE_MS, "--json"))
    [verdict] = found["verdicts"]
    assert (verdict["cause"], verdict["confidence"], found["operations"]) == ("shared_hop", "high", 10)
    assert verdict["subject"]["text"] == "after 10.1.0.1 on the way to 10.2.0.1"
    texts = [each["text"] for each in verdict["evidence"]]
    assert "40 of 100 packets from a1 to 203.0.113.1 were lost" in texts
    assert any(text.startswith("viewers of HKBN") for text in texts)
    assert verdict["evidence"][0]["operation_ids"] == ["ping-1", "trace-1"]


def test_people_read_verdicts_and_evidence(logs):
    printed = diagnose(logs)
    assert printed.startswith("shared_hop: after 10.1.0.1 on the way to 10.2.0.1\n  high confidence: ")
    assert "  evidence: 40 of 100 packets from a1 to 203.0.113.1 were lost" in printed


def test_without_routes_there_is_not_enough_evidence(tmp_path):
    write_measurements(tmp_path, [each for each in shared_link() if each["technique"] == "PING"])
    printed = diagnose(tmp_path)
    assert "not enough evidence: path from a1 to 203.0.113.1\n  missing: a TRACEROUTE of this path" in printed
    assert "shared_hop" not in printed


def test_paths_that_work_have_no_problem(tmp_path):
    write_measurements(tmp_path, shared_link(lost=0))
    assert diagnose(tmp_path) == "no problem was measured\n"


def test_logs_without_measurements_and_an_empty_time_range_are_errors(logs, tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments, code, why in (
        ([str(tmp_path / "empty")], 1, "no measurements"),
        ([str(tmp_path / "missing")], 1, "missing does not exist"),
        ([str(logs), "--from", "2012-08-07T09:30Z", "--to", "2012-08-07T09:40Z"], 1, "10 did at other times"),
        ([str(logs), "--from", "5", "--to", "5"], 2, "not a time"),
    ):
        done = run_swarmscope("diagnose", *arguments)
        assert done.returncode == code
        assert why in done.stderr
