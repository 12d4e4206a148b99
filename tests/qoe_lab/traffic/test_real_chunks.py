"""Requests and chunks of a real connection over a slow link, compared with what its two ends know."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netlab import Lab
from qoe_lab.traffic import CaptureReader, SlotCounter, TrafficSlot
from tests.netlab.labs import needs, needs_namespaces, two_nodes

pytestmark = [needs_namespaces, needs("tbf"), needs("packet_sockets")]

PORT = 8000
REQUEST_BYTES = 120
ANSWERS = (3_000, 40_000, 150_000, 90_000)
"""The first one is too short for a chunk."""


@contextmanager
def server(lab: Lab) -> Iterator[None]:
    """Answers each request of REQUEST_BYTES with as many bytes as it begins with."""
    with lab.socket("a", kind=socket.SOCK_STREAM) as listener:
        listener.bind((lab.address("a"), PORT))
        listener.listen(1)

        def answer() -> None:
            accepted, _ = listener.accept()
            with accepted:
                while request := accepted.recv(REQUEST_BYTES, socket.MSG_WAITALL):
                    accepted.sendall(bytes(int(request)))

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


def played(lab: Lab) -> list[float]:
    """Ask for the answers one after the other. How long each took, in ms."""
    with server(lab), lab.socket("b", kind=socket.SOCK_STREAM) as client:
        client.connect((lab.address("a"), PORT))
        took = []
        for size in ANSWERS:
            began = time.monotonic()
            client.sendall(str(size).encode().ljust(REQUEST_BYTES))
            client.recv(size, socket.MSG_WAITALL)
            took.append((time.monotonic() - began) * 1000)
        return took


def slots_of(path: Path, client: str) -> list[TrafficSlot]:
    counter = SlotCounter(client=client)
    slots = [slot for packet in CaptureReader(path) for slot in counter.add(packet)]
    return [*slots, *counter.advance(slots[-1].begin_ns + 4 * 10**9)]


def test_the_chunks_of_a_capture_are_the_answers_of_the_server(tmp_path):
    path = tmp_path / "capture.pcap"
    with Lab(two_nodes(rate_kbps=2000, delay_ms=10, queue_ms=1000)) as lab, lab.capture("b", "a-b", path) as capture:
        took = played(lab)
        address = lab.address("b")
    assert capture.overflowed == 0
    row = slots_of(path, address)[-1].row()
    chunks = ANSWERS[1:]
    assert row["total_requests"] == len(ANSWERS)
    assert (row["total_chunks"], row["total_chunk_max_bytes"]) == (len(chunks), max(chunks))
    assert row["total_chunk_bytes"] == pytest.approx(sum(chunks) / len(chunks), rel=0.02)  # retransmissions count
    # The client sees the end of an answer later, when it gets the processor.
    print(f"answers took {took} ms, mean of the chunks {row['total_chunk_ms']:.1f} ms")
    assert 0 <= sum(took[1:]) / len(chunks) - row["total_chunk_ms"] < 100
    assert row["total_rtt_min_ms"] >= 20
