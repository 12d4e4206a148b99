"""`import --coordinator` and `logs replay` against servers that close connections, restart, never end an answer, or ask to wait."""

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from swarmscope.sending import coordinator_client
from swarmscope.sending.coordinator_client import CoordinatorClient, SendCounts
from tests.harness.logs import BEGIN_MS
from tests.harness.processes import run_swarmscope


class Script:
    """A server on loopback. `step(connection, number, body)` handles each request; False closes the connection."""

    def __init__(self, step: Callable[[socket.socket, int, bytes], bool]) -> None:
        self._step = step
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.connections = 0
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as requests:
                while (body := self._request(requests)) is not None:
                    self.bodies.append(body)
                    if not self._step(connection, len(self.bodies), body):
                        break

    def _request(self, requests) -> bytes | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = requests.readline()
            if not line:
                return None
            head += line
        self.heads.append(head.lower())
        return requests.read(int(self.heads[-1].partition(b"content-length:")[2].split()[0]))


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    running: list[Script] = []

    def start(step: Callable[[socket.socket, int, bytes], bool]) -> Script:
        running.append(Script(step))
        return running[-1]

    yield start
    for each in running:
        each.close()


def answer(connection: socket.socket, status: int, body: bytes, *headers: bytes) -> None:
    head = b"\r\n".join([b"HTTP/1.1 %d Text" % status, b"Content-Length: %d" % len(body), *headers])
    connection.sendall(head + b"\r\n\r\n" + body)


def accept(connection: socket.socket, body: bytes) -> None:
    answer(connection, 202, json.dumps({"accepted": len(body.splitlines())}).encode(), b"Content-Type: application/json")


def test_an_import_continues_after_each_connection_that_the_server_closes(tmp_path, script):
    """The server keeps connections open according to its headers, and closes them between batches or instead of an answer."""

    def step(connection: socket.socket, number: int, body: bytes) -> bool:
        if number == 2:
            return False
        if number == 4:
            answer(connection, 502, b"<html>the coordinator restarts</html>", b"Content-Type: text/html")
            return False
        accept(connection, body)
        return False

    server = script(step)
    rows = "".join(f"{BEGIN_MS + number},s{number}\n" for number in range(4000))
    (tmp_path / "a.csv").write_text(f"received_ms,session_id\n{rows}", encoding="utf-8")
    done = run_swarmscope("import", tmp_path / "a.csv", "--coordinator", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the coordinator accepted 4,000 messages and refused 0" in done.stdout
    assert server.connections == 6
    sent = [json.loads(line)["session_id"] for body in server.bodies for line in body.splitlines()]
    assert sorted(set(sent)) == sorted(f"s{number}" for number in range(4000))
    assert server.bodies[1] == server.bodies[2]
    assert server.bodies[3] == server.bodies[4]


def test_a_server_that_never_answers_ends_the_import_at_once_with_the_reason(tmp_path, script):
    server = script(lambda *_: False)
    (tmp_path / "a.csv").write_text(f"received_ms,session_id\n{BEGIN_MS},s\n", encoding="utf-8")
    done = run_swarmscope("import", tmp_path / "a.csv", "--coordinator", server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("swarmscope import: the coordinator does not answer: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_endless_answer_is_read_up_to_a_limit(script):
    sent = 0

    def endless(connection: socket.socket, _number: int, _body: bytes) -> bool:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while sent < 64 * 1024**2:
                connection.sendall(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
        return False

    with pytest.raises(ValueError, match="answered 200"):
        CoordinatorClient(script(endless).url, "").send([b"{}"], "", SendCounts())
    assert 0 < sent < 16 * 1024**2


def test_no_coordinator_can_make_an_import_wait_longer_than_its_patience(script, monkeypatch):
    monkeypatch.setattr(coordinator_client, "PATIENCE_S", 0.1)
    problem = b'{"title":"Service Unavailable","status":503,"reason":"no_feedback_server","detail":"later"}'

    def busy(connection: socket.socket, _number: int, _body: bytes) -> bool:
        answer(connection, 503, problem, b"Content-Type: application/problem+json", b"Retry-After: 9" + b"9" * 400)
        return True

    server = script(busy)
    with pytest.raises(ValueError, match="answered 503"):
        CoordinatorClient(server.url, "").send([b"{}"], "", SendCounts())
    assert len(server.bodies) == 2


@pytest.mark.parametrize("ip", ["", "no address", "1.2.3.4\r\nx-injected: 1", "fe80::1%\r\nx-injected: 1", "\u2603"])
def test_a_text_that_is_no_address_is_not_sent_as_one(script, ip):
    server = script(lambda connection, _number, body: (accept(connection, body), True)[1])
    CoordinatorClient(server.url, "").send([b"{}"], ip, SendCounts())
    assert b"x-injected" not in server.heads[0]
    assert b"x-forwarded-for: unknown\r\n" in server.heads[0] or b"x-forwarded-for: fe80::1\r\n" in server.heads[0]


@pytest.mark.parametrize("key", ["secret\n", "secret\r\nx-injected: 1", "s\u2603cret", " secret"])
def test_a_key_that_fits_no_header_is_refused_without_being_shown(key):
    with pytest.raises(ValueError, match="ingest key") as refused:
        CoordinatorClient("http://127.0.0.1:1", key)
    assert "secret" not in str(refused.value)
