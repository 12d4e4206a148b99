"""The end of a process: buffered messages are sent, and the exit takes at most `flush_s`."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARGIN_S = 3.0  # for the interpreter's own end, on a machine that is busy with other tests

APP = """
import sys, time
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], period_s=86_400, flush_s=float(sys.argv[2]), timeout_s=30)
session = telemetry.session(peer_id="p-1", channel="Badminton")
session.started(after_ms=1840)
while not telemetry.stats().built:
    time.sleep(0.01)
print("ending", flush=True)
"""


def end_of(script, url, flush_s):
    """Exit code of an app, seconds from its last line to its end, and its output."""
    app = subprocess.Popen(
        [sys.executable, "-c", APP + script, url, str(flush_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert app.stdout.readline() == "ending\n"
    began = time.monotonic()
    _, stderr = app.communicate(timeout=60)
    return app.returncode, time.monotonic() - began, stderr


@pytest.mark.parametrize(("script", "code"), [("", 0), ("sys.exit(3)", 3), ("raise RuntimeError('its own')", 1)])
def test_the_sessions_leave_however_an_app_ends(coordinator, script, code):
    server = coordinator()
    returned, _, stderr = end_of(script, server.url, 2)
    assert returned == code
    assert [message["event"] for message in server.accepted] == ["join", "leave"]
    assert "endhost_sdk" not in stderr


@pytest.mark.parametrize("flush_s", [0, 1])
def test_an_app_ends_in_time_although_its_coordinator_never_answers(black_hole, flush_s):
    returned, took_s, stderr = end_of("", black_hole, flush_s)
    assert returned == 0
    assert flush_s * 0.9 <= took_s < flush_s + MARGIN_S
    assert stderr == ""


def test_an_app_ends_in_time_although_its_coordinator_is_down(coordinator):
    server = coordinator()
    server.stop()
    returned, took_s, stderr = end_of("", server.url, 1)
    assert (returned, stderr) == (0, "")
    assert took_s < 1 + MARGIN_S


def test_an_app_without_file_descriptors_ends_with_its_own_exit_code(coordinator):
    server = coordinator()
    server.stop()
    use_up = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
    returned, _, stderr = end_of(use_up + "sys.exit(4)", server.url, 1)
    assert (returned, stderr) == (4, "")


def test_messages_of_an_outage_are_sent_at_the_end_without_further_delay(coordinator):
    server = coordinator(script=[(503, {}, b"")] * 3)
    wait = "while telemetry.stats().failed_attempts < 3: time.sleep(0.01)\n"
    end_of(wait, server.url, 2)
    assert [message["event"] for message in server.accepted] == ["join", "leave"]


def test_a_session_that_is_first_used_during_the_exit_does_not_disturb_it(coordinator):
    server = coordinator()
    script = """
import atexit
late = Telemetry(sys.argv[1])
atexit.register(lambda: late.session(peer_id="late").update(upload_kbps=1))
"""
    returned, _, stderr = end_of(script, server.url, 1)
    assert returned == 0
    assert "Traceback" not in stderr


def test_importing_starts_no_thread_and_needs_only_the_standard_library():
    script = f"""
import sys, threading
sys.path.insert(0, {str(ROOT)!r})
import endhost_sdk, endhost_sdk.testing, endhost_sdk.sender, endhost_sdk.transport, endhost_sdk.__main__
standard = {{*sys.stdlib_module_names, "_xxsubinterpreters"}}  # up to Python 3.12, the list lacks this one
roots = {{name.partition(".")[0] for name in sys.modules}} - standard
print(sorted(roots), threading.active_count())
"""
    bare = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert bare.stdout == "['__main__', 'endhost_sdk', 'feedback_wire'] 1\n"
