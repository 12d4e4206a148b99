"""Recognisable secrets go through all processes, at log level debug, with every error that a client can provoke.

Then every log, every metric, every answer and every written file is searched for them.
"""

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.processes import Server
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.journey, pytest.mark.new_interpreter]

KEY, LIMITED, REVOKED, WRONG = (f"canary-{name}-4f1b9c" for name in ("key", "limited", "revoked", "wrong"))
TOKEN, READ_TOKEN = "canary-token-77aa01", "canary-readtoken-c0ffee"
CANARIES = [KEY, LIMITED, REVOKED, WRONG, TOKEN, READ_TOKEN]
DEBUG = """
import atexit, logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
atexit.register(logging.debug, "debug to the end")
"""
MESSAGE = {"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "report", "sent_ms": 1_700_000_000_000}


class Answers:
    """Every answer that any client got."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.statuses: set[int] = set()

    def ask(self, url: str, body: bytes | None = None, **headers: str) -> int:
        request = urllib.request.Request(url, body, {"content-type": "application/json"} | _named(headers))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return self._keep(answer)
        except urllib.error.HTTPError as refusal:
            return self._keep(refusal)

    def say(self, server: Server, text: str) -> None:
        """Bytes that are not a request."""
        url = urlsplit(server.url)
        with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
            connection.sendall(text.encode())
            connection.shutdown(socket.SHUT_WR)
            self.texts.append(b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace"))

    def _keep(self, answer) -> int:
        self.texts += [str(answer.headers), answer.read().decode(errors="replace")]
        self.statuses.add(answer.status)
        return answer.status


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The one file that must contain secrets; it is outside of all that is searched."""
    file = tmp_path / "secrets" / "keys.toml"
    file.parent.mkdir()
    file.write_text(
        f'[keys.open]\nsecret = "{KEY}"\n\n[keys.limited]\nsecret = "{LIMITED}"\nmessages_per_second = 0.1\n\n'
        f'[keys.gone]\nsecret = "{REVOKED}"\nrevoked = true\n'
    )
    return file


@pytest.fixture
def debug(tmp_path: Path) -> dict[str, str]:
    """An environment in which every server logs all that it can."""
    folder = tmp_path / "debug"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DEBUG)
    return {"PYTHONPATH": str(folder), "PYTHONASYNCIODEBUG": "1"}


def send(answers: Answers, coordinator: Server, key: str, body: object = MESSAGE, *, scheme: str = "Bearer", **headers: str) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers.ask(coordinator.url + "/v1/feedback", data, authorization=f"{scheme} {key}", **headers)


def test_no_secret_is_in_any_log_metric_answer_or_file(serve, tmp_path: Path, keys: Path, debug: dict[str, str]):
    world = tmp_path / "world"
    secrets = {"SWARMSCOPE_COORDINATOR_TOKEN": TOKEN, "SWARMSCOPE_FEEDBACK_SERVER_TOKEN": TOKEN}
    env = debug | secrets | {"SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN": READ_TOKEN, "SWARMSCOPE_MONITOR_READ_TOKEN": READ_TOKEN}
    free = "127.0.0.1:0"
    server = serve("feedback-server", "--listen", free, "--data", str(world / "fs"), "--roll-seconds", "1", env=env)
    flags = ("--listen", free, "--keys", str(keys), "--feedback-server", server.url)
    coordinator = serve("coordinator", *flags, "--spool", str(world / "spool"), env=env)
    lying = serve("coordinator", *flags, "--spool", str(world / "spool2"), env=env | {"SWARMSCOPE_COORDINATOR_TOKEN": WRONG})
    monitor = serve(
        "monitor", "--listen", free, "--insecure", "--mirror", str(world / "mirror"), "--poll-seconds", "1",
        "--feedback-server", server.url, env=env,
    )  # fmt: skip
    answers = Answers()

    assert send(answers, coordinator, KEY) == 202
    assert send(answers, coordinator, LIMITED, [MESSAGE | {"seq": seq} for seq in range(1, 9)]) == 202
    assert send(answers, coordinator, LIMITED) == 429
    for wrong in (WRONG, REVOKED):
        assert send(answers, coordinator, wrong) == 401
    assert send(answers, coordinator, KEY, scheme="Basic") == 401
    assert send(answers, coordinator, KEY, {"bad": 1}) == 400  # into the quarantine
    assert send(answers, coordinator, KEY, b"\x00", content_encoding="gzip") == 400
    assert send(answers, coordinator, KEY, content_type="image/png") == 415
    assert send(answers, lying, KEY) == 202  # the feedback server refuses its token: into the spool
    answers.ask(f"{coordinator.url}/nowhere", authorization=f"Bearer {KEY}")
    answers.say(coordinator, f"POST /v1/feedback HTTP/9\r\nAuthorization: Bearer {KEY}\r\n\r\n")
    answers.say(server, f"POST /v1/records HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: x\r\n\r\n")
    for token in (WRONG, KEY, TOKEN):
        assert answers.ask(server.url + "/v1/logs", authorization=f"Bearer {token}") == 401
    assert answers.ask(server.url + "/v1/records", b"{}", authorization=f"Bearer {WRONG}") == 401
    assert answers.ask(server.url + "/v1/logs", authorization=f"Bearer {READ_TOKEN}") == 200
    eventually(lambda: list((world / "mirror").rglob("*.jsonl.zst")))
    for each in (server, coordinator, lying, monitor):
        for path in ("/metrics", "/readyz", "/healthz"):
            answers.ask(each.url + path)
    for each in (monitor, lying, coordinator, server):
        each.stop()

    assert answers.statuses >= {200, 202, 400, 401, 404, 415, 429}
    logs = {path.name: path.read_text(errors="replace") for path in tmp_path.glob("*.log")}
    assert len(logs) == 4
    assert all("debug to the end" in text for text in logs.values()), "each log contains debug lines up to the end"
    files = {str(path): path.read_bytes().decode("latin-1") for path in world.rglob("*") if path.is_file()}
    assert any("quarantine" in name for name in files)
    assert any(name.endswith(".spool") for name in files)
    for canary in CANARIES:
        assert [name for name, text in (logs | files).items() if canary in text] == []
        assert not [text for text in answers.texts if canary in text]
