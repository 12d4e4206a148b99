"""What is not valid HTTP, at the servers that speak JSON."""

import json
import socket

import pytest
import requests

from feedback_wire.routes import PROBLEM
from tests.measurement.measurement_lab import start_master

BAD_HEADS = (
    (b"GET /v1/measurements HTTP/1.1\r\n\r\n", "a request has one Host header; this one has 0"),
    (b"GET /v1/measurements HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "a request has one Host header; this one has 2"),
    (b"GET /v1/measurements HTTP/2.0\r\nHost: a\r\n\r\n", "the request line ends with HTTP/1.1 or HTTP/1.0"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "the bytes are not a valid HTTP/1.1 request"),
    (
        b"POST /v1/measurements HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnothing hexadecimal\r\n",
        "the bytes are not a valid HTTP/1.1 request",
    ),
)
CODINGS = b"POST /v1/measurements HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
WELL_FORMED = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def answer_to(url: str, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of what comes back until the server ends the connection."""
    host, _, port = url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request)
        received = b""
        while more := connection.recv(65_536):
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.fixture(params=["measurement-master", "lab"])
def server(request, serve, tmp_path):
    if request.param == "lab":
        return serve("lab", "serve", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "trainings"))
    return start_master(serve, tmp_path)


def test_invalid_http_gets_a_problem_document_is_counted_and_ends_the_connection(server):
    for request, detail in BAD_HEADS:
        head, body = answer_to(server.url, request)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert f"content-type: {PROBLEM}".encode() in head.lower()
        problem = json.loads(body)
        assert (problem["status"], problem["reason"], problem["detail"]) == (400, "bad_http", detail)
    head, body = answer_to(server.url, CODINGS)
    assert (head[:12], json.loads(body)["reason"]) == (b"HTTP/1.1 501", "unsupported_transfer_encoding")
    # An answer to a good request before it is not lost.
    head, body = answer_to(server.url, WELL_FORMED + BAD_HEADS[0][0])
    assert not head or head.startswith(b"HTTP/1.1 200 ")
    metrics = requests.get(f"{server.url}/metrics", timeout=60).text
    assert f'_refused_total{{reason="bad_http"}} {float(len(BAD_HEADS) + 1)}' in metrics
