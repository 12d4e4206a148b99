"""Real masters and agents for tests, on loopback, and agents that speak the protocol by hand."""

import json
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import requests

from tests.harness.ports import free_port
from tests.harness.waiting import eventually

TIMERS = ("--keepalive-s", "1", "--agent-timer-s", "4", "--master-timer-s", "6", "--reconnect-s", "3.5")
"""Short, but an agent on a busy machine still answers in time."""

KEYS = """
[keys.alice]
role = "requester"
secret = "alice-secret-0123456"
[keys.bob]
role = "requester"
secret = "bob-secret-012345678"
[keys.noc]
role = "manager"
secret = "noc-secret-012345678"
[keys.a1]
role = "agent"
secret = "a1-secret-0123456789"
[keys.a2]
role = "agent"
secret = "a2-secret-0123456789"
"""
SECRETS = {
    "alice": "alice-secret-0123456",
    "bob": "bob-secret-012345678",
    "noc": "noc-secret-012345678",
    "a1": "a1-secret-0123456789",
    "a2": "a2-secret-0123456789",
}


def start_master(serve, folder: Path, *flags: str, listen="", access=("--insecure",), timers=TIMERS):
    listen = listen or f"127.0.0.1:{free_port()}"  # a restarted one gets the same port
    return serve(
        "measurement-master",
        *(*access, "--listen", listen, "--data", str(folder / "measurement"), "--allow-network", "127.0.0.0/8", *timers, *flags),
    )


def start_agent(serve, folder: Path, name: str, url: str, *flags: str):
    """A real agent; returns when the master can give it work."""
    return serve("measurement-agent", "--master", url, "--name", name, "--spool", str(folder / f"spool-{name}"), *flags)


def call(url: str, method: str, path: str, who: str = "", **body):
    """Status and JSON of an answer; `who` names a key."""
    headers = {"authorization": f"Bearer {SECRETS.get(who, who)}"} if who else {}
    answer = requests.request(method, url + path, json=body or None, headers=headers, timeout=60)
    return answer.status_code, answer.json()


def submit(url: str, who: str = "", **fields):
    """The accepted request."""
    status, answer = call(url, "POST", "/v1/measurements", who, **fields)
    assert status == 201, answer
    return answer


def state(url: str, request_id: str, who: str = ""):
    return call(url, "GET", f"/v1/measurements/{request_id}", who)[1]


def outcomes(url: str, request_id: str, who: str = ""):
    headers = {"authorization": f"Bearer {SECRETS[who]}"} if who else {}
    answer = requests.get(f"{url}/v1/measurements/{request_id}/outcomes", headers=headers, timeout=60)
    return [json.loads(line) for line in answer.text.splitlines()]


def assert_sums(found):
    """Planned operations are the sum of the statuses and the open ones."""
    assert found["planned"] == sum(found["statuses"].values()) + found["open"]


def probes_of(agent) -> list[int]:
    """The process ids of an agent's probe processes."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(agent.process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class HandmadeAgent:
    """An agent that does nothing by itself: the test posts what it says."""

    def __init__(self, url: str, name: str, *, techniques=("PING", "IGI"), who: str = ""):
        self.url, self.name, self.who = url, name, who
        self.techniques = list(techniques)
        self.commands: list[dict] = []
        self.register()

    def register(self):
        status, answer = call(self.url, "POST", "/v1/agents", self.who, name=self.name, techniques=self.techniques)
        assert status == 201, answer
        self.epoch = answer["epoch"]
        self.number = 0

    def connect(self):
        """Open the stream of commands; they are appended to `commands`."""
        headers = {"authorization": f"Bearer {SECRETS[self.who]}"} if self.who else {}
        path = f"{self.url}/v1/agents/{self.name}/commands"
        self.stream = requests.get(path, params={"epoch": self.epoch}, headers=headers, stream=True, timeout=60)
        assert self.stream.status_code == 200, self.stream.text
        lines = self.stream.iter_lines(chunk_size=1)
        assert next(lines) == b""
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        return self

    def _read(self, lines):
        with suppress(Exception):  # the connection ends
            for line in lines:
                if line:
                    self.commands.append(json.loads(line))

    def next_start(self, number=0):
        """The command to start an operation."""

        def starts():
            found = [each for each in self.commands if each["type"] == "start"]
            return found[number] if len(found) > number else None

        return eventually(starts, f"start {number} of {self.name}")

    def keep_alive(self):
        self.number += 1
        return call(self.url, "POST", f"/v1/agents/{self.name}/keepalive", self.who, epoch=self.epoch, number=self.number)

    def deliver(self, start, status="ok", **more):
        outcome = {
            "operation_id": start["operation"]["operation_id"],
            "status": status,
            "reason": "" if status == "ok" else "by hand",
            "started_ms": 1,
            "duration_ms": 1.0,
            **more,
        }
        reports = [{"lease_id": start["lease_id"], "outcome": outcome}]
        return call(self.url, "POST", f"/v1/agents/{self.name}/outcomes", self.who, epoch=self.epoch, reports=reports)
