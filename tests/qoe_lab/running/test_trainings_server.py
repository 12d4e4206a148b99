"""The server of trainings starts, shows, pauses, resumes and cancels trainings, and refuses what cannot be done with a reason."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from feedback_wire.trainings import SessionProgress, SessionStatus, TrainingProgress, TrainingSettings, TrainingState
from qoe_lab.running.training_folder import create_training
from tests.harness.processes import Server, run_here
from tests.harness.waiting import eventually
from tests.qoe_lab.running.labs import needs_sessions

TRAINING = {"name": "web", "sessions": 2, "limits_mbps": [0.5, 1], "seconds": 60}
TOKEN = "a-token"


class Trainings:
    """A client of the server."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/v1/trainings"

    def call(self, method: str, path: str = "", **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.request(method, self._url + path, headers=headers, timeout=60, **options)
        return answer.status_code, answer.json()

    def progress(self, name: str = "web") -> TrainingProgress:
        return TrainingProgress.from_json(self.call("GET", f"/{name}")[1])


@pytest.fixture
def trainings(serve: Callable[..., Server], tmp_path: Path) -> Callable[..., Trainings]:
    """Start a server on a folder."""

    def start(*flags: str) -> Trainings:
        data = ("--data", str(tmp_path / "trainings"))
        return Trainings(serve("lab", "serve", "--listen", "127.0.0.1:0", *data, *flags, env={"SWARMSCOPE_LAB_SERVE_TOKEN": TOKEN}))

    return start


@needs_sessions
def test_a_training_is_started_paused_resumed_and_cancelled_over_http(
    trainings: Callable[..., Trainings], contents: Path, tmp_path: Path
) -> None:
    client = trainings("--contents", str(contents))
    status, body = client.call("POST", json=TRAINING)
    assert status == 201
    assert TrainingProgress.from_json(body).state is TrainingState.RUNNING
    eventually(lambda: client.progress().running, within_s=120)
    assert client.call("POST", json=TRAINING | {"name": "other"})[1]["reason"] == "trainings_running"
    sessions = [SessionProgress.from_json(each) for each in client.call("GET", "/web")[1]["sessions"]]
    assert [each.number for each in sessions] == [0, 1]
    assert SessionStatus.UNDER_CAPTURING in {each.status for each in sessions}
    assert client.call("POST", "/web/pause")[0] == 200
    eventually(lambda: client.progress().state is TrainingState.PAUSED)
    assert client.call("POST", json=TRAINING)[1]["reason"] == "name_taken"
    assert client.call("POST", "/web/resume")[0] == 200
    assert client.progress().state is TrainingState.RUNNING
    assert client.call("POST", "/web/pause")[0] == 200  # at once: the process has only just begun
    eventually(lambda: client.progress().state is TrainingState.PAUSED)
    assert client.call("POST", "/web/resume")[0] == 200
    assert client.call("POST", "/web/cancel")[0] == 200
    eventually(lambda: client.progress().state is TrainingState.CANCELLED)
    assert client.call("POST", "/web/resume")[1]["reason"] == "wrong_state"
    (listed,) = client.call("GET")[1]["trainings"]
    assert TrainingProgress.from_json(listed) == client.progress()


def test_requests_that_cannot_be_fulfilled_are_refused_with_a_reason(trainings: Callable[..., Trainings], tmp_path: Path) -> None:
    settings = TrainingSettings(name="made", sessions=2, limits_mbps=(1.0,), seconds=5)
    made = create_training(tmp_path / "trainings" / "made", settings, {})
    client = trainings("--most-running", "0")

    def refusal(method: str, path: str = "", **options: Any) -> tuple[int, str]:
        status, body = client.call(method, path, **options)
        return status, body["reason"]

    for changes in (
        {"sessions": "2"},
        {"limits_mbps": []},
        {"client": "vlc"},
        {"trace": "/etc/passwd"},
        {"more": 1},
        {"loss": True},
    ):
        assert refusal("POST", json=TRAINING | changes) == (400, "invalid_request")
    assert refusal("POST", data=b"{") == (400, "invalid_request")
    assert refusal("POST", data=b"[" * 100_000) == (413, "request_too_large")
    assert refusal("POST", json=TRAINING) == (409, "trainings_running")
    assert refusal("GET", "/none") == (404, "no_such_training")
    assert refusal("GET", "/%2e%2e") == (404, "no_such_training")
    assert refusal("POST", "/made/pause") == (409, "wrong_state")
    assert refusal("PUT") == (405, "no_such_method")
    made.journal.write_text("no journal\nof a training\n")
    assert refusal("GET", "/made") == (503, "training_damaged")
    assert client.call("GET")[1] == {"trainings": []}


def test_without_the_token_every_request_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("lab", "serve", "--listen", "127.0.0.1:0", "--token", TOKEN, "--data", str(tmp_path / "t"))
    for path in ("/v1/trainings", "/v1/trainings/x", "/metrics"):
        assert requests.get(server.url + path, timeout=30).status_code == 401
    assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200


def test_the_server_speaks_tls_and_reads_a_renewed_certificate(serve: Callable[..., Server], tmp_path: Path) -> None:
    authority, renewed = trustme.CA(), trustme.CA()
    pem = tmp_path / "lab.pem"
    for each, name in ((authority, "ca.pem"), (renewed, "renewed.pem")):
        each.cert_pem.write_to_path(tmp_path / name)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    files = ("--tls-cert", str(pem), "--tls-key", str(pem))
    server = serve("lab", "serve", "--listen", "127.0.0.1:0", "--token", TOKEN, "--data", str(tmp_path / "t"), *files)
    assert server.url.startswith("https://")

    def get(path: str, ca: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return requests.get(server.url + path, headers=headers, timeout=30, verify=str(tmp_path / ca))

    def listed(ca: str) -> Any:
        return get("/v1/trainings", ca).json()

    assert listed("ca.pem") == {"trainings": []}
    with pytest.raises(requests.exceptions.SSLError):
        listed("renewed.pem")
    assert 'refused_total{reason="tls_handshake"} 1.0' in get("/metrics", "ca.pem").text
    renewed.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: _answers(lambda: listed("renewed.pem")), "the renewed certificate is presented")


def _answers(ask: Callable[[], Any]) -> bool:
    try:
        return ask() == {"trainings": []}
    except requests.exceptions.SSLError:
        return False


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "give --token, or try it with --insecure"),
        (("--insecure", "--token", "x"), "exclude each other"),
        (("--insecure", "--listen", "0.0.0.0:0"), "works on loopback only"),
        (("--token", "x", "--most-running", "-1"), "at least 0"),
        (("--token", "x", "--tls-cert", "missing.pem"), "belong together"),
    ],
)
def test_settings_that_are_not_safe_are_refused(flags: tuple[str, ...], message: str) -> None:
    ended = run_here("lab", "serve", *flags)
    assert ended.returncode == 2
    assert message in ended.stderr
