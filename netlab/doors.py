"""Doors: a process in a lab reaches one server of this machine, although the lab has no link to it.

A door is a socket that listens on the loopback interface of a node and belongs to the process of the lab, which forwards each
connection to the server.
"""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from netlab.lab import Lab
from netlab.relay import MOST_WAITING, Connection, Relay


class Doors:
    """Doors in some nodes to the same server, from construction until `close`. The nodes reach it on 127.0.0.1 and `port`.

    The server is an address, or the path of a `ServerSocket`, which a process in a user namespace can also reach.
    """

    def __init__(self, lab: Lab, nodes: Mapping[str, object] | list[str], port: int, server: tuple[str, int] | Path) -> None:
        self._server = server
        self._relay = Relay([_door(lab, node, port) for node in nodes], self._connect, "netlab doors")

    def close(self) -> None:
        """Close the doors and their connections."""
        self._relay.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def _connect(self) -> Connection:
        if isinstance(self._server, Path):
            return await asyncio.open_unix_connection(self._server)
        return await asyncio.open_connection(*self._server)


def _door(lab: Lab, node: str, port: int) -> socket.socket:
    door = lab.socket(node, socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", port))
    door.listen(MOST_WAITING)
    return door
