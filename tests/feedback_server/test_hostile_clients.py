"""What a hostile client can do to a feedback server: it is refused or disconnected, no other client notices, and nothing grows."""

import contextlib
import http.client
import re
import resource
import secrets
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zstandard

from feedback_server.received_batch import BATCH_RECORDS
from feedback_wire.frames import PREAMBLE, records_frame
from tests.harness.processes import Server
from tests.harness.waiting import eventually

LINE = b'{"a":1}\n'
POST = (
    b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nSwarmscope-Batch: "
    + secrets.token_hex(16).encode()
    + b"\r\n"
)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"8\r\n" + LINE + b"\r\n0\r\n\r\n"

SHAPES = {
    "length and chunks": POST + b"Content-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks and length": CHUNKED + b"Content-Length: 8\r\n\r\n" + CHUNKS,
    "two lengths": POST + b"Content-Length: 8\r\nContent-Length: 9\r\n\r\n" + LINE,
    "the same length twice": POST + b"Content-Length: 8\r\nContent-Length: 8\r\n\r\n" + LINE,
    **{
        f"length {text}": POST + b"Content-Length: %b\r\n\r\n" % text.encode() + LINE
        for text in ("8, 8", "+8", "-8", "0x8", "1_0", "", "9" * 25)
    },
    **{
        f"encoding {text}": POST + b"Transfer-Encoding: %b\r\n\r\n" % text.encode() + CHUNKS
        for text in ("xchunked", "chunked, identity", "gzip, chunked", "identity", "chunked, chunked")
    },
    "two encodings": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    "chunks in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + CHUNKS,
    "a folded header": POST + b"X: a\r\n b\r\nContent-Length: 8\r\n\r\n" + LINE,
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "bare line feeds": POST.replace(b"\r\n", b"\n") + b"Content-Length: 8\n\n" + LINE,
    "one bare line feed": POST + b"X: y\nContent-Length: 8\r\n\r\n" + LINE,
    "a bare carriage return": POST + b"X: y\rContent-Length: 8\r\n\r\n" + LINE,
    **{
        f"chunk of size {text!r}": CHUNKED + b"\r\n%b\r\n" % text.encode() + LINE + b"\r\n0\r\n\r\n"
        for text in ("-8", "+8", "0x8", "f" * 17, "8 ", "", "8;a\nb")
    },
    "a chunk without its end": CHUNKED + b"\r\n8\r\n" + LINE + b"XX0\r\n\r\n",
    "chunks with line feeds": CHUNKED + b"\r\n8\n" + LINE + b"\n0\n\n",
    "a NUL in a header": POST + b"X: a\0b\r\nContent-Length: 8\r\n\r\n" + LINE,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that is no ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030100dc010000d80303") + bytes(200),
    "noise": bytes(range(256)),
    "a long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
    "a header without an end": b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
    "a long path": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
    "many trailers": CHUNKED + b"\r\n8\r\n" + LINE + b"\r\n0\r\n" + b"X: a\r\n" * 20_000,
    "a trailer without an end": CHUNKED + b"\r\n8\r\n" + LINE + b"\r\n0\r\nX: " + b"a" * 9_000_000,
    "chunks that are all framing": CHUNKED + b"\r\n" + b"1;%b\r\n{\r\n" % (b"x" * 1000) * 9_000,
}


def connect(server: Server) -> socket.socket:
    host, _, port = urlsplit(server.url).netloc.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answer_to(server: Server, sent: bytes) -> bytes:
    """Everything that arrives until the server ends the connection."""
    with connect(server) as link:
        with contextlib.suppress(ConnectionError):
            link.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := link.recv(65_536):
                answer += piece
        return answer


def resident_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def test_an_ambiguous_request_is_refused_and_closes_the_connection(start_feedback_server, lines, stored):
    server = start_feedback_server()
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    for shape, sent in SHAPES.items():
        answer = answer_to(server.server, sent + smuggled)
        assert re.findall(rb"HTTP/1.1 (\d)", answer) in ([b"4"], [b"5"] if shape == "encoding gzip, chunked" else [], []), (
            shape,
            answer[:500],
        )
    assert server.counted('refused_total{reason="bad_http"}') >= 30
    assert server.counted('refused_total{reason="head_too_large"}') >= 4
    assert "no_such_route" not in server.get("/metrics", cache_control="no-cache").body.decode(), (
        "the smuggled request was not answered"
    )
    assert server.post(lines(3)).json == {"stored": 3}
    server.server.stop()
    assert len(stored(server.data)) == 3
    assert server.server.log_text() == ""


def test_a_request_that_is_cut_anywhere_stores_nothing_and_logs_nothing(start_feedback_server, stored):
    server = start_feedback_server()
    whole = POST + b"Content-Length: 8\r\n\r\n" + LINE
    for cut in range(0, len(whole), 3):
        with connect(server.server) as link:
            link.sendall(whole[:cut])
    assert server.logs() == []
    assert server.server.log_text() == ""


def test_too_many_requests_at_once_on_one_connection_end_it(start_feedback_server):
    server = start_feedback_server()
    answer = answer_to(server.server, b"GET /v1/logs?wait=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 3000)
    assert answer.count(b"HTTP/1.1 200 ") < 20
    assert server.counted('refused_total{reason="too_many_pipelined"}') == 1


@pytest.mark.soak
@pytest.mark.new_interpreter
def test_slow_clients_are_disconnected_and_others_are_served_meanwhile(start_feedback_server, lines):
    server = start_feedback_server()
    for _ in range(20):
        assert server.post(lines(100)).status == 200
    before = resident_bytes(server.server)
    with contextlib.ExitStack() as stack:
        slow_clients = [stack.enter_context(connect(server.server)) for _ in range(300)]
        for number, link in enumerate(slow_clients):
            link.sendall((POST + b"Content-Length: 4000000\r\n\r\n{")[: number or None] if number % 2 else b"GET / HTTP/1.1\r\nX: ")
        disconnected: set[int] = set()

        def all_gone() -> bool:
            for number, link in enumerate(slow_clients):
                if number in disconnected:
                    continue
                with contextlib.suppress(BlockingIOError):
                    try:
                        link.setblocking(False)
                        link.send(b"a")  # a byte now and then, as slowloris does
                        if link.recv(4096) == b"":
                            disconnected.add(number)
                    except ConnectionError:
                        disconnected.add(number)
            assert server.post(lines(1)).status == 200
            return len(disconnected) == len(slow_clients)

        eventually(all_gone, within_s=90, every_s=1)
    assert resident_bytes(server.server) - before < 50 * 1024 * 1024
    assert server.counted("connections") <= 2
    assert "Traceback" not in server.server.log_text()


@pytest.mark.new_interpreter
def test_a_batch_of_millions_of_tiny_records_is_refused_before_it_grows(start_feedback_server):
    """Each would be stamped with its time: 4 MiB of the smallest lines make a frame of 60, larger than readers accept."""
    server = start_feedback_server("--roll-seconds", "1")
    before = resident_bytes(server.server)
    for line in (b"{\n", b"{}\n"):
        refused = server.post(line * (4 * 1024 * 1024 // len(line)))
        assert (refused.status, refused.json["reason"]) == (413, "too_many_records")
    assert server.post(b"{}\n" * BATCH_RECORDS).json == {"stored": BATCH_RECORDS}
    eventually(lambda: server.logs()[0]["sealed"])
    assert server.logs()[0]["records"] == BATCH_RECORDS
    assert server.counted("quarantined_records_total") == 0
    assert resident_bytes(server.server) - before < 100 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate", "br", "gzip, gzip", "identity, gzip", "x" * 3000])
def test_compressed_batches_are_refused(start_feedback_server, lines, encoding):
    """A decompression bomb needs a program that inflates it: the batch route accepts plain lines only."""
    server = start_feedback_server()
    refused = server.post(zstandard.compress(bytes(100_000_000)), content_encoding=encoding)
    assert (refused.status, refused.json["reason"]) == (415, "content_encoding")
    assert server.post(zstandard.compress(lines(3))).json["reason"] == "bad_lines"


@pytest.mark.new_interpreter
def test_a_bomb_in_a_journal_is_quarantined_and_not_inflated(start_feedback_server, stored):
    """A user with write access to the folder can leave a small frame there that claims, or hides, gigabytes."""
    server = start_feedback_server()
    server.server.stop()
    bomb = zstandard.compress(b"\n" * 2**30)
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(b"\n" * 2**28)
    good = LINE.replace(b"{", b'{"session_id":"s","seq":0,')
    frames = [
        records_frame(bomb, number=0, first_record=0, records=2**30, inflated=2**30, batch=bytes(15) + b"\x01"),
        records_frame(hidden, number=1, first_record=2**30, records=8, inflated=8, batch=bytes(15) + b"\x02"),
        records_frame(zstandard.compress(good), number=2, first_record=0, records=1, inflated=len(good), batch=bytes(15) + b"\x03"),
    ]
    (server.data / "20120807T093000Z-fs1-0000.journal").write_bytes(PREAMBLE + b"".join(frames))
    server = start_feedback_server()
    eventually(lambda: server.counted("journals") == 0)
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.server.process.pid}/status").read_text())[1]) * 1024
    assert peak < 300 * 1024 * 1024
    assert stored(server.data) == [("s", 0)]
    assert server.counted("quarantined_total") == 2
    assert "Traceback" not in server.server.log_text()


def test_without_file_descriptors_new_connections_are_refused_and_nothing_acknowledged_is_lost(
    start_feedback_server, lines, stored
):
    server = start_feedback_server("--roll-seconds", "1")
    assert server.post(lines(3, session="before")).status == 200
    limit = ["prlimit", "--pid", str(server.server.process.pid)]
    open_files = len(list(Path(f"/proc/{server.server.process.pid}/fd").iterdir()))
    subprocess.run([*limit, f"--nofile={open_files + 5}:"], check=True)
    acknowledged = [("before", seq) for seq in range(3)]
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(server.server))
        for number in range(20):
            with contextlib.suppress(OSError):
                if server.post(lines(3, session=f"during{number}")).status == 200:
                    acknowledged += [(f"during{number}", seq) for seq in range(3)]
        assert len(acknowledged) < 60, "some were refused"

    def stored_again() -> bool:
        try:
            return server.post(lines(3, session="after"), "ab" * 16).status == 200
        except OSError:
            return False

    eventually(stored_again, within_s=30)
    acknowledged += [("after", seq) for seq in range(3)]
    subprocess.run([*limit, "--nofile=1024:"], check=True)
    assert server.server.stop() == 0
    assert {*acknowledged} <= {*stored(server.data)}
    assert "Traceback" not in server.server.log_text()


def test_a_server_with_few_file_descriptors_reserves_some_for_its_own_files(start_feedback_server, lines):
    """It starts with 100 of them, so it accepts 18 connections, and still stores and seals while more connect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        server = start_feedback_server("--roll-seconds", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with contextlib.ExitStack() as stack:
        keeper = stack.enter_context(contextlib.closing(http.client.HTTPConnection(urlsplit(server.server.url).netloc, timeout=20)))
        keeper.request("GET", "/healthz")
        assert keeper.getresponse().read() == b"ok\n"
        crowd = [stack.enter_context(connect(server.server)) for _ in range(60)]
        assert b"too_many_connections" in crowd[18].recv(4096)
        own = {"content-type": "application/x-ndjson", "swarmscope-batch": "ab" * 16}
        keeper.request("POST", "/v1/records", lines(3), own)
        assert keeper.getresponse().read() == b'{"stored":3}'
        eventually(lambda: list(server.data.glob("*.jsonl.zst")))
    assert "Traceback" not in server.server.log_text()
