"""The SDK within an app's process: it changes nothing that the app can see, and knows when the process was stopped."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from endhost_sdk import Session
from endhost_sdk.testing import HandClock
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]
STOP_S = 7.0
"""Longer than any delay that counts as a busy machine: `endhost_sdk.stop_detector.LATE_S`."""


def run(script: str, *arguments: str) -> str:
    """The output of a Python process; it must exit with 0 and write nothing to standard error."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    return done.stdout


STATE = """
import asyncio, decimal, gc, locale, logging, os, random, signal, socket, sys, threading, time, warnings
import http.client, ssl

def state():
    return {
        "random": random.getstate(),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "wakeup": signal.set_wakeup_fd(-1),
        "locale": locale.setlocale(locale.LC_ALL),
        "warnings": list(warnings.filters),
        "logging": (logging.root.handlers[:], logging.root.level, logging.root.manager.disable, logging.getLoggerClass()),
        "asyncio": getattr(asyncio, "events")._event_loop_policy,
        "gc": (gc.isenabled(), gc.get_threshold(), gc.callbacks[:], gc.get_freeze_count()),
        "sockets": (socket.getdefaulttimeout(), socket.socket, socket.getaddrinfo, ssl._create_default_https_context),
        "environment": dict(os.environ),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.gettrace(), sys.getprofile(), sys.displayhook),
        "threads": (threading.stack_size(), sys.getswitchinterval(), sys.getrecursionlimit()),
        "process": (os.getcwd(), os.umask(os.umask(0)), time.tzname, sys.path[:], sys.stdout, sys.stderr),
        "decimal": repr(decimal.getcontext()),
        "http": (http.client.HTTPConnection.response_class, http.client.HTTPConnection.debuglevel),
    }

random.seed(2012)
before = state()
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1:], period_s=0.05, flush_s=10)
with telemetry.session(peer_id="p") as session:
    session.started(after_ms=1)
    session.update(upload_kbps=-1, download_kbps=1)
    while telemetry.stats().sent < 5:
        time.sleep(0.01)
assert telemetry.stats().failed_attempts, "no rest was drawn"
telemetry.close()
after = state()
print([name for name in before if before[name] != after[name]])
"""


def test_nothing_in_the_process_that_an_app_may_rely_on_is_changed(coordinator):
    down = coordinator()
    down.stop()
    assert run(STATE, down.url, coordinator().url) == "[]\n"


PLAYER = """
import sys, time
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], period_s=0.5, flush_s=30)
session = telemetry.session(peer_id="p", channel="c")
session.started(after_ms=1)
session.update(playback_kbps=800)
print("playing", flush=True)
sys.stdin.readline()
session.left()
telemetry.close()
"""


def play(server, stop_s):
    """The messages of a player that is stopped for `stop_s` during its view, and the real length of the stop."""
    player = subprocess.Popen(
        [sys.executable, "-c", PLAYER, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert player.stdout.readline() == "playing\n"
    eventually(lambda: len(server.accepted) >= 3)
    began_s = time.monotonic()
    if stop_s:
        os.kill(player.pid, signal.SIGSTOP)
        time.sleep(stop_s)  # this is the fault, and not a wait for a condition
        os.kill(player.pid, signal.SIGCONT)
    stopped_s = time.monotonic() - began_s
    messages = len(server.accepted)
    eventually(lambda: len(server.accepted) >= messages + 3)
    player.communicate("leave\n", timeout=60)
    assert player.returncode == 0
    return server.accepted, stopped_s


def test_time_while_the_process_was_stopped_is_not_played(coordinator):
    messages, stopped_s = play(coordinator(), STOP_S)
    uptimes = [message["uptime_ms"] for message in messages]
    assert max(after - before for before, after in pairwise(uptimes)) >= (STOP_S - 1) * 1000
    missing_s = (messages[-1]["uptime_ms"] - messages[-1]["played_ms"]) / 1000
    # The second before the next check is not known to have been stopped.
    assert STOP_S - 1.1 <= missing_s <= stopped_s + 1
    assert messages[-1]["stall_ms"] == 0


def test_time_while_the_process_ran_is_played(coordinator):
    messages, _ = play(coordinator(), 0)
    assert messages[-1]["played_ms"] == pytest.approx(messages[-1]["uptime_ms"], abs=500)


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def session(clock):
    return Session(peer_id="p", clock=clock)


def test_stopped_time_counts_only_as_uptime_and_in_no_other_measure(session, clock):
    session.started(after_ms=0)
    session.update(playback_kbps=100)
    clock.move(10)
    clock.stop(20)
    session.update(playback_kbps=300)
    clock.move(10)
    message = session.message("report")
    assert (message["uptime_ms"], message["played_ms"], message["continuity"]) == (40_000, 20_000, 1.0)
    assert message["playback_kbps"] == pytest.approx(200)
    assert message["stall_ms"] == 0


def test_a_stall_that_the_app_measured_across_a_stop_counts_once(session, clock):
    session.started(after_ms=0)
    clock.move(10)
    clock.stop(20)
    clock.move(1)
    session.stalled(for_ms=21_000)
    clock.move(9)
    message = session.message("report")
    assert (message["played_ms"], message["stall_ms"]) == (19_000, 21_000)
    assert message["continuity"] == pytest.approx(19 / 40)


def test_a_stop_before_the_start_or_after_the_end_does_not_reduce_played_time(session, clock):
    clock.stop(20)
    session.started(after_ms=0)
    clock.move(10)
    session.left()
    clock.stop(20)
    message = session.message("leave")
    assert (message["uptime_ms"], message["played_ms"]) == (30_000, 10_000)


NO_THREADS = """
import logging, resource, sys, threading
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], period_s=0.2, flush_s=10)
threading.stack_size(1 << 30)
free = 1 << 29
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + free, resource.RLIM_INFINITY))
try:
    threading.Thread(target=print).start()
except RuntimeError:
    print("no thread")
session = telemetry.session(peer_id="p")
session.update(upload_kbps=1)
print(telemetry.stats().last_failure)
"""


def test_without_threads_nothing_is_raised_and_one_warning_is_logged(coordinator):
    server = coordinator()
    began, warned, last_failure = run(NO_THREADS + "session.left(); telemetry.close()", server.url).splitlines()
    assert began == "no thread"
    assert last_failure.startswith("no thread can be started, so nothing is reported: ")
    assert warned == f"{last_failure} (logged once)"
    assert not server.accepted


def test_reports_begin_when_a_thread_can_be_started_again(coordinator):
    server = coordinator()
    later = """
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
threading.stack_size(0)
import time
while not telemetry.stats().sent:
    session.update(upload_kbps=2)
    time.sleep(0.01)
session.left()
telemetry.close()
"""
    run(NO_THREADS + later, server.url)
    assert [message["event"] for message in server.accepted][:: len(server.accepted) - 1] == ["join", "leave"]


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
app = '''
import logging, sys
sys.path[:0] = {path!r}
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from endhost_sdk import Telemetry
telemetry = Telemetry({url!r}, period_s=86_400, **{limits})
with telemetry.session(peer_id="p") as session:
    session.started(after_ms=1)
    session.update(upload_kbps=1)
    while {limits}["flush_s"] < 1 and not telemetry.stats().buffered:
        pass
telemetry.close()
print("went on", flush=True)
'''.format(path=sys.path, url=sys.argv[1], limits=sys.argv[3])
isolated = sys.argv[2] == "isolated"
if hasattr(interpreters, "exec"):
    interpreter = interpreters.create("isolated" if isolated else "legacy")
    failed = interpreters.exec(interpreter, app)
    assert failed is None, failed.errdisplay
else:
    interpreter = interpreters.create(isolated=isolated)
    interpreters.run_string(interpreter, app)
interpreters.destroy(interpreter)
"""


def require_subinterpreters():
    if not any(find_spec(name) for name in ("_interpreters", "_xxsubinterpreters")):
        pytest.skip("this Python has no subinterpreters")


@pytest.mark.parametrize("kind", ["isolated", "legacy"])
def test_an_app_in_a_subinterpreter_is_not_disturbed(coordinator, kind):
    require_subinterpreters()
    server = coordinator()
    output = run(SUBINTERPRETER, server.url, kind, "dict(flush_s=10)").splitlines()
    assert output[-1] == "went on"
    if kind == "legacy":
        assert (output, [message["event"] for message in server.accepted]) == (["went on"], ["join", "leave"])
    else:
        # Such an interpreter allows no daemon thread, and waits for every other one before its end.
        assert output[0].startswith("no thread can be started, so nothing is reported: ")
        assert not server.accepted


def test_a_subinterpreter_ends_after_the_last_request_to_a_coordinator_that_never_answers(black_hole):
    """Python aborts the whole process if a thread is still there."""
    require_subinterpreters()
    assert run(SUBINTERPRETER, black_hole, "legacy", "dict(flush_s=0.1, timeout_s=0.6)").endswith("\nwent on\n")


WAITS_FOR_SIGNAL = """
import os, signal, sys, threading, time
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], flush_s=10)
session = telemetry.session(peer_id="p")
while threading.active_count() < 3 or not telemetry.stats().sent:
    time.sleep(0.01)
wanted = {signal.SIGTERM, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
os.kill(os.getpid(), signal.SIGUSR1)
print(signal.sigwait(wanted).name)
faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
for thread in threading.enumerate()[1:]:
    [blocked] = [line for line in open(f"/proc/self/task/{thread.native_id}/status") if line.startswith("SigBlk")]
    mask = int(blocked.split()[1], 16)
    print(mask >> signal.SIGTERM - 1 & 1, any(mask >> fault - 1 & 1 for fault in faults))
"""


def test_no_thread_of_the_sdk_takes_a_signal_for_which_the_app_waits(coordinator):
    assert run(WAITS_FOR_SIGNAL, coordinator().url).splitlines() == ["SIGUSR1", "1 False", "1 False"]
