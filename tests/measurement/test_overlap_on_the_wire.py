"""PM_SYN, proved by a capture at the destinations instead of our own log."""

import socket
import threading
import time
from collections import defaultdict
from itertools import pairwise

import pytest

from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import start_agent, start_master, state, submit

DESTINATIONS = ["127.0.7.1", "127.0.7.2"]
ECHO_REQUEST = 8


class EchoCapture:
    """When echo requests of each ICMP id arrive at each address."""

    def __init__(self):
        self.arrivals = defaultdict(list)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._capture)
        self._thread.start()

    def _capture(self):
        while not self._ended.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            icmp = packet[(packet[0] & 15) * 4 :]
            if icmp[0] == ECHO_REQUEST:
                key = socket.inet_ntoa(packet[16:20]), int.from_bytes(icmp[4:6], "big")
                self.arrivals[key].append(time.monotonic())

    def close(self):
        self._ended.set()
        self._thread.join()
        self._socket.close()


def test_packets_of_two_agents_never_overlap_at_a_destination(serve, tmp_path):
    try:
        capture = EchoCapture()
    except PermissionError:
        pytest.skip("the capture needs CAP_NET_RAW")
    try:
        master = start_master(serve, tmp_path)
        for name in ("a1", "a2"):
            start_agent(serve, tmp_path, name, master.url)
        live = submit(
            master.url, technique="PING", agents=["ALL"], destinations=DESTINATIONS, parameters={"count": 8, "interval_ms": 50}
        )
        eventually(lambda: state(master.url, live["id"])["state"] == "done")
    finally:
        capture.close()
    assert state(master.url, live["id"])["statuses"] == {"ok": 4}
    for destination in DESTINATIONS:
        spans = sorted((min(times), max(times)) for (address, _), times in capture.arrivals.items() if address == destination)
        assert len(spans) == 2  # one ICMP id for each agent
        assert all(len(times) == 8 for (address, _), times in capture.arrivals.items() if address == destination)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
