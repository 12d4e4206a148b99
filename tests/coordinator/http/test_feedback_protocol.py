"""The short path through uvicorn's protocol class must keep HTTP's rules itself: each rule is tested over a raw socket."""

import contextlib
import json
import signal
import socket
import time
from pathlib import Path

import pytest

from feedback_wire.limits import BATCH_WIRE_BYTES
from tests.harness.waiting import eventually


def post(body: bytes, *headers: str, line: str = "POST /v1/feedback HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


def read_answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Status and body of the next `count` answers (100 Continue among them)."""
    reader = connection.makefile("rb")
    answers = []
    while len(answers) < count:
        line = reader.readline()
        assert line, f"the connection ended after {len(answers)} answers"
        length = 0
        while (header := reader.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answers.append((int(line.split()[1]), reader.read(length)))
    return answers


def ended(connection: socket.socket) -> bool:
    """Whether the other side has closed and nothing more arrives."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def receiver(shared):
    _, receiver = shared
    receiver.released.set()
    receiver.batches.clear()
    receiver.names.clear()  # so that `arrivals` counts those of this test
    return receiver


@pytest.fixture
def coordinator(shared):
    return shared[0]


@pytest.fixture
def body(message) -> bytes:
    return json.dumps(message()).encode()


def test_a_connection_serves_requests_one_after_the_other(coordinator, body):
    with coordinator.connect() as connection:
        for _ in range(3):
            connection.sendall(post(body))
            assert read_answers(connection, 1) == [(202, b'{"accepted":1}')]


def test_pipelined_requests_are_answered_in_order_on_the_short_path_and_in_uvicorn(coordinator, receiver, body):
    receiver.released.clear()
    with coordinator.connect() as connection:
        health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(post(body) + post(b"nonsense") + health + post(body) + health + health + post(b"{}"))
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)  # the first is not durable yet, so no later answer may overtake it
        connection.settimeout(10)
        receiver.released.set()
        assert [status for status, _ in read_answers(connection, 7)] == [202, 400, 200, 202, 200, 200, 400]


def test_requests_that_arrive_byte_by_byte_are_understood(coordinator, body):
    with coordinator.connect() as connection:
        for byte in post(body) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post(body):
            connection.send(bytes([byte]))
        assert [status for status, _ in read_answers(connection, 3)] == [202, 200, 202]


def test_a_chunked_body_is_read_as_one_body(coordinator, receiver, body):
    chunks = b"".join(b"%x;note=x\r\n%b\r\n" % (len(part), part) for part in (body[:1], body[1:30], body[30:]))
    head = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with coordinator.connect() as connection:
        connection.sendall(head + chunks + b"0\r\nTrailer: x\r\n\r\n" + post(body))
        assert [status for status, _ in read_answers(connection, 2)] == [202, 202]
    assert len(receiver.records) == 2


def test_a_client_that_expects_100_continue_gets_it_before_it_sends_the_body(coordinator, body):
    with coordinator.connect() as connection:
        request = post(body, "Expect: 100-continue")
        connection.sendall(request[: -len(body)])
        assert read_answers(connection, 1) == [(100, b"")]
        connection.sendall(body)
        assert read_answers(connection, 1)[0][0] == 202


def test_a_100_continue_does_not_overtake_an_earlier_answer(coordinator, receiver, body):
    receiver.released.clear()
    with coordinator.connect() as connection:
        connection.sendall(post(body) + post(body, "Expect: 100-continue")[: -len(body)])
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        receiver.released.set()
        assert [status for status, _ in read_answers(connection, 2)] == [202, 100]
        connection.sendall(body)
        assert read_answers(connection, 1)[0][0] == 202


def test_a_client_that_closes_its_sending_side_still_gets_its_answers(coordinator, receiver, body):
    receiver.released.clear()
    with coordinator.connect() as connection:
        connection.sendall(post(body) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post(body))
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.1)  # so that the end arrives before the answers are there
        receiver.released.set()
        assert [status for status, _ in read_answers(connection, 3)] == [202, 200, 202]
        assert ended(connection)


@pytest.mark.parametrize(
    ("line", "header"), [("POST /v1/feedback HTTP/1.0", "X: x"), ("POST /v1/feedback HTTP/1.1", "Connection: close")]
)
def test_a_connection_with_connection_close_closes_after_its_answer(coordinator, body, line, header):
    with coordinator.connect() as connection:
        connection.sendall(post(body, header, line=line))
        assert read_answers(connection, 1)[0][0] == 202
        assert ended(connection)


def test_other_methods_on_the_feedback_path_get_405_with_the_allowed_methods(coordinator, body):
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        status, headers, answer = coordinator.request(method, "/v1/feedback")
        assert (status, headers["allow"]) == (405, "POST, OPTIONS")
        assert bool(answer) is (method != "HEAD")
    with coordinator.connect() as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post(body))
        head = connection.makefile("rb")
        assert b" 200 " in head.readline()
        while head.readline() != b"\r\n":
            pass
        assert b" 202 " in head.readline()


def test_a_query_string_does_not_change_the_path_and_an_escaped_or_longer_path_is_another_path(coordinator, body):
    with coordinator.connect() as connection:
        connection.sendall(
            post(body, line="POST /v1/feedback?source=x HTTP/1.1")
            + post(body, line="POST /v1/feedback/ HTTP/1.1")
            + post(body, line="POST /v1/feedbackx HTTP/1.1")
        )
        assert [status for status, _ in read_answers(connection, 3)] == [202, 404, 404]


def test_a_body_with_a_too_large_content_length_is_refused_before_it_is_sent(coordinator):
    with coordinator.connect() as connection:
        connection.sendall(f"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: {BATCH_WIRE_BYTES + 1}\r\n\r\n".encode())
        [(status, answer)] = read_answers(connection, 1)
        assert status == 413
        assert json.loads(answer)["reason"] == "body_too_large"
        assert ended(connection)


def test_a_sender_that_continues_to_send_a_too_large_body_can_still_read_the_refusal(coordinator):
    with coordinator.connect() as connection:
        connection.sendall(f"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: {10 * BATCH_WIRE_BYTES}\r\n\r\n".encode())
        for _ in range(100):
            connection.sendall(bytes(100_000))
        assert read_answers(connection, 1)[0][0] == 413


def test_a_chunked_body_that_grows_too_large_is_refused_while_it_arrives(coordinator):
    with coordinator.connect() as connection:
        connection.sendall(b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(BATCH_WIRE_BYTES // 65_536 + 1):
            connection.sendall(b"10000\r\n" + bytes(65_536) + b"\r\n")
        assert read_answers(connection, 1)[0][0] == 413


def test_chunks_with_only_overhead_are_limited(coordinator):
    with coordinator.connect() as connection:
        connection.sendall(b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"1;" + b"x" * 10_000 + b"\r\n \r\n"
        for _ in range(3 * BATCH_WIRE_BYTES // len(chunk)):
            connection.sendall(chunk)
        assert read_answers(connection, 1)[0][0] == 413


def test_endless_headers_are_refused(coordinator):
    with coordinator.connect() as connection:
        connection.sendall(b"POST /v1/feedback HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        assert read_answers(connection, 1)[0][0] == 431


@pytest.mark.parametrize("line", ["GET /healthz HTTP/1.1", "POST /v1/feedback HTTP/1.1"])
@pytest.mark.parametrize("headers", [[f"X-{n}: y" for n in range(200)], ["X: " + "y" * 40_000]], ids=["many", "large"])
def test_a_head_that_arrives_in_one_piece_has_the_same_size_limit(coordinator, body, line, headers):
    with coordinator.connect() as connection:
        connection.sendall(post(body, *headers, line=line))
        assert read_answers(connection, 1)[0][0] == 431
        assert ended(connection)


def test_trailers_have_the_same_limit_as_headers(coordinator, body):
    with coordinator.connect() as connection:
        chunks = b"%x\r\n%b\r\n0\r\n" % (len(body), body) + b"a:\r\n" * 5_000 + b"\r\n"
        connection.sendall(b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        assert read_answers(connection, 1)[0][0] == 431


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/feedback HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_bytes_that_are_not_http_get_400_and_a_closed_connection(coordinator, request_bytes):
    with coordinator.connect() as connection:
        connection.sendall(request_bytes)
        assert read_answers(connection, 1)[0][0] == 400
        assert ended(connection)


def test_an_upgrade_is_ignored_and_its_body_is_accepted(coordinator, receiver, body):
    with coordinator.connect() as connection:
        request = post(body, "Connection: Upgrade", "Upgrade: h2c")
        connection.sendall(
            request + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + request * 2
        )
        assert [status for status, _ in read_answers(connection, 4)] == [202, 200, 202, 202]
    assert len(receiver.records) == 3


def test_too_many_pipelined_requests_are_refused_one_by_one(coordinator, receiver, body):
    too_many = 'requests_refused_total{reason="too_many_pipelined"}'
    before = coordinator.metrics().get(too_many, 0)
    receiver.released.clear()
    with coordinator.connect() as connection:
        connection.sendall(post(body) * 70)
        eventually(lambda: coordinator.metrics().get(too_many, 0) == before + 6, "six are refused")
        receiver.released.set()
        statuses = [status for status, _ in read_answers(connection, 70)]
    assert statuses[:64] == [202] * 64
    assert statuses[64:] == [429] * 6
    assert len(receiver.records) == 64


def test_a_client_that_continues_after_many_refusals_is_disconnected(coordinator, receiver, body):
    receiver.released.clear()
    with coordinator.connect() as connection:
        connection.sendall(post(body) * 1_000)
        receiver.released.set()
        statuses = [status for status, _ in read_answers(connection, 129)]
    assert statuses == [202] * 64 + [429] * 65


def test_a_flood_of_other_requests_on_one_connection_is_disconnected(coordinator):
    flood, heard = 20_000, b""
    with coordinator.connect() as connection:
        with contextlib.suppress(ConnectionError):  # nothing reads what is sent after the refusal
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * flood)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(2**16):
                heard += piece
    assert 0 < heard.count(b"HTTP/1.1 200 ") < flood
    assert coordinator.metrics()['requests_refused_total{reason="too_many_pipelined"}'] > 0
    with coordinator.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answers(connection, 1)[0][0] == 200


def test_requests_that_are_pending_at_the_stop_are_answered(coordinators, receiver, body):
    coordinator = coordinators(receiver)
    receiver.released.clear()
    with coordinator.connect() as waiting, coordinator.connect() as idle, coordinator.connect() as half:
        waiting.sendall(post(body) + post(body))
        half.sendall(post(body)[:-5])
        eventually(lambda: coordinator.metrics()["messages_in_flight"] == 2, "two are pending")
        coordinator.process.terminate()
        assert ended(idle)
        assert ended(half)
        receiver.released.set()
        assert [status for status, _ in read_answers(waiting, 2)] == [202, 202]
        assert ended(waiting)
    assert coordinator.process.wait(10) == 0
    assert len(receiver.records) == 2


def is_pending(pid: int) -> bool:
    """Whether a signal that was sent to the process has not arrived."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd:", "ShdPnd:")))


def test_further_signals_do_not_shorten_the_stop(coordinators, receiver, body):
    """An impatient operator presses Ctrl-C again, and a terminal and the parent process both signal a worker."""
    coordinator = coordinators(receiver)
    receiver.released.clear()
    with coordinator.connect() as idle, coordinator.connect() as waiting:
        waiting.sendall(post(body))
        eventually(lambda: receiver.arrivals, "the batch is on its way")
        coordinator.process.send_signal(signal.SIGINT)
        assert ended(idle)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            coordinator.process.send_signal(number)
            eventually(lambda: not is_pending(coordinator.process.pid), "the signal has arrived: the kernel merges equal ones")
        receiver.released.set()
        assert [status for status, _ in read_answers(waiting, 1)] == [202]
    assert coordinator.process.wait(10) == 0
    assert "Traceback" not in coordinator.log_text()


def test_the_coordinator_stops_even_if_a_feedback_server_never_answers(coordinators, receivers, body):
    receiver = receivers()
    coordinator = coordinators(receiver)
    receiver.answer_late_s = 30
    with coordinator.connect() as waiting:
        waiting.sendall(post(body))
        eventually(lambda: receiver.arrivals, "the batch is on its way")
        began = time.monotonic()
        assert coordinator.stop() == 0
        assert time.monotonic() - began < 10


def test_a_sender_that_disconnects_before_its_answer_disturbs_no_other(coordinators, receiver, body):
    coordinator = coordinators(receiver)
    receiver.released.clear()
    for _ in range(10):
        with coordinator.connect() as leaver:
            leaver.sendall(post(body) * 2)
    eventually(lambda: coordinator.metrics()["messages_received_total"] == 20, "all requests arrived")
    receiver.released.set()
    eventually(lambda: coordinator.metrics()["messages_forwarded_total"] == 20, "all messages are stored")
    assert coordinator.metrics()["connections"] == 1  # the answer to this request itself
    assert coordinator.log_text().count("Traceback") == 0
