"""The example workers send measurements from other languages; a lenient coordinator makes them measurement messages."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.measurements import post
from tests.harness.processes import run_swarmscope

pytestmark = pytest.mark.journey

WORKERS = Path(__file__).parents[2] / "examples" / "workers"
QUICK = {"python": (sys.executable, "worker.py"), "nodejs": ("node", "worker.js")}
LONG = {"go": ("go", "run", "worker.go"), "ruby": ("ruby", "worker.rb"), "lua": ("lua", "worker.lua")}
SENT_BY_RUBY = {"latency": "1000.00", "public_ip": "92.250.97.136", "hostname": "z", "lang": "ruby", "timestamp": 1714601641}


def run(language, command, coordinator):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    host, port = coordinator.url.removeprefix("http://").split(":")
    done = subprocess.run([*command, coordinator.url, host, port], cwd=WORKERS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"accepted": 1}, language


def analyzed(server):
    shown = run_swarmscope("analyze", server.folder, "--kind", "measurement", "--by", "tags.lang,technique", "--json")
    assert shown.returncode == 0, shown.stderr
    return {group["by"]["tags.lang"]: group for group in json.loads(shown.stdout)["groups"]}


def test_workers_in_two_languages_and_the_odd_message_of_a_third_are_analyzed_together(deployment):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator("--lenient")
    for language, command in QUICK.items():
        run(language, command, coordinator)
    assert post(coordinator.url + "/v1/measurements", json.dumps(SENT_BY_RUBY).encode(), "application/json")[0] == 202
    counted = coordinator.metrics()
    assert counted['corrections_total{reason="worker_fields"}'] == 3
    assert counted['corrections_total{reason="latency_as_text"}'] == 1
    deployment.stop()
    groups = analyzed(server)
    assert set(groups) == {*QUICK, "ruby"}
    assert groups["ruby"]["values"]["latency_ms"]["mean"] == 1000
    assert 0 < groups["python"]["values"]["latency_ms"]["mean"] < 5000


def test_without_the_flag_lenient_the_message_of_a_simple_worker_is_refused(deployment):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    status, answer = post(coordinator.url + "/v1/measurements", json.dumps(SENT_BY_RUBY).encode(), "application/json")
    assert (status, answer["reason"]) == (400, "missing_field")


@pytest.mark.soak
def test_the_worker_in_rust_is_compiled_and_sends(deployment, tmp_path):
    if shutil.which("rustc") is None:
        pytest.skip("rustc is not installed")
    subprocess.run(["rustc", "-o", tmp_path / "worker", WORKERS / "worker.rs"], check=True, timeout=300)
    deployment.feedback_server()
    run("rust", (str(tmp_path / "worker"),), deployment.coordinator("--lenient"))


@pytest.mark.soak
@pytest.mark.parametrize("language", LONG)
def test_the_workers_in_other_languages_send(deployment, language):
    deployment.feedback_server()
    run(language, LONG[language], deployment.coordinator("--lenient"))
