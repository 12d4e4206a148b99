"""Tests of docker/ without a container engine: the compose file's commands run here, with other addresses and folders."""

import base64
import fnmatch
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.harness.ports import free_port
from tests.harness.processes import Server
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
README = (ROOT / "docker/README.md").read_text()
HOME = "/var/lib/swarmscope"
PASSWORD = "correct horse battery staple"
KEYS = {"SWARMSCOPE_KEY": "ingest-key", "SWARMSCOPE_TOKEN": "server-token", "SWARMSCOPE_READ_TOKEN": "read-token"}


class Machines:
    """The services of the compose file: the address of each, and its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in COMPOSE["services"]}

    def command(self, name: str) -> list[str]:
        """The service's command line, on this machine."""
        command_line = COMPOSE["services"][name]["command"]
        return shlex.split(self.moved(name, command_line))

    def moved(self, name: str, text: str) -> str:
        for other, port in self.ports.items():
            text = re.sub(rf"http://{other}:\d+", f"http://127.0.0.1:{port}", text)
        text = re.sub(r"--listen 0\.0\.0\.0:\d+", f"--listen 0.0.0.0:{self.ports[name]}", text)
        return text.replace(HOME, str(self.folder / name))

    def environment(self, name: str) -> dict[str, str]:
        """The environment that compose makes from docker/.env."""

        def value(found: re.Match[str]) -> str:
            return KEYS[found[1]]

        return {key: re.sub(r"\$\{(\w+):\?[^}]*\}", value, text) for key, text in service(name)["environment"].items()}


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {name.replace("_", "-"): text for name, text in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


@pytest.fixture
def running(serve: Callable[..., Server], tmp_path: Path) -> dict[str, str]:
    """All services, started by their own commands; the URL of each."""
    machines = Machines(tmp_path)
    add = re.search(r"docker compose run --rm monitor (users .*)", README)
    assert add is not None
    (tmp_path / "monitor").mkdir()
    command = [sys.executable, "-m", "swarmscope", *shlex.split(machines.moved("monitor", add[1]))]
    subprocess.run(command, input=PASSWORD + "\n", text=True, capture_output=True, timeout=120, check=True)
    for name in sorted(COMPOSE["services"], key=lambda name: not name.startswith("feedback-server")):
        serve(*machines.command(name), env=machines.environment(name))
    return {name: f"http://127.0.0.1:{port}" for name, port in machines.ports.items()}


def test_services_started_as_in_the_compose_file_store_a_message_and_check_keys_and_logins(running):
    message = {"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": 1}
    url = running["coordinator"] + "/v1/feedback"
    body = json.dumps(message).encode()
    assert ask(url, body, content_type="application/json")[0] == 401
    bearer = f"Bearer {KEYS['SWARMSCOPE_KEY']}"
    assert ask(url, body, content_type="application/json", authorization=bearer)[0] == 202
    stores = [running[name] + "/v1/logs" for name in running if name.startswith("feedback-server")]
    assert {ask(store)[0] for store in stores} == {401}
    reading = f"Bearer {KEYS['SWARMSCOPE_READ_TOKEN']}"
    logs = [log for store in stores for log in json.loads(ask(store, authorization=reading)[1])["logs"]]
    assert [log["records"] for log in logs] == [1]
    measured = [running[name] + "/metrics" for name in running if name != "monitor"]
    assert {ask(metrics)[0] for metrics in measured} == {401}, "the coordinator's is on the published address"
    assert {ask(metrics, authorization=reading)[0] for metrics in measured} == {200}
    known = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    taken = "swarmscope_monitor_records_taken_total 1.0"
    eventually(lambda: taken in ask(running["monitor"] + "/metrics", authorization=known)[1].decode())
    assert ask(running["monitor"] + "/metrics")[0] == 401
    assert b"password" in ask(running["monitor"] + "/", host="localhost:8070")[1], "the dashboard asks for a login"


def test_only_the_dashboard_and_the_coordinator_are_published_and_the_dashboard_only_on_loopback():
    published = {name: each.get("ports", []) for name, each in COMPOSE["services"].items()}
    assert published.pop("coordinator") == ["8080:8080"]
    assert published.pop("monitor") == ["127.0.0.1:8070:8070"]
    assert not any(published.values())


def test_every_service_keeps_its_data_in_a_volume_of_its_own():
    for name, each in COMPOSE["services"].items():
        [volume] = each["volumes"]
        assert volume.endswith(f":{HOME}"), name
        assert volume.partition(":")[0] in COMPOSE["volumes"]
    assert len({each["volumes"][0] for each in COMPOSE["services"].values()}) == len(COMPOSE["services"])


def is_ignored(path: str) -> bool:
    """Whether .dockerignore excludes `path` from the build: the last pattern that matches it, or a folder above it, decides."""
    ignored = False
    parents = [path, *(str(parent) for parent in PurePosixPath(path).parents)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and any(fits(each, pattern) for each in parents):
            ignored = not line.startswith("!")
    return ignored


def fits(path: str, pattern: str) -> bool:
    """As the builder matches: a star stays within a folder, `**/` matches any number of folders."""
    if pattern.startswith("**/"):
        return any(fits(str(PurePosixPath(*path.split("/")[at:])), pattern[3:]) for at in range(path.count("/") + 1))
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


OUTSIDE = (
    *("docker/.env", "docker/.env.example", "docker/compose.yaml", ".env", "users.txt", "keys.toml"),
    *("swarmscope-data/fs1/a.journal", "feedback-data/a.log", "coordinator-spool/worker-0/a", "olympics-out/a"),
    *(".git/config", ".venv/bin/python", ".venv-3.13/bin/python", "dist/swarmscope.whl"),
    *("tests/conftest.py", "benchmarks/results/a.json", "swarmscope/__pycache__/cli.cpython-313.pyc"),
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_secrets_data_and_tests_are_excluded_from_the_build(path):
    assert is_ignored(path)


def test_every_file_that_the_image_needs_is_in_the_build():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    listed = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(listed) > 100
    needed = [*listed, "pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], "docker/slim.sh"]
    assert [path for path in needed if is_ignored(path)] == []


def test_the_dockerfile_names_existing_commands_extras_and_locks():
    text = (ROOT / "docker/Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert json.loads(re.search(r"ENTRYPOINT (.*)", text)[1])[0] in project["scripts"]
    assert "all" in project["optional-dependencies"]
    locks = re.findall(r"--require-hashes --requirement (\S+)", text)
    assert locks == ["locks/build.txt", "locks/all.txt"]
    assert [lock for lock in locks if is_ignored(lock) or not (ROOT / lock).is_file()] == []
    assert HOME in re.search(r"USER|--home-dir (\S+)", text)[0]


def test_the_base_of_the_image_is_one_exact_release_that_can_be_replaced_by_a_digest():
    text = (ROOT / "docker/Dockerfile").read_text()
    assert re.search(r"^ARG BASE=python:3\.13\.\d+-slim-\w+$", text, re.MULTILINE)
    assert {line for line in text.splitlines() if line.startswith("FROM")} == {"FROM ${BASE} AS build", "FROM ${BASE}"}


def test_one_service_builds_the_image_and_no_service_pulls_it():
    """With Docker's containerd image store, four builds of one tag fail: the second one finds that the tag exists."""
    services = COMPOSE["services"].values()
    assert [name for name, each in COMPOSE["services"].items() if "build" in each] == ["coordinator"]
    assert {each["image"] for each in services} == {"swarmscope:local"}
    assert {each["pull_policy"] for each in services} == {"never"}


def test_every_service_has_an_init_and_starts_when_its_dependencies_are_healthy():
    assert all(each["init"] for each in COMPOSE["services"].values())
    for name in ("coordinator", "monitor"):
        needed = re.findall(r"http://(feedback-server-\d)", service(name)["command"])
        assert service(name)["depends_on"] == {each: {"condition": "service_healthy"} for each in needed}


def test_a_healthcheck_passes_for_a_running_service_and_fails_without_one(running):
    for name, url in running.items():
        eventually(partial(is_healthy, healthcheck(name, url)))
        assert not is_healthy(healthcheck(name, f"http://127.0.0.1:{free_port()}"))


def healthcheck(name: str, url: str) -> list[str]:
    """The service's own command, with this Python and the address that the service has here."""
    how, program, *arguments = service(name)["healthcheck"]["test"]
    assert (how, program) == ("CMD", "python3")
    asked = [re.sub(r"http://127\.0\.0\.1:\d+", url, argument) for argument in arguments]
    assert asked != arguments
    return [sys.executable, *asked]


def is_healthy(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


def test_the_example_environment_file_names_every_variable_of_the_compose_file():
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker/compose.yaml").read_text()))
    example = (ROOT / "docker/.env.example").read_text()
    assert dict(line.split("=") for line in example.splitlines() if line and line[0] != "#") == dict.fromkeys(asked, "")
    assert {f"SWARMSCOPE_{name}" for name in re.search(r"for name in ([A-Z_ ]+);", README)[1].split()} == asked


FIRST_PROCESS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


def namespaces_work() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*FIRST_PROCESS, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not namespaces_work(), reason="this user may not make process namespaces (unshare)")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_prompt_ends_on_a_signal_even_as_the_first_process_of_a_container(tmp_path, number, code):
    """The kernel does not deliver signals without a handler to process 1, so `docker stop` would wait and then kill."""
    ours, theirs = pty.openpty()
    command = [*FIRST_PROCESS, sys.executable, "-m", "swarmscope", "users", "add", "alice", "--file", str(tmp_path / "users.txt")]
    outside = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=tmp_path)
    try:
        asked = b""
        while b"Password" not in asked:
            asked += os.read(ours, 1000)
        [first] = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        # Python does not notice a signal that arrives just before it begins to read, until the next one interrupts the read.
        for _ in range(6):
            os.kill(int(first), number)
            with suppress(subprocess.TimeoutExpired):
                outside.wait(5)
                break
        assert outside.wait(20) == code
    finally:
        outside.kill()
        outside.wait()
        os.close(ours)
        os.close(theirs)
    assert list(tmp_path.iterdir()) == []
