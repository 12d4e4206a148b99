"""What an embedder uses beside the calls: a transport for tests, and a command that sends a first message."""

import os
import subprocess
import sys

import pytest

from endhost_sdk import Telemetry
from endhost_sdk.testing import Answer, RecordingTransport, Unreachable
from tests.endhost_sdk.scripted_answers import problem


def test_the_recording_transport_shows_what_a_coordinator_would_get():
    transport = RecordingTransport()
    telemetry = Telemetry("https://coordinator.test", transport=transport, key="k")
    with telemetry.session(peer_id="p-1", channel="Badminton") as session:
        session.started(after_ms=1840)
    join, leave = transport.wait_for(2)
    telemetry.close()
    assert (join["event"], leave["event"], leave["startup_ms"]) == ("join", "leave", 1840)
    assert transport.requests[0].url == "https://coordinator.test/v1/feedback"
    assert transport.requests[0].headers["Authorization"] == "Bearer k"


def test_the_recording_transport_fails_as_scripted():
    transport = RecordingTransport(script=[Unreachable("down"), Answer(status=503)])
    telemetry = Telemetry("https://coordinator.test", transport=transport)
    telemetry.session(peer_id="p-1")
    transport.wait_for(1, within_s=10)
    telemetry.close()
    answers = [request.answer and request.answer.status for request in transport.requests]
    assert answers[:3] == [None, 503, 202]


def test_the_recording_transport_states_how_many_messages_are_missing():
    with pytest.raises(AssertionError, match="0 of 1 messages"):
        RecordingTransport().wait_for(1, within_s=0.01)


def send(*arguments, **env):
    command = [sys.executable, "-m", "endhost_sdk", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ | env)


def test_the_first_message_is_shown_with_its_answer(coordinator):
    server = coordinator()
    done = send("send", server.url, "--channel", "羽毛球", SWARMSCOPE_KEY="k-env")
    assert done.returncode == 0, done.stderr
    assert '"event": "join"' in done.stdout
    assert '202 {"accepted": 1}' in done.stdout
    assert server.accepted[0]["channel"] == "羽毛球"
    assert server.heard[0].headers["Authorization"] == "Bearer k-env"
    assert "k-env" not in done.stdout + done.stderr


def test_the_first_message_is_shown_and_sent_as_typed_in_a_locale_without_its_characters(coordinator):
    server = coordinator()
    typed = os.fsdecode("羽毛球".encode())
    done = send("send", server.url, "--channel", typed, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert '"channel": "\\u7fbd\\u6bdb\\u7403"' in done.stdout
    assert server.accepted[0]["channel"] == "羽毛球"


@pytest.mark.parametrize(
    ("answer", "expected_text"),
    [
        (problem(401, "unauthorized", "send a known key"), "401: unauthorized: send a known key"),
        ((503, {}, b""), "503"),
        ((202, {}, b'{"accepted":0,"refused":[{"index":0,"reason":"r","detail":"too odd"}]}'), "too odd"),
    ],
)
def test_a_refused_first_message_is_reported_with_the_reason(coordinator, answer, expected_text):
    done = send("send", coordinator(script=[answer]).url)
    assert done.returncode == 1
    assert expected_text in done.stderr


def test_a_first_message_without_a_coordinator_is_reported_as_an_error(coordinator):
    server = coordinator()
    server.stop()
    done = send("send", server.url)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert f"Is a coordinator listening at {server.url}?" in done.stderr
    assert "Traceback" not in done.stderr
    assert send("send", "coordinator.example").returncode == 1


def test_the_help_shows_examples():
    assert "python -m endhost_sdk send https://coordinator.example --key" in send("--help").stdout
    assert "SWARMSCOPE_KEY" in send("send", "--help").stdout
