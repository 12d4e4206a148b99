"""Real coordinators and real receivers, each in a process or thread of its own, over real sockets."""

import http.client
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from feedback_wire.problem import Problem
from feedback_wire.routes import PROBLEM
from tests.harness.ports import free_port
from tests.harness.processes import Server, servers

DEADLINE_S = 15


class Receiver:
    """A feedback server reduced to its protocol: keeps lines in memory, once for each batch id, and fails on request."""

    def __init__(self, port: int = 0) -> None:
        self.batches: dict[str, bytes] = {}
        self.tokens: list[str | None] = []
        self.names: list[str] = []
        """The batch ids of all arrivals, stored or not."""
        self.answer: tuple[int, bytes] | tuple[int, bytes, str] | None = None
        """What to answer instead of storing: status, body, and content type if it is not JSON."""
        self.readiness = b"ready\n"
        """What to answer to /readyz, always with 200."""
        self.probes = 0
        """How often /readyz was requested."""
        self.unknown_paths: list[str] = []
        self.answer_late_s = 0.0
        self.released = threading.Event()
        self.released.set()
        """Clear it, and answers wait until it is set."""
        self.tls: ssl.SSLContext | None = None
        self._port = port or free_port()  # the same one when it comes back
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def arrivals(self) -> int:
        return len(self.names)

    @property
    def records(self) -> list[dict]:
        return [json.loads(line) for lines in list(self.batches.values()) for line in lines.splitlines()]

    def start(self) -> None:
        """Listen (again, on the same port)."""
        self._open: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Disappear as a killed process does: close the listener and all connections."""
        self.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            receiver._open.add(self.connection)

        def do_GET(self) -> None:
            receiver.probes += 1
            self._answer(200, receiver.readiness)

        def do_POST(self) -> None:
            assert self.headers["content-type"] == "application/x-ndjson"
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/v1/records":  # as a feedback server answers that knows only feedback
                receiver.unknown_paths.append(self.path)
                self._answer(404, Problem(404, "no_such_route", "this route does not exist").body(), PROBLEM)
                return
            receiver.names.append(self.headers["swarmscope-batch"])
            receiver.tokens.append(self.headers["authorization"])
            receiver.released.wait(DEADLINE_S)
            time.sleep(receiver.answer_late_s)
            if receiver.answer is not None:
                self._answer(*receiver.answer)
                return
            known = self.headers["swarmscope-batch"] in receiver.batches
            receiver.batches.setdefault(self.headers["swarmscope-batch"], body)
            self._answer(200, b'{"stored":0,"duplicate":true}' if known else b'{"stored":%d}' % body.count(b"\n"))

        def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Coordinator(Server):
    """A `swarmscope coordinator` process."""

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of one request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, body: bytes, content_type: str = "application/json", **headers: str) -> tuple[int, dict]:
        """Status and decoded answer of one feedback request."""
        status, _, answer = self.request("POST", "/v1/feedback", body, content_type=content_type, **headers)
        return status, json.loads(answer)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, under its name and labels without the common prefix."""
        _, _, text = self.request("GET", "/metrics", authorization="Bearer metrics", cache_control="no-cache")
        samples = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
        return {name.removeprefix("swarmscope_coordinator_"): float(value) for name, value in samples}


def start_coordinator(serve: Callable[..., Server], *flags: str) -> Coordinator:
    server = serve("coordinator", "--listen", "127.0.0.1:0", *flags)
    scheme = "https" if "--tls-cert" in flags else "http"
    assert server.url.startswith(f"{scheme}://127.0.0.1:"), server.url
    return Coordinator(server.process, server.url, server.log)


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Make receivers that end with the test."""
    made: list[Receiver] = []

    def make() -> Receiver:
        made.append(Receiver())
        return made[-1]

    yield make
    for receiver in made:
        receiver.stop()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


@pytest.fixture
def coordinators(serve: Callable[..., Server]) -> Callable[..., Coordinator]:
    """Start coordinators that end with the test; the first arguments are receivers, the others flags.

    They are insecure unless keys are given, and have no spool unless one is given.
    """

    def start(*receivers: Receiver, flags: tuple[str, ...] = ()) -> Coordinator:
        arguments = [argument for receiver in receivers for argument in ("--feedback-server", receiver.url)]
        secure = () if {"--key", "--keys"} & {*flags} else ("--insecure",)
        scraped = ("--metrics-token", "metrics") if not secure and "--metrics-token" not in flags else ()
        spool = () if {"--spool", "--spool-max-bytes"} & {*flags} else ("--spool-max-bytes", "0")
        return start_coordinator(serve, *arguments, *secure, *scraped, *spool, *flags)

    return start


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Coordinator, Receiver]]:
    """One coordinator and its receiver for the tests of a module that leave both unchanged."""
    receiver = Receiver()
    with servers(tmp_path_factory.mktemp("shared")) as serve:
        yield start_coordinator(serve, "--insecure", "--spool-max-bytes", "0", "--feedback-server", receiver.url), receiver
    receiver.stop()


@pytest.fixture
def message() -> Callable[..., dict]:
    """Make feedback messages, each with the next `seq`; named fields are replaced or added, and omitted if None."""
    numbers = itertools.count()

    def make(**fields: object) -> dict:
        sent = {
            "v": 1,
            "peer_id": "peer",
            "session_id": "view",
            "seq": next(numbers),
            "event": "report",
            "sent_ms": 1_700_000_000_000,
        }
        return {name: value for name, value in (sent | fields).items() if value is not None}

    return make
