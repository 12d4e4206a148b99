"""What docker/ says, without a container engine: the compose file's commands run, with addresses and folders put elsewhere."""

import base64
import json
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.deployment import free_port
from tests.processes import Server, eventually

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
HOME = "/var/lib/swarmscope"
PASSWORD = "correct horse battery staple"
KEYS = {"SWARMSCOPE_KEY": "ingest-key", "SWARMSCOPE_TOKEN": "server-token", "SWARMSCOPE_READ_TOKEN": "read-token"}


class Machines:
    """The services of the compose file: where each of them is, and what it keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in COMPOSE["services"]}

    def command(self, name: str) -> list[str]:
        """The service's command line, on this machine."""
        said = COMPOSE["services"][name]["command"]
        return shlex.split(self.moved(name, said))

    def moved(self, name: str, text: str) -> str:
        for other, port in self.ports.items():
            text = re.sub(rf"http://{other}:\d+", f"http://127.0.0.1:{port}", text)
        text = re.sub(r"--listen 0\.0\.0\.0:\d+", f"--listen 0.0.0.0:{self.ports[name]}", text)
        return text.replace(HOME, str(self.folder / name))

    def environment(self, name: str) -> dict[str, str]:
        """As compose fills it in from docker/.env."""

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
    """All services as their own commands start them; the URL of each."""
    machines = Machines(tmp_path)
    add = re.search(r"docker compose run --rm monitor (users .*)", (ROOT / "docker/README.md").read_text())
    assert add is not None
    (tmp_path / "monitor").mkdir()
    command = [sys.executable, "-m", "swarmscope", *shlex.split(machines.moved("monitor", add[1]))]
    subprocess.run(command, input=PASSWORD + "\n", text=True, capture_output=True, timeout=120, check=True)
    for name in sorted(COMPOSE["services"], key=lambda name: not name.startswith("feedback-server")):
        serve(*machines.command(name), env=machines.environment(name))
    return {name: f"http://127.0.0.1:{port}" for name, port in machines.ports.items()}


def test_what_the_compose_file_starts_brings_a_message_to_the_logs_and_lets_in_whom_it_should(running):
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
    known = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    taken = "swarmscope_monitor_records_taken_total 1.0"
    eventually(lambda: taken in ask(running["monitor"] + "/metrics", authorization=known)[1].decode())
    assert ask(running["monitor"] + "/metrics")[0] == 401
    assert b"password" in ask(running["monitor"] + "/", host="localhost:8070")[1], "the dashboard asks for a login"


def test_only_the_dashboard_and_the_intake_are_published_and_the_dashboard_on_loopback_alone():
    published = {name: each.get("ports", []) for name, each in COMPOSE["services"].items()}
    assert published.pop("coordinator") == ["8080:8080"]
    assert published.pop("monitor") == ["127.0.0.1:8070:8070"]
    assert not any(published.values())


def test_what_is_kept_lies_in_a_volume_of_its_own():
    for name, each in COMPOSE["services"].items():
        [volume] = each["volumes"]
        assert volume.endswith(f":{HOME}"), name
        assert volume.partition(":")[0] in COMPOSE["volumes"]
    assert len({each["volumes"][0] for each in COMPOSE["services"].values()}) == len(COMPOSE["services"])


def test_the_image_is_made_of_what_there_is():
    text = (ROOT / "docker/Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert json.loads(re.search(r"ENTRYPOINT (.*)", text)[1])[0] in project["scripts"]
    assert "all" in project["optional-dependencies"]
    assert (ROOT / re.search(r"--constraint (\S+)", text)[1]).is_file()
    assert HOME in re.search(r"USER|--home-dir (\S+)", text)[0]
    ignored = (ROOT / ".dockerignore").read_text().split()
    for needed in ("constraints.txt", "pyproject.toml", *project.get("license-files", ())):
        assert needed not in ignored
