"""Any input gets a clear refusal or a faithful record, never a 5xx or a traceback, in bounded time and memory."""

import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from feedback_wire.limits import BATCH_INFLATED_BYTES, BATCH_WIRE_BYTES
from tests.harness.processor_speed import slowness

pytestmark = pytest.mark.new_interpreter

GOOD = b'{"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"join","sent_ms":1}'
OPEN = GOOD[:-1] + b","
MOST_S = 2.0
"""Processor time of the coordinator for one hostile request; it takes less than a tenth of it."""

NASTY = (
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "{{7*7}}", "${7*7}", "<%= 7*7 %>"]
    + [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "=cmd|' /C calc'!A0",
        "\t=1",
        "\r=1",
        "'; DROP TABLE feedback; --",
        "' OR 1=1 --",
        "$(id)",
        "`id`",
    ]
    + [
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "/dev/null",
        "C:\\CON",
        "file:///etc/passwd",
        "%00",
        "%2e%2e%2f",
        "a\x00b",
        "~",
        "-rf",
    ]
    + ["NULL", "null", "None", "NaN", "Infinity", "undefined", "true", "0", "-0", "1e309", "0x10", "1_000", "١٢٣", "NIL"]
    + [
        ",",
        ";",
        '"',
        "'",
        "\\",
        "\\\\",
        '\\"',
        "\\u0041",
        "\\n",
        "a\nb",
        "a\r\nb",
        "a\u2028b",
        "a\u2029b",
        "a\u0085b",
        "\x1b[31m",
        "\x7f",
    ]
    + [
        "\ufeff",
        "\u200b",
        "\u202egpj.exe",
        "\u00a0",
        "\ufffd",
        "\uffff",
        "\U0010ffff",
        "e\u0301",
        "é",
        "Å",
        "ﬁ",
        "ß",
        "İ",
        "ı",
        "𝕏",
    ]
    + ["香港", "القناة", "टीवी", "👩‍👩‍👧‍👦", "🏴‍☠️", "Z̸̧̛a̵l̷g̶o̴", "ｆｕｌｌ", "Ω≈ç√∫", "a" * 256, "é" * 256, "😀" * 256, " ", "  ", "\t"]
    + ["__proto__", "constructor", "toString", "hasOwnProperty", "__class__", "{0}", "%s%s%s%n", "%d", "{peer_id}", "%(name)s"]
    + [chr(code) for code in range(32)]
    + [f"{left}{right}" for left in "<>&\"'`=" for right in "/!?#;:]}"]
    + [f"{number}{unit}" for number in ("1", "-1", "1.0", "1e5") for unit in ("", " ", "px", "%")]
    + [f"\\{char}" for char in "abfnrtuvx0"]
)


@pytest.fixture
def coordinator(shared):
    return shared[0]


@pytest.fixture
def receiver(shared):
    shared[1].batches.clear()
    return shared[1]


@pytest.fixture(autouse=True)
def _never_a_traceback(shared):
    yield
    assert "Traceback" not in shared[0].log.read_text()
    assert shared[0].process.poll() is None


def memory_kib(process: int) -> int:
    """The peak memory of a process."""
    [line] = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def spent_s(process: int) -> float:
    """The processor time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def refused(coordinator, body: bytes, *, content_type: str = "application/json", **headers: str) -> str:
    """The reason of a 4xx, which must cost little."""
    before = spent_s(coordinator.process.pid)
    status, answer = coordinator.post(body, content_type, **headers)
    assert 400 <= status < 500, answer
    assert spent_s(coordinator.process.pid) - before < MOST_S * slowness()
    return answer["reason"]


VALUES = {
    "NaN": b"NaN",
    "minus infinity": b"-Infinity",
    "1e999": b"1e999",
    "100,000 digits do not fit": b"9" * 100_000,
    "60,000 digits": b"9" * 60_000,
    "60,000 decimals of no double": b"1e" + b"9" * 60_000,
    "lone surrogate": b'"\\ud800"',
    "surrogates the wrong way round": b'"\\udc00\\ud800"',
    "surrogate as utf-8": b'"\xed\xa0\x80"',
    "overlong": b'"\xc0\xaf"',
    "not utf-8": b'"\xff\xfe"',
    "control character": b'"\x00"',
    "deep array": b"[" * 30_000 + b"]" * 30_000,
    "deep object": b'{"a":' * 12_000 + b"1" + b"}" * 12_000,
    "deep and open": b"[" * 60_000,
    "names twice": b'{"a":1,"a":1}',
    "bare word": b"undefined",
    "leading zero": b"01",
    "hex": b"0x10",
    "comment": b"1/**/",
    "single quotes": b"'a'",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_readers_interpret_differently_is_refused_at_any_depth(coordinator, value):
    reasons = {"malformed", "duplicate_name", "invalid_field", "message_too_large", "too_many_values"}
    members = (b'"extra":{"x":%b}', b'"channel":%b', b'"upload_kbps":%b', b'"x":[{"y":%b}]', b'"x":%b')
    messages = [OPEN + member % value + b"}" for member in members]
    for message in messages:
        assert refused(coordinator, message) in reasons
    assert refused(coordinator, b"[" + messages[-1] + b"]") in reasons | {"all_refused"}
    lines = b"\n".join([*messages, GOOD, b""])
    status, answer = coordinator.post(lines, "application/x-ndjson")
    assert (status, answer["accepted"], len(answer["refused"])) == (202, 1, len(messages))


@pytest.mark.parametrize("field", ["v", "seq", "sent_ms", "uptime_ms", "partners", "stall_count"])
def test_an_integer_that_some_reader_cannot_hold_exactly_is_refused(coordinator, field):
    for number in (2**53, 2**63, 2**64, 2**70, -1, -(2**70)):
        message = json.dumps(json.loads(GOOD) | {field: number}).encode()
        assert refused(coordinator, message) == "invalid_field"


def test_text_of_any_kind_reaches_the_record_unchanged(coordinator, receiver):
    texts = [text for text in NASTY if 0 < len(text) <= 256]
    assert len(texts) >= 200
    sent = []
    for escaped in (True, False):
        for number, text in enumerate(texts):
            message = json.loads(GOOD) | {
                "seq": number,
                "peer_id": text,
                "session_id": text,
                "channel": text,
                "isp": text,
                "app": text,
                "platform": text,
                "extra": {text: text},
                f"own {text}": text,
            }
            sent.append(json.dumps(message, ensure_ascii=escaped).encode())
    for begin in range(0, len(sent), 100):
        batch = sent[begin : begin + 100]
        assert coordinator.post(b"[" + b",".join(batch) + b"]") == (202, {"accepted": len(batch)})
    own = ("received_ms", "ip", "weight", "via")
    kept = [{name: value for name, value in record.items() if name not in own} for record in receiver.records]
    assert kept == [json.loads(message) for message in sent]


def test_a_refusal_quotes_the_input_as_json_and_not_as_markup(coordinator):
    for text in NASTY:
        body = json.dumps(json.loads(GOOD) | {"event": text}).encode()
        status, headers, answer = coordinator.request("POST", "/v1/feedback", body)
        assert (status, headers["content-type"]) == (400, "application/problem+json")
        assert json.loads(answer)["reason"] == "invalid_field"


BOMB_BYTES = 24 * BATCH_INFLATED_BYTES
"""More than the memory that a body may cost."""

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(bytes(BOMB_BYTES), compresslevel=1)),
    "zstd": ("zstd", lambda: zstandard.compress(bytes(BOMB_BYTES))),
    "zstd that says it is small": ("zstd", lambda: zstandard.compress(GOOD) + zstandard.compress(bytes(BOMB_BYTES))),
    "20,000 gzip members": ("gzip", lambda: gzip.compress(b"") * 20_000),
    "50,000 empty zstd frames": ("zstd", lambda: zstandard.compress(b"") * 50_000),
    "100,000 skippable frames": ("zstd", lambda: bytes.fromhex("502a4d1800000000") * 100_000),
    "gzip in gzip": ("gzip", lambda: gzip.compress(gzip.compress(bytes(50 * 1024**2)))),
    "many gzip members of a message": ("gzip", lambda: gzip.compress(GOOD + b"\n") * 8000),
    "many zstd frames of a message": ("zstd", lambda: zstandard.compress(GOOD + b"\n") * 10_000),
}
"""The encoding, and how the body is made."""


@pytest.mark.parametrize(("encoding", "make"), BOMBS.values(), ids=BOMBS)
def test_a_compressed_body_has_a_small_cost_whatever_its_inflated_size(coordinator, encoding, make):
    body = make()
    assert len(body) <= BATCH_WIRE_BYTES
    coordinator.post(GOOD)
    before = memory_kib(coordinator.process.pid)
    spent_before = spent_s(coordinator.process.pid)
    status, _ = coordinator.post(body, "application/x-ndjson", content_encoding=encoding)
    assert status in (202, 400, 413)
    assert spent_s(coordinator.process.pid) - spent_before < MOST_S * slowness()
    assert memory_kib(coordinator.process.pid) - before < 16 * BATCH_INFLATED_BYTES / 1024


SMUGGLERS = {
    "both lengths": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "both lengths, other order": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nGET /x",
    "list of lengths": b"Content-Length: 5, 5\r\n\r\nGET /",
    "signed length": b"Content-Length: +5\r\n\r\nGET /",
    "hex length": b"Content-Length: 0x5\r\n\r\nGET /",
    "length with a space inside": b"Content-Length: 5 5\r\n\r\nGET /",
    "length of many digits": b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "space before the colon": b"Content-Length : 5\r\n\r\nGET /",
    "folded header": b"X: a\r\n Content-Length: 5\r\n\r\nGET /",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunk size that is signed": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk size that wraps": b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n",
    "chunk without its line end": b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
    "null in a header": b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
    "bare carriage return": b"X: a\rContent-Length: 5\r\n\r\nGET /",
    "name with a control character": b"X\x01Y: 1\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("rest", SMUGGLERS.values(), ids=SMUGGLERS)
def test_a_request_with_an_ambiguous_end_closes_the_connection(coordinator, receiver, rest):
    with coordinator.connect() as connection:
        victim = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
        connection.sendall(b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\n" + rest + victim)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), answer[:200]
    assert answer.count(b"content-length: ") == 1
    assert receiver.arrivals == 0 or not receiver.batches


LINES = [
    b"POST /v1/feedback HTTP/9.9",
    b"POST  /v1/feedback  HTTP/1.1",
    b"POST /v1/feed\x00back HTTP/1.1",
    b"POST /v1/feedback",
    b"POST http://other/v1/feedback HTTP/1.1",
    b"POST //v1/feedback HTTP/1.1",
    b"POST /v1/../v1/feedback HTTP/1.1",
    b"POST /v1/feedback%00 HTTP/1.1",
    b"POST * HTTP/1.1",
    b"CONNECT x:80 HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"TRACE /v1/feedback HTTP/1.1",
    b"GET /metrics/../../etc/passwd HTTP/1.1",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1",
    b"GET /%ff%fe HTTP/1.1",
    b"\x00" * 100,
    b"\x16\x03\x01\x00\xa5\x01",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_an_odd_request_line_gets_a_4xx_or_a_closed_connection(coordinator, line):
    with coordinator.connect() as connection:
        connection.sendall(line + b"\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return
    assert not answer or b" 4" in answer[:13], answer[:100]


def test_many_unfinished_requests_do_not_delay_finished_ones(coordinators, receivers):
    receiver = receivers()
    coordinator = coordinators(receiver)
    half = [coordinator.connect() for _ in range(200)]
    for number, connection in enumerate(half):
        connection.sendall((b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{" * 2)[: 1 + number])
    for _ in range(20):
        for connection in half[::10]:
            connection.send(b"x")  # a slow drip does not extend a deadline: test_connection_deadlines.py
        assert coordinator.post(GOOD)[0] == 202
    metrics = coordinator.metrics()
    assert metrics["connections"] >= 180
    assert metrics["held_bytes"] == metrics['key_held_bytes{key="anyone"}'] < 200 * 1000
    for connection in half:
        connection.close()
    assert "Traceback" not in coordinator.log_text()


def test_a_client_that_reads_no_answers_is_not_read_until_it_does(coordinators, receiver):
    # A message that is sampled out is answered immediately, so the answers never wait for one another.
    coordinator = coordinators(receiver, flags=("--sample", "0.000001"))
    request = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
    coordinator.post(GOOD)
    before = memory_kib(coordinator.process.pid)
    with coordinator.connect() as deaf:
        deaf.settimeout(0.5)
        sent = pour(deaf, request * 20)
        assert coordinator.post(GOOD)[0] == 202
        assert memory_kib(coordinator.process.pid) - before < 4 * 1024
        answered = 0
        tail = b""
        while answered < sent // len(request):
            piece = tail + deaf.recv(1 << 20)
            answered += piece.count(b"HTTP/1.1 202 ")
            tail = piece[-12:]
    assert memory_kib(coordinator.process.pid) - before < 4 * 1024


def pour(connection: socket.socket, data: bytes) -> int:
    """Send `data` repeatedly until no more of it is accepted; return how many bytes were."""
    sent = 0
    while True:
        try:
            sent += connection.send(data[sent % len(data) :])
        except TimeoutError:
            return sent


@pytest.mark.parametrize("size", [60, 700])
def test_densely_packed_requests_are_not_treated_as_one_large_request(coordinator, size):
    body = (GOOD[:-1] + b',"x":"' + b"y" * size + b'"}').ljust(size)
    request = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for cut in range(1, len(request), 150):
        with coordinator.connect() as connection:
            connection.sendall(request * 60 + request[:cut])
            answers = b""
            while answers.count(b"content-length: ") < 60:
                answers += connection.recv(65536)
            connection.sendall(request[cut:])
            while answers.count(b"content-length: ") < 61:
                answers += connection.recv(65536)
            assert answers.count(b"HTTP/1.1 202 ") == 61
