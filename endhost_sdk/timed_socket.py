"""A socket with one deadline for all operations together.

Python's timeouts apply to each operation. A server that sends one byte every nine seconds could therefore delay a request for
hours.
"""

import io
import socket
import ssl
import time
from typing import Self


class TimedSocket:
    """The socket methods that `http.client` needs. Each operation raises TimeoutError after `until_s` on the monotonic clock."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self.until_s = until_s
        self._socket = connected

    @classmethod
    def connect(cls, host: str, port: int, until_s: float) -> Self:
        """Connect to the first reachable address of `host`. The deadline does not limit the name resolution."""
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            timed = cls(socket.socket(family, kind, protocol), until_s)
            try:
                timed._with_deadline().connect(address)
            except OSError as error:
                timed.close()
                failure = error
                continue
            timed._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return timed
        raise failure

    def begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS on the connection and verify that the server is `host`."""
        try:
            self._socket = context.wrap_socket(self._with_deadline(), server_hostname=host)
        except BaseException:
            self.close()
            raise

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._with_deadline().send(left) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        # The socket counts its open files and stays open until all of them are closed.
        return io.BufferedReader(_TimedReader(self, self._socket.makefile("rb", buffering=0)))

    def close(self) -> None:
        self._socket.close()

    def _with_deadline(self) -> socket.socket:
        """The socket, with the remaining time as the timeout of the next operation."""
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time limit of the request is over")
        self._socket.settimeout(left_s)
        return self._socket


class _TimedReader(io.RawIOBase):
    """Reads the data that a `TimedSocket` receives."""

    def __init__(self, timed: TimedSocket, raw: socket.SocketIO) -> None:
        self._timed = timed
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        self._timed._with_deadline()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
