"""Coordinators on loopback that answer by a script, over real sockets."""

import json
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from endhost_sdk import Telemetry
from tests.endhost_sdk.scripted_answers import HTML, problem
from tests.harness.ports import free_port


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    messages: list[dict]
    status: int
    at_s: float
    connection: tuple


@dataclass
class LoopbackCoordinator:
    """Answers each request by the next entry of `script` (status, headers, body), and 202 after its end; 413 beyond `most_bytes`.

    `interim` is sent before every answer. A request whose body holds `blocks` gets 403, as from a firewall, or no answer if the
    firewall `cuts` the connection.
    """

    port: int = 0
    most_bytes: int = 1024 * 1024
    interim: bytes = b""
    blocks: bytes | None = None
    cuts: bool = False
    script: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    close_after_each: bool = False
    tls: ssl.SSLContext | None = None
    trust: ssl.SSLContext | None = None
    heard: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = self.port or free_port()  # another one may follow on the same port
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler_for(self))
        self._server.daemon_threads = True
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._connections: list = []
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def accepted(self) -> list[dict]:
        return [message for heard in self.heard if heard.status == 202 for message in heard.messages]

    def stop(self) -> None:
        """As if its process had ended: no listener, no connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(2)


def _handler_for(coordinator: LoopbackCoordinator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            coordinator._connections.append(self.connection)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
            messages = [json.loads(line) for line in body.splitlines()]
            good = (202, {}, json.dumps({"accepted": len(messages)}).encode())
            status, headers, answer = coordinator.script.pop(0) if coordinator.script else good
            if status == 202 and int(self.headers["Content-Length"]) > coordinator.most_bytes:
                status, headers, answer = problem(413, "body_too_large", "send smaller batches")
            if coordinator.blocks and coordinator.blocks in body:
                status, headers, answer = 403, {"Content-Type": "text/html"}, HTML
                self.close_connection = coordinator.cuts
            coordinator.heard.append(Heard(self.path, dict(self.headers), messages, status, time.monotonic(), self.client_address))
            if self.close_connection and coordinator.cuts:
                return
            self.wfile.write(coordinator.interim)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)
            if coordinator.close_after_each:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def coordinator() -> Iterator[Callable[..., LoopbackCoordinator]]:
    """Start coordinators that end with the test: `coordinator(script=[…])`."""
    running: list[LoopbackCoordinator] = []

    def start(**kwargs: object) -> LoopbackCoordinator:
        running.append(LoopbackCoordinator(**kwargs))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def telemetry() -> Iterator[Callable[..., Telemetry]]:
    """Make telemetries that end with the test."""
    made: list[Telemetry] = []

    def make(*args: object, **kwargs: object) -> Telemetry:
        made.append(Telemetry(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def tls_server(coordinator: Callable[..., LoopbackCoordinator], tmp_path: Path) -> LoopbackCoordinator:
    """A coordinator with a self-signed certificate; `trust` is a context that trusts it."""
    pem = tmp_path / "own.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    san = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *san, "-keyout", pem, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", pem)
    server = coordinator(tls=tls)
    server.trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    return server
