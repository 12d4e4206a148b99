"""What arrives at loopback addresses, so that a test does not depend on our own log."""

import socket
import threading
import time
from collections import defaultdict

import pytest

ECHO_REQUEST = 8


class EchoCapture:
    """When echo requests of each ICMP id arrive at each address."""

    def __init__(self):
        self.arrivals = defaultdict(list)
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        except PermissionError:
            pytest.skip("the capture needs CAP_NET_RAW")
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

    def at(self, address):
        """All arrivals at one address."""
        return [each for (target, _), times in list(self.arrivals.items()) if target == address for each in list(times)]

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._ended.set()
        self._thread.join()
        self._socket.close()
