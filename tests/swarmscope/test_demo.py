"""The demo as a newcomer runs it: real processes, and none of them left at the end."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from feedback_wire import routes
from monitor_platform.alerts.rules import read_rules
from swarmscope.demo.components import ALERTS, MONITOR_PORT
from swarmscope.demo.late_viewers import TEXT, mark_late_viewers
from swarmscope.demo.logged_errors import LoggedErrors
from tests.harness.waiting import eventually

QUICK = ("--peers", "50", "--period", "1")


@pytest.fixture
def demo(tmp_path):
    """Start a demo; it ends with the test in any case."""
    running = []

    def start(*flags, **env):
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "swarmscope", "demo", *QUICK, *flags],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)} | env,
            )
        )  # fmt: skip
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


@pytest.fixture
def taken_port():
    """The dashboard's usual port, used by another program; the demo of another test may have to release it first."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def take():
            try:
                taken.bind(("127.0.0.1", MONITOR_PORT))
            except OSError:
                return False
            return True

        eventually(take, within_s=60)
        taken.listen()
        yield MONITOR_PORT


def children(pid):
    """The pids of its child processes."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def parts(process):
    """Its five parts, once all of them run."""
    return eventually(lambda: len(found := children(process.pid)) == 5 and found, within_s=40)


def gone(pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def url_of(process):
    line = process.stdout.readline()
    assert line.startswith("swarmscope demo ready on http://127.0.0.1:"), line + process.stderr.read()
    return line.split()[-1]


def assert_no_key_on_a_command_line(pids):
    for pid in pids:
        names_and_values = [entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry]
        keys = [value for name, value in names_and_values if name.startswith("SWARMSCOPE_") and name.endswith(("_KEY", "_TOKEN"))]
        assert keys
        assert not [key for key in keys if key in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_demo_with_a_duration_avoids_a_port_in_use_and_leaves_no_process(demo, tmp_path, taken_port):
    process = demo("--duration", "3")
    assert not url_of(process).endswith(f":{taken_port}")
    started = parts(process)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "viewers:" in out
    assert "display delay:" in out
    assert gone(started)
    assert list(tmp_path.iterdir()) == []


def answer_of(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def is_marked(url):
    """Whether the demo's mark of late viewers is among the annotations. A busy platform answers too late for the mark."""
    mark_late_viewers(url)
    return any(each["text"] == TEXT for each in answer_of(url + routes.ANNOTATIONS))


def test_ctrl_c_ends_everything_and_keeps_the_data_folder(demo, tmp_path):
    process = demo("--data", str(tmp_path / "kept"))
    url = url_of(process)
    started = parts(process)
    assert_no_key_on_a_command_line(started)
    eventually(lambda: is_marked(url))
    eventually(lambda: answer_of(f"{url}/api/v1/summary")["messages"] > 50)
    with urllib.request.urlopen(url, timeout=60) as page:
        assert page.status == 200
    assert len(answer_of(f"{url}/api/v1/alerts")["rules"]) == len(read_rules(ALERTS).rules)
    assert answer_of(f"{url}/api/v1/history/status")["error"] == ""
    eventually(lambda: any((tmp_path / "kept").glob("fs*/*.journal")))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert f"swarmscope monitor --static {tmp_path}/kept/fs1" in out.splitlines()[-1]
    assert gone(started)
    assert {path.name for path in (tmp_path / "kept").iterdir()} >= {"fs1", "fs2", "mirror"}


@pytest.mark.soak
def test_no_component_outlives_a_killed_demo(demo):
    process = demo()
    url_of(process)
    started = parts(process)
    process.kill()
    process.wait(10)
    assert process.returncode == -signal.SIGKILL
    eventually(lambda: gone(started))


STARTS_A_PART = """
import sys, time
from pathlib import Path
from swarmscope.demo.component_process import ComponentProcess
from swarmscope.demo.components import DemoKeys, feedback_server
data = Path(sys.argv[1])
part = ComponentProcess(feedback_server(1, DemoKeys(), data), data, 0)
print(part.address(), part._process.pid, flush=True)
time.sleep(600)
"""


def test_a_component_ends_with_the_process_that_started_it(tmp_path):
    with subprocess.Popen([sys.executable, "-c", STARTS_A_PART, str(tmp_path)], stdout=subprocess.PIPE, text=True) as starter:
        part = int(starter.stdout.readline().split()[1])
        assert not gone([part])
        starter.kill()
    eventually(lambda: gone([part]))


def test_a_failing_page_is_reported_and_a_component_that_ends_is_named_and_ends_the_demo(demo):
    """Bokeh refuses this setting at each page, not at the start."""
    process = demo(BOKEH_RESOURCES="nonsense")
    url = url_of(process)
    with pytest.raises(urllib.error.HTTPError, match="500"):
        urllib.request.urlopen(f"{url}/timeline", timeout=60)
    line = next(line for line in process.stdout if "error" in line)
    assert line.startswith("error in the monitor: Uncaught exception GET /timeline (127.0.0.1): ValueError: ")
    assert "nonsense" in line
    assert Path(line.rpartition(" (in ")[2].rstrip(")\n")).is_file()
    started = parts(process)
    coordinator = next(pid for pid in started if b"\0coordinator\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(coordinator, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the coordinator ended by signal SIGKILL" in err
    assert gone(started)


def test_errors_are_shown_once_and_many_errors_in_a_few_lines(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    errors = LoggedErrors(log)
    stamp = "2026-11-28 10:00:00,123"
    with log.open("a") as log_file:
        print(
            f"{stamp} WARNING a.b: no error",
            f"{stamp} ERROR a.b: bad \x1b[2J",
            "Traceback:",
            "  OSError: why",
            sep="\n",
            file=log_file,
        )
        log_file.write(f"{stamp} ERROR a.b: half a li")
    assert errors.new() == ["bad \\x1b[2J: OSError: why"]
    with log.open("a") as log_file:
        print("ne", *(f"{stamp} ERROR a.b: {number}" for number in range(9)), sep="\n", file=log_file)
    assert errors.new() == ["half a line", "0", "1", "and 7 more errors"]
    assert errors.new() == []
