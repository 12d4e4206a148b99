"""Forwards each connection of some listening sockets to one server."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

READ_BYTES = 64 * 1024
MOST_WAITING = 1024
"""Connections that wait to be accepted. A Unix socket refuses more at once, without a delay."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Runs in a thread of its own, from construction until `close`. It closes the sockets too."""

    def __init__(self, listening: Sequence[socket.socket], connect: Callable[[], Awaitable[Connection]], name: str) -> None:
        """`connect` opens a connection to the server. `name` is the thread's."""
        self._listening, self._connect = listening, connect
        self._loop, self._closed = asyncio.new_event_loop(), asyncio.Event()
        self._connections: set[asyncio.Task[None] | None] = set()
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)
        self._thread.start()

    def close(self) -> None:
        """Close the sockets and their connections."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        servers = [await asyncio.start_server(self._forward, sock=each) for each in self._listening]
        await self._closed.wait()
        for server in servers:
            server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until both ends have finished sending, or until the relay closes."""
        # asyncio keeps only weak references to tasks, and none to the task of a connection whose client has finished sending.
        own = asyncio.current_task()
        self._connections.add(own)
        with suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await self._connect()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_copy(reader, server_writer))
                    tasks.create_task(_copy(server_reader, writer))
            finally:
                server_writer.close()
        writer.close()
        self._connections.discard(own)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the reader's end of data, then end the writer's data too."""
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:  # TLS
            writer.close()
