"""What the kernel of the sender says about its own connection, compared with what the capture says about it."""

import array
import fcntl
import json
import socket
import statistics
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from netlab import Lab, read_topology
from qoe_lab.traffic import CaptureReader, FlowTable, TcpStatistics
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces

pytestmark = [needs_namespaces, needs("tbf"), needs("drop_filter"), needs("packet_sockets")]

BYTES = 5_000_000
PORT = 5001
TCP_CONGESTION = 13
ATTEMPTS = 3
"""A machine that stops for some milliseconds changes the round trips that the kernel smooths."""

TOPOLOGY = {
    "nodes": {"server": {}, "router": {"forwards": True}, "client": {}},
    "links": [
        {"between": ["server", "router"], "delay_ms": 5},
        {"between": ["router", "client"], "rate_kbps": 20000, "queue_ms": 50, "loss": 0.01, "back": {"loss": 0}},
    ],
}
"""The packets wait and are lost behind the place of the capture, so that it sees what the kernel sees."""


class Truth(NamedTuple):
    retransmitted: int
    mean_rtt_ms: float


def tcp_info(connection: socket.socket) -> tuple[int, int]:
    """tcpi_rtt in µs, which the kernel smooths, and tcpi_total_retrans (linux/tcp.h)."""
    values = struct.unpack_from("=24I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 8)
    return values[15], values[23]


def unsent(connection: socket.socket) -> int:
    """Bytes that the other side has not acknowledged."""
    size = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, size)
    return size[0]


@contextmanager
def receiver(lab: Lab) -> Iterator[None]:
    with lab.socket("client", kind=socket.SOCK_STREAM) as listener:
        listener.bind((lab.address("client"), PORT))
        listener.listen(1)

        def receive() -> None:
            accepted, _ = listener.accept()
            with accepted:
                while accepted.recv(65536):
                    pass

        thread = threading.Thread(target=receive)
        thread.start()
        yield
        thread.join()


def transfer(lab: Lab, congestion_control: str) -> Truth:
    with receiver(lab), lab.socket("server", kind=socket.SOCK_STREAM) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, congestion_control.encode())
        sender.connect((lab.address("client"), PORT))
        round_trips, left = [], BYTES
        while left:
            left -= sender.send(bytes(min(16384, left)))
            round_trips.append(tcp_info(sender)[0])
        eventually(lambda: unsent(sender) == 0)
        return Truth(tcp_info(sender)[1], statistics.mean(round_trips) / 1000)


def captured_transfer(path: Path, congestion_control: str) -> tuple[Truth, TcpStatistics]:
    with Lab(read_topology(json.dumps(TOPOLOGY))) as lab, lab.capture("server", "server-router", path) as capture:
        truth = transfer(lab, congestion_control)
        assert lab.counters("router", "router-client").filter_dropped > 0
    assert capture.overflowed == 0
    table = FlowTable()
    for packet in CaptureReader(path):
        table.add(packet)
    [flow] = table.flows()
    assert flow.server_port == PORT
    return truth, flow.up.tcp


@pytest.mark.parametrize("congestion_control", ["cubic", "bbr"])
def test_retransmissions_and_round_trips_are_those_of_the_kernel(congestion_control, tmp_path):
    for attempt in range(ATTEMPTS):
        truth, side = captured_transfer(tmp_path / f"{attempt}.pcap", congestion_control)
        print(f"{congestion_control}: kernel {truth}; capture {side.rexmit_pkts}, {side.rtt_avg_ms:.2f} ms of {side.rtt_count}")
        assert truth.retransmitted > 10
        assert abs(side.rexmit_pkts - truth.retransmitted) <= max(2, 0.05 * truth.retransmitted)
        assert side.unique_bytes == BYTES
        assert side.rtx_rto + side.rtx_fr + side.unknown == side.rexmit_pkts
        if abs(side.rtt_avg_ms - truth.mean_rtt_ms) <= 0.1 * truth.mean_rtt_ms:
            return
    pytest.fail(f"mean round trip {side.rtt_avg_ms} ms, of the kernel {truth.mean_rtt_ms} ms")
