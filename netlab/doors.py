"""Doors: a process in a lab reaches one server of this machine, although the lab has no link to it.

A door is a socket that listens on the loopback interface of a node and belongs to the process of the lab, which connects each
connection to the server.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from netlab.lab import Lab

READ_BYTES = 64 * 1024
MOST_WAITING = 64


class Doors:
    """Doors in some nodes to the same server, from construction until `close`. The nodes reach it on 127.0.0.1 and `port`.

    The server is an address, or the path of a Unix socket, which also a process in a user namespace reaches.
    """

    def __init__(self, lab: Lab, nodes: Mapping[str, object] | list[str], port: int, server: tuple[str, int] | Path) -> None:
        self._server = server
        self._loop, self._closed = asyncio.new_event_loop(), asyncio.Event()
        self._listening: list[socket.socket] = []
        for node in nodes:
            door = lab.socket(node, socket.AF_INET, socket.SOCK_STREAM)
            self._listening.append(door)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(("127.0.0.1", port))
            door.listen(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, daemon=True, name="netlab doors")
        self._thread.start()

    def close(self) -> None:
        """Close the doors and their connections."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        servers = [await asyncio.start_server(self._through, sock=door) for door in self._listening]
        await self._closed.wait()
        for server in servers:
            server.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._server, Path):
            return await asyncio.open_unix_connection(self._server)
        return await asyncio.open_connection(*self._server)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as long as both ends want it, or until the doors close."""
        with suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await self._connect()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_copy(reader, server_writer))
                    tasks.create_task(_copy(server_reader, writer))
            finally:
                server_writer.close()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of what is sent, and pass the end on."""
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
