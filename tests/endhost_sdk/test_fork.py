"""A fork copies one thread and every lock: the child must neither wait for the other threads nor report as its parent."""

import subprocess
import sys
from collections import defaultdict

import pytest

HEAD = """
import os, signal, sys, threading, time
from endhost_sdk import Telemetry
url = sys.argv[1]

def in_child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a deadlock ends with SIGALRM, not with the test's patience
        work()
        os._exit(0)
    return os.waitpid(pid, 0)[1]
"""


@pytest.fixture
def run(tmp_path):
    """Run a script that forks, in a process of its own."""

    def run(script, *arguments):
        path = tmp_path / "app.py"
        path.write_text(HEAD + script)
        done = subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def by_session(messages):
    sessions = defaultdict(list)
    for message in messages:
        sessions[message["session_id"]].append((message["seq"], message["event"]))
    return sessions


def test_every_child_reports_under_a_session_id_of_its_own(coordinator, run):
    server = coordinator()
    script = """
telemetry = Telemetry(url, period_s=0.02)
session = telemetry.session(peer_id="p-1")
session.started(after_ms=100)
session.stalled(for_ms=50)

def work():
    session.update(upload_kbps=1)
    telemetry.close()

statuses = [in_child(work) for _ in range(50)]
telemetry.close()
assert statuses == [0] * 50, statuses
print(session.session_id)
"""
    parent = run(script, server.url).strip()
    sessions = by_session(server.accepted)
    assert len(sessions) == 51
    for seen in sessions.values():
        assert [seq for seq, _ in seen] == list(range(len(seen)))
        assert seen[0][1] == "join"
        assert seen[-1][1] == "leave"
    children = [message for message in server.accepted if message["session_id"] != parent]
    assert all("startup_ms" not in message for message in children), "the parent's startup is not counted again"
    assert {message["stall_count"] for message in children} == {0}


def test_a_child_waits_for_no_lock_that_was_held_at_the_fork(coordinator, run):
    server = coordinator()
    script = """
telemetry = Telemetry(url, period_s=0.02)
session = telemetry.session(peer_id="p-1")
held, ending = threading.Event(), threading.Event()

def hold():
    with session._lock, telemetry._lock, session.invalid_values._lock:
        held.set()
        ending.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()

def work():
    session.update(upload_kbps=-1)
    telemetry.session(peer_id="p-2").left()
    telemetry.stats()
    telemetry.close()

statuses = [in_child(work) for _ in range(10)]
ending.set()
holder.join()
telemetry.close()
assert statuses == [0] * 10, statuses
"""
    run(script, server.url)
    assert len(by_session(server.accepted)) == 21


def test_forks_in_the_middle_of_calls_and_requests_never_block(coordinator, run):
    server = coordinator()
    script = """
telemetry = Telemetry(url, period_s=0.01)
sessions = [telemetry.session(peer_id=f"p-{n}") for n in range(5)]
ending = threading.Event()

def keep_talking():
    while not ending.is_set():
        for session in sessions:
            session.update(upload_kbps=1, partners=-1)
        telemetry.stats()

talker = threading.Thread(target=keep_talking)
talker.start()

def work():
    sessions[0].update(upload_kbps=2)
    telemetry.close()

statuses = [in_child(work) for _ in range(30)]
ending.set()
talker.join()
telemetry.close()
assert statuses == [0] * 30, statuses
"""
    run(script, server.url)
    sessions = by_session(server.accepted)
    assert len(sessions) == 35
    assert all(len(seen) == len(set(seen)) for seen in sessions.values())


def test_a_child_sends_nothing_that_its_parent_had_queued(coordinator, tmp_path):
    server = coordinator()
    server.stop()
    script = """
telemetry = Telemetry(url, period_s=86_400)
session = telemetry.session(peer_id="p-1")
while not telemetry.stats().failed_attempts:
    time.sleep(0.01)
print(session.session_id, flush=True)
if os.fork():
    os._exit(0)
assert telemetry.stats().buffered == telemetry.stats().built == 0
sys.stdin.readline()
session.update(upload_kbps=1)
telemetry.close()
print(session.session_id, flush=True)
"""
    path = tmp_path / "app.py"
    path.write_text(HEAD + script)
    app = subprocess.Popen([sys.executable, path, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    parent = app.stdout.readline().strip()
    assert app.wait(20) == 0
    back = coordinator(port=server.port)
    app.stdin.write("go\n")
    app.stdin.close()
    child = app.stdout.readline().strip()
    app.stdout.close()
    assert child
    assert child != parent
    assert [(message["session_id"], message["event"]) for message in back.accepted] == [(child, "join"), (child, "leave")]


def test_a_child_that_reports_nothing_is_not_an_end_host(coordinator, run):
    server = coordinator()
    script = """
telemetry = Telemetry(url, period_s=0.05)
session = telemetry.session(peer_id="p-1")
statuses = [in_child(lambda: sys.stdout.write(str(threading.active_count())) and sys.stdout.flush() or time.sleep(0.3))]
assert statuses == [0]
"""
    assert run(script, server.url) == "1"
    assert len(by_session(server.accepted)) == 1


def test_children_of_multiprocessing_report_too(coordinator, run):
    server = coordinator()
    script = """
import multiprocessing
telemetry = Telemetry(url, period_s=86_400)
session = telemetry.session(peer_id="p-1")

def work(n):
    with telemetry.session(peer_id=f"worker-{n}"):
        pass
    telemetry.close()

workers = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert [worker.exitcode for worker in workers] == [0] * 4
"""
    run(script, server.url)
    assert {message["peer_id"] for message in server.accepted} == {"p-1", *(f"worker-{n}" for n in range(4))}


def test_the_thread_imports_nothing_because_a_fork_would_leave_a_module_half_imported(coordinator, run):
    server = coordinator(script=[(503, {"Retry-After": "Tue, 07 Aug 2012 09:31:00 GMT"}, b"busy")])
    script = """
telemetry = Telemetry([url, url.replace("http", "https")], period_s=86_400)
imported = set(sys.modules)
telemetry.session(peer_id="p-1", extra={"long": "\u00e9" * 3000}).update(upload_kbps=-1)
while not telemetry.stats().sent:
    time.sleep(0.01)
assert telemetry.stats().failed_attempts >= 2
print(sorted(set(sys.modules) - imported))
"""
    assert run(script, server.url) == "[]\n"
