"""A websocket client without a browser, written by hand."""

import base64
import json
import os
import socket
import time
from typing import Any


class Socket:
    """The connection after its handshake; `status` is the status of that."""

    def __init__(self, host: str, *, path: str = "/ws", token: str = "none", peer: str = "127.0.0.2", **headers: str) -> None:
        name, port = host.split(":")
        self.connection = socket.create_connection((name, int(port)), timeout=60, source_address=(peer, 0))
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": f"bokeh, {token}",
            "Origin": f"http://{host}",
        } | headers
        head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        self.connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        self.got = b""
        while b"\r\n\r\n" not in self.got:
            self._more()
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send_bokeh(self, kind: str, content: object) -> None:
        """Send one message of Bokeh's protocol: three texts, masked, as a client's must be."""
        for part in ({"msgtype": kind, "msgid": "1"}, {}, content):
            self.send(json.dumps(part))

    def send(self, message: str | bytes) -> None:
        """Send one message of the websocket protocol, which Bokeh reads as a third of one of its own."""
        payload, mask = message.encode() if isinstance(message, str) else message, os.urandom(4)
        head = (b"\x81\xfe" if isinstance(message, str) else b"\x82\xfe") + len(payload).to_bytes(2, "big") + mask
        self.connection.sendall(head + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))

    def receive(self) -> tuple[str, Any]:
        """The next message of Bokeh's protocol: its kind and content."""
        header, _, content = (json.loads(self._text()) for _ in range(3))
        for _ in range(2 * header.get("num_buffers", 0)):
            self._frame()
        return header["msgtype"], content

    def opcode(self) -> int:
        """The kind of the next message; 8 is a close."""
        return self._frame()[0]

    def close_code(self) -> int:
        """The code with which the other end closes, after any other messages."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            opcode, payload = self._frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")
        raise TimeoutError("it is not closed")

    def _text(self) -> bytes:
        """The next text. A server that only sends pings does not prolong the wait."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            opcode, payload = self._frame()
            if opcode == 8:
                raise ConnectionError("closed")
            if opcode == 1:
                return payload
        raise TimeoutError("no text within 60 s")

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        return first & 0x0F, self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self.got) < count:
            self._more()
        taken, self.got = self.got[:count], self.got[count:]
        return taken

    def _more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError("closed without a word")
        self.got += data
