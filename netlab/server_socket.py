"""A Unix socket that leads to a server of this machine or another one. A lab in a user namespace has no other way out.

With an https URL, the socket speaks HTTP, and the process that holds it does the TLS.
"""

import asyncio
import os
import socket
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from netlab.relay import MOST_WAITING, Connection, Relay


class ServerSocket:
    """The socket at `path`, from construction until `close`."""

    def __init__(self, path: Path, url: str) -> None:
        """OSError if the socket cannot be made."""
        self.path = path
        split = urlsplit(url)
        self._server = (split.hostname or "127.0.0.1", split.port or (443 if split.scheme == "https" else 80))
        self._tls = ssl.create_default_context() if split.scheme == "https" else None
        self._relay = Relay([_listening(path)], self._connect, f"socket {path.name}")

    def close(self) -> None:
        """Close the connections, and remove the socket."""
        self._relay.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def _connect(self) -> Connection:
        return await asyncio.open_connection(*self._server, ssl=self._tls)


def open_short(path: Path) -> Path:
    """A short path of a socket: the kernel allows 107 characters. It leads through a descriptor that stays open."""
    return _short(os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), path.name)


def _short(folder: int, name: str) -> Path:
    return Path(f"/proc/self/fd/{folder}/{name}")


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of a run that was killed
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(_short(folder, path.name)))
        listening.listen(MOST_WAITING)
        return listening
    finally:
        os.close(folder)
