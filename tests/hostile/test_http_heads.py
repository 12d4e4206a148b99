"""One corpus of requests for all three servers: the requirements of RFC 9110 and 9112, whichever library reads the requests."""

import gzip
import json
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.processes import Server, start_server

END = b"\r\n\r\n"
HOST = b"\r\nHost: HOST"
NEXT = b"GET /healthz HTTP/1.1" + HOST + b"\r\nConnection: close" + END

REFUSED = {
    "no Host": (b"GET /healthz HTTP/1.1" + END, {400}),
    "two Hosts": (b"GET /healthz HTTP/1.1" + HOST + HOST + END, {400}),
    "two Hosts that differ": (b"GET /healthz HTTP/1.1" + HOST + b"\r\nhost: other" + END, {400}),
    "a Host with a blank": (b"GET /healthz HTTP/1.1\r\nHost: a b" + END, {400}),
    "a Host with a path": (b"GET /healthz HTTP/1.1\r\nHost: a/b" + END, {400}),
    "no version": (b"GET /healthz" + END, {400}),
    "version 0.9": (b"GET /healthz HTTP/0.9" + HOST + END, {400}),
    "version 2.0": (b"GET /healthz HTTP/2.0" + HOST + END, {400}),
    "line feeds alone": (b"GET /healthz HTTP/1.1\nHost: HOST\n\n", {400}),
    "one line feed alone": (b"GET /healthz HTTP/1.1" + HOST + b"\nX: y" + END, {400}),
    "a transfer coding that is not chunked": (
        b"POST /healthz HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: gzip, chunked" + END + b"0" + END,
        {400, 501},
    ),
    "two lines of transfer codings": (
        b"POST /healthz HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked" + END + b"0" + END,
        {400, 501},
    ),
    "chunked, but not last": (b"POST /healthz HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: chunked, gzip" + END + b"0" + END, {400}),
    "chunked twice": (b"POST /healthz HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: chunked, chunked" + END + b"0" + END, {400}),
    "identity": (b"POST /healthz HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: identity" + END, {400, 501}),
    "a length and chunks": (
        b"POST /healthz HTTP/1.1" + HOST + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" + END + b"0" + END,
        {400},
    ),
}
UPGRADE = b"\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c"
SERVED = {
    "as usual": b"GET /healthz HTTP/1.1" + HOST + END,
    "an upgrade that is not offered": b"GET /healthz HTTP/1.1" + HOST + UPGRADE + END,
    "absolute form": b"GET http://HOST/healthz HTTP/1.1" + HOST + END,
    "absolute form, capitals, a query": b"GET HTTP://HOST/healthz?from=http://x HTTP/1.1" + HOST + END,
    "HEAD": b"HEAD /healthz HTTP/1.1" + HOST + END,
    "HEAD of the metrics": b"HEAD /metrics HTTP/1.1" + HOST + END,
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("heads")
    here = ("--insecure", "--listen", "127.0.0.1:0")
    running = [start_server("feedback-server", *here, "--data", str(folder / "data"), log=folder / "feedback.log")]
    to = ("--feedback-server", running[0].url)
    running.append(start_server("coordinator", *here, *to, "--spool", str(folder / "spool"), log=folder / "coordinator.log"))
    running.append(start_server("monitor", *here, *to, "--mirror", str(folder / "mirror"), log=folder / "monitor.log"))
    yield dict(zip(("feedback-server", "coordinator", "monitor"), running, strict=True))
    for each in reversed(running):
        each.stop()


@pytest.fixture(params=["coordinator", "feedback-server", "monitor"])
def server(request, servers) -> Server:
    return servers[request.param]


def answers(server: Server, sent: bytes) -> bytes:
    """Everything that arrives until the server ends the connection."""
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=60) as link:
        link.sendall(sent.replace(b"HOST", address.netloc.encode()))
        return b"".join(iter(lambda: link.recv(65_536), b""))


def statuses(answered: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3}) ", answered)]


@pytest.mark.parametrize("shape", REFUSED)
def test_an_ambiguous_request_is_refused_and_closes_the_connection(server: Server, shape: str):
    sent, expected = REFUSED[shape]
    [status] = statuses(answers(server, sent + NEXT))
    assert status in expected


@pytest.mark.parametrize("shape", SERVED)
def test_valid_but_unusual_requests_are_served_and_the_connection_stays_open(server: Server, shape: str):
    answered = answers(server, SERVED[shape] + NEXT)
    assert statuses(answered) == [200, 200]
    assert answered.count(b"ok") == (1 if shape.startswith("HEAD") else 2), "a HEAD has no body"


def test_http_1_0_needs_no_host(server: Server):
    assert statuses(answers(server, b"GET /healthz HTTP/1.0" + END)) == [200]


GOOD = b'{"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"join","sent_ms":1}'
RECORD = b'{"ip":"","weight":1.0,"via":"c1",' + GOOD[1:] + b"\n"


@pytest.mark.parametrize("cut", [None, 40, 90, -3])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_with_an_upgrade_is_accepted_in_any_pieces(servers, framing: str, cut: int | None):
    for name, head, body in (
        ("coordinator", b"POST /v1/feedback HTTP/1.1", GOOD),
        ("coordinator", b"POST http://HOST/v1/feedback HTTP/1.1", GOOD),
        (
            "feedback-server",
            b"POST /v1/records HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nSwarmscope-Batch: "
            + (framing + str(cut)).encode().hex().rjust(32, "1").encode(),
            RECORD,
        ),
    ):
        framed = b"\r\nContent-Length: %d" % len(body) + END + body
        if framing == "chunks":
            framed = b"\r\nTransfer-Encoding: chunked" + END + b"%x\r\n%b\r\n0" % (len(body), body) + END
        sent = head + HOST + UPGRADE + framed + NEXT
        address = urlsplit(servers[name].url)
        whole = sent.replace(b"HOST", address.netloc.encode())
        with socket.create_connection((str(address.hostname), address.port or 0), timeout=60) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (whole[:cut], whole[cut:]) if cut else (whole,):
                link.sendall(piece)
            answered = b"".join(iter(lambda: link.recv(65_536), b""))
        assert statuses(answered) == [202 if name == "coordinator" else 200, 200], answered


def test_the_encoding_x_gzip_is_read_as_gzip(servers):
    body = gzip.compress(GOOD)
    head = b"POST /v1/feedback HTTP/1.1" + HOST + b"\r\nContent-Encoding: x-gzip\r\nContent-Length: %d" % len(body)
    answered = answers(servers["coordinator"], head + b"\r\nConnection: close" + END + body)
    assert statuses(answered) == [202]
    assert json.loads(answered.partition(END)[2]) == {"accepted": 1}


def test_a_tunnel_is_refused(server: Server):
    answered = answers(server, b"CONNECT HOST HTTP/1.1" + HOST + b"\r\nConnection: close" + END)
    assert statuses(answered)[0] in {400, 404, 405}
