"""The SDK in servers with a process model of their own: gevent, preloading gunicorn, a parent with a thousand children."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from socket import create_server

import pytest

from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]
WITHIN_S = 60


def run(script: str, *arguments: str, within_s: float = WITHIN_S, forks: bool = False) -> str:
    """The output of a Python process; it must exit with 0 and warn only of a fork beside our threads."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=within_s, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    warned = [line for line in done.stderr.splitlines() if not line.startswith(" ")]  # the source line is below
    # Since 3.12 Python warns, once for each line of an app that forks, where the parent has more than one thread.
    assert len(warned) == int(forks and sys.version_info >= (3, 12)), done.stderr[-2000:]
    assert all("DeprecationWarning" in line and "use of fork() may lead to deadlocks in the child" in line for line in warned)
    return done.stdout


def sessions_of(messages: list[dict]) -> dict[str, list[int]]:
    """The numbers of each session's messages, in order of arrival."""
    found: dict[str, list[int]] = {}
    for message in messages:
        found.setdefault(message["session_id"], []).append(message["seq"])
    return found


FORKS = """
import os, sys
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], period_s=86_400, flush_s=20)
session = telemetry.session(peer_id="parent")
ended = {}
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        session.update(upload_kbps=number)
        session.left()
        telemetry.close()
        stats = telemetry.stats()
        os._exit(0 if stats.sent == stats.built == 2 else 1)
    if number % 8 == 7 or number == int(sys.argv[2]) - 1:
        while len(ended) <= number:
            child, status = os.wait()
            ended[child] = status
assert not any(ended.values()), ended
assert len(os.listdir("/proc/self/fd")) < 20
telemetry.close()
print(len(ended))
"""


def children(coordinator, forks: int) -> None:
    server = coordinator()
    assert run(FORKS, server.url, str(forks), within_s=600, forks=True) == f"{forks}\n"
    found = sessions_of(server.accepted)
    assert len(found) == forks + 1
    assert all(numbers == [0, 1] for numbers in found.values())


def test_each_of_a_hundred_children_reports_its_own_session(coordinator):
    children(coordinator, 100)


@pytest.mark.soak
def test_each_of_a_thousand_children_reports_its_own_session(coordinator):
    children(coordinator, 1000)


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, time
import gevent
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], period_s=0.2, flush_s=5)
turns = 0

def app():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.001)

gevent.spawn(app)

def view(number):
    with telemetry.session(peer_id=f"p-{number}") as session:
        session.started(after_ms=5)
        for _ in range(20):
            session.update(upload_kbps=number)
            gevent.sleep(0.01)

gevent.joinall([gevent.spawn(view, number) for number in range(20)], raise_error=True)
before = turns
telemetry.close()
stats = telemetry.stats()
assert stats.built == stats.sent, stats
print(turns, turns - before)
"""


def test_under_gevent_all_sessions_report_and_no_other_greenlet_is_blocked(coordinator):
    server = coordinator()
    turns, _ = map(int, run(GEVENT, server.url).split())
    assert turns >= 10, "each of the 20 pauses of a view lets the other greenlet run"
    found = sessions_of(server.accepted)
    assert len(found) == 20
    assert all(numbers == list(range(len(numbers))) for numbers in found.values())


def test_under_gevent_a_coordinator_that_never_answers_blocks_no_greenlet(black_hole):
    script = GEVENT.replace("flush_s=5", "flush_s=0.5").replace("assert stats.built == stats.sent, stats", "assert stats.sent == 0")
    _, turns_while_closing = map(int, run(script, black_hole).split())
    assert turns_while_closing >= 5, "closing waits for half a second"


SITE = """
import os
from endhost_sdk import Telemetry
telemetry = Telemetry({url!r}, period_s=86_400, flush_s=10)
everybody = telemetry.session(peer_id="preloaded")
everybody.update(upload_kbps=1)

def app(environ, start_response):
    everybody.update(download_kbps=2)
    with telemetry.session(peer_id=str(os.getpid())) as session:
        session.update(upload_kbps=3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("kind", ["gevent", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("sync", "gthread"))])
def test_each_worker_of_a_preloading_gunicorn_reports_its_own_sessions_once(coordinator, tmp_path, kind):
    server = coordinator()
    (tmp_path / "site_of_test.py").write_text(SITE.format(url=server.url))
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "gunicorn.log"
    gunicorn = subprocess.Popen(
        [*gunicorn_of(kind), "--bind", f"127.0.0.1:{port}", "--chdir", str(tmp_path), "--log-file", str(log), "site_of_test:app"],
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        workers = asked_until_both_answered(port)
        gunicorn.terminate()
        began = time.monotonic()
        assert gunicorn.wait(WITHIN_S) == 0, log.read_text()
        assert time.monotonic() - began < 25, "its graceful timeout is 30 s: a worker was killed"
    finally:
        with contextlib.suppress(ProcessLookupError):  # its workers too, if they hang
            os.killpg(gunicorn.pid, signal.SIGKILL)
        gunicorn.wait()
    assert "Traceback" not in log.read_text()
    assert "SIGKILL" not in log.read_text()
    messages = server.accepted
    of_requests = [message for message in messages if message["peer_id"] != "preloaded"]
    assert len(of_requests) == 2 * sum(workers.values())
    assert {message["peer_id"] for message in of_requests} == {str(worker) for worker in workers}
    # One view of the preloaded session in the parent, and one in each worker that used it.
    preloaded = sessions_of([message for message in messages if message["peer_id"] == "preloaded"])
    assert len(preloaded) == 1 + len(workers)
    assert all(numbers == list(range(len(numbers))) for numbers in sessions_of(messages).values())


def gunicorn_of(kind: str) -> list[str]:
    return [*(sys.executable, "-m", "gunicorn", "--preload", "--no-control-socket", "--workers", "2", "--worker-class", kind)]


def asked_until_both_answered(port: int) -> dict[int, int]:
    """Requests that each of the two workers has answered."""
    answered: dict[int, int] = {}

    def both() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                worker = int(answer.read())
        except OSError:
            return False
        answered[worker] = answered.get(worker, 0) + 1
        return len(answered) == 2

    eventually(both, within_s=WITHIN_S)
    return answered


ENDS = {
    "the interpreter's own end": ("", 0, ["join", "leave"]),
    "sys.exit in another thread": (
        "thread = threading.Thread(target=sys.exit, args=(5,)); thread.start(); thread.join()",
        0,
        ["join", "leave"],
    ),
    "a non-daemon thread that outlives the main one": (
        "threading.Thread(target=lambda: (time.sleep(0.3), session.update(upload_kbps=1))).start()",
        0,
        ["join", "leave"],
    ),
    "an atexit hook that was there before": ("import atexit; atexit.register(session.left)", 0, ["join", "leave"]),
    "KeyboardInterrupt": ("signal.raise_signal(signal.SIGINT)", -2, ["join", "leave"]),
    "SIGTERM that is handled": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), 15)",
        0,
        ["join", "leave"],
    ),
    "SIGTERM without a handler": ("os.kill(os.getpid(), 15); time.sleep(20)", -15, ["join"]),
    "SIGKILL": ("os.kill(os.getpid(), 9)", -9, ["join"]),
    "os._exit": ("os._exit(7)", 7, ["join"]),
    "exec of another program": ("os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(4)'])", 4, ["join"]),
}


@pytest.mark.parametrize(("end", "code", "events"), ENDS.values(), ids=ENDS)
def test_a_process_ends_as_it_would_without_the_sdk(coordinator, end, code, events):
    server = coordinator()
    script = f"""
import os, signal, sys, threading, time
from endhost_sdk import Telemetry
telemetry = Telemetry({server.url!r}, period_s=86_400, flush_s=10)
session = telemetry.session(peer_id="p")
while not telemetry.stats().sent:
    time.sleep(0.01)
{end}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd=ROOT)
    assert done.returncode == code
    assert "endhost_sdk" not in done.stderr
    assert [message["event"] for message in server.accepted] == events
