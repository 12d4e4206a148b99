"""A socket on which everything together ends at one moment.

Python's own timeouts are for each operation: whoever sends one byte of an answer every nine seconds would hold a request for hours.
"""

import io
import socket
import ssl
import time
from typing import Self


class TimedSocket:
    """What `http.client` needs of a socket; TimeoutError after `until_s` on the monotonic clock, whatever was going on."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self.until_s = until_s
        self._socket = connected

    @classmethod
    def connect(cls, host: str, port: int, until_s: float) -> Self:
        """Connect to the first address of `host` that can be had; only the resolver takes what time it takes."""
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            timed = cls(socket.socket(family, kind, protocol), until_s)
            try:
                timed._in_time().connect(address)
            except OSError as error:
                timed.close()
                failure = error
                continue
            timed._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return timed
        raise failure

    def begin_tls(self, context: ssl.SSLContext, host: str) -> None:
        """From here on the same connection is encrypted, with whoever can prove to be `host`."""
        try:
            self._socket = context.wrap_socket(self._in_time(), server_hostname=host)
        except BaseException:
            self.close()
            raise

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._in_time().send(left) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        # The socket counts its files, and stays open for them when it is closed itself.
        return io.BufferedReader(_Received(self, self._socket.makefile("rb", buffering=0)))

    def close(self) -> None:
        self._socket.close()

    def _in_time(self) -> socket.socket:
        """The socket, for one operation that may take all the time that is left."""
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time for the whole exchange is over")
        self._socket.settimeout(left_s)
        return self._socket


class _Received(io.RawIOBase):
    """What arrives at a `TimedSocket`."""

    def __init__(self, timed: TimedSocket, raw: socket.SocketIO) -> None:
        self._timed = timed
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        self._timed._in_time()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
