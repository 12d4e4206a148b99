"""The cost of one request: as many bytes as the coordinator accepts, as much time as the app allows."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness.waiting import eventually

WAIT = (503, {"Retry-After": "1"}, b"")
"""Long enough that all calls meanwhile go into one batch."""


def noise(chance: random.Random, texts: int) -> dict[str, str]:
    """Entries that compression cannot halve."""
    return {f"n{number}": chance.randbytes(100).hex() for number in range(texts)}


def test_a_batch_that_is_too_large_is_halved_until_it_fits(coordinator, telemetry):
    chance = random.Random(1)
    server = coordinator(script=[WAIT], most_bytes=4000)
    client = telemetry(server.url, period_s=86_400)
    for number in range(60):
        client.session(peer_id=f"p-{number}", extra=noise(chance, 2))
    eventually(lambda: client.stats().sent == 60)
    assert 413 in [heard.status for heard in server.heard]
    assert sorted(message["peer_id"] for message in server.accepted) == sorted(f"p-{number}" for number in range(60))
    stats = client.stats()
    assert (stats.refused, stats.forgotten, stats.buffered) == (0, 0, 0)
    assert stats.failed_attempts == len([heard for heard in server.heard if heard.status != 202])


def test_one_message_that_is_too_large_is_dropped_without_the_rest_of_its_batch(coordinator, telemetry):
    chance = random.Random(2)
    server = coordinator(script=[WAIT], most_bytes=4000)
    client = telemetry(server.url, period_s=86_400)
    for number in range(30):
        client.session(peer_id=f"p-{number}", extra=noise(chance, 60 if number == 17 else 1))
    eventually(lambda: client.stats().sent + client.stats().refused == 30)
    assert client.stats().refused_for == {"body_too_large": 1}
    assert {message["peer_id"] for message in server.accepted} == {f"p-{number}" for number in range(30)} - {"p-17"}


def test_a_coordinator_that_finds_everything_too_large_gets_each_message_alone_only_once(coordinator, telemetry):
    server = coordinator(script=[WAIT], most_bytes=0)
    client = telemetry(server.url, period_s=86_400)
    for number in range(20):
        client.session(peer_id=f"p-{number}")
    eventually(lambda: client.stats().refused == 20)
    # Halving 20 takes five requests; each of the others gives up one message. Then nothing is left to send.
    assert len(server.heard) <= 1 + 5 + 20


@pytest.fixture
def dripper() -> Iterator[Callable[[bytes], str]]:
    """Servers that send something, and then endless single bytes with pauses."""
    ending = threading.Event()
    listeners = []
    threads = []

    def drip(listener: socket.socket, begin: bytes) -> None:
        with contextlib.suppress(OSError):
            while not ending.is_set():
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(begin)
                    while not ending.wait(0.05):
                        connection.sendall(b"x")

    def start(begin: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=drip, args=(listener, begin)))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    ending.set()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


DRIPS = {
    "status line": ("http", b""),
    "header": ("http", b"HTTP/1.1 202 Accepted\r\nX-Long: "),
    "body": ("http", b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n"),
    "chunk size": ("http", b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n1;"),
    "TLS record": ("https", bytes.fromhex("1603033fff")),
}


@pytest.mark.parametrize(("scheme", "begin"), DRIPS.values(), ids=DRIPS)
def test_a_coordinator_that_drips_its_answer_is_given_up_in_time(dripper, telemetry, scheme, begin):
    client = telemetry(f"{scheme}://{dripper(begin)}", timeout_s=0.5, flush_s=0.5)
    client.session(peer_id="p-1")
    # Each byte arrives well within the 0.5 s, so a time limit for each of them would never be reached.
    eventually(lambda: client.stats().failed_attempts)
    assert "no answer within 0.5 s" in client.stats().last_failure
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("size", [b"-1", b"-5"])
def test_a_chunk_of_negative_size_is_a_failed_attempt_and_the_sdk_continues(dripper, telemetry, size):
    answer = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % size
    client = telemetry(f"http://{dripper(answer)}", flush_s=0.5, period_s=86_400)
    client.session(peer_id="p-1")
    eventually(lambda: client.stats().failed_attempts >= 2)
    assert f"invalid chunk size {size.decode()}" in client.stats().last_failure
    assert client.stats().buffered == 1
