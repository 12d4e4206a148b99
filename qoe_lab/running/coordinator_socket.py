"""A Unix socket that leads to the coordinator. A session in a user namespace reaches it, and has no other way out.

With an https URL, the socket speaks HTTP and this process does the TLS.
"""

import asyncio
import os
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

READ_BYTES = 64 * 1024
NAME = "coordinator.sock"


class CoordinatorSocket:
    """The socket in a folder, from its entry to its exit."""

    def __init__(self, folder: Path, coordinator: str) -> None:
        self.path = folder / NAME
        url = urlsplit(coordinator)
        self._server = (url.hostname or "127.0.0.1", url.port or (443 if url.scheme == "https" else 80))
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._loop, self._closed = asyncio.new_event_loop(), asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="coordinator socket", daemon=True)

    def __enter__(self) -> Self:
        """OSError if the socket cannot be made."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            server = await self._listen()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        await self._closed.wait()
        server.close()

    async def _listen(self) -> asyncio.Server:
        self.path.unlink(missing_ok=True)  # of a run that was killed
        folder = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return await asyncio.start_unix_server(self._through, short_path(folder))
        finally:
            os.close(folder)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await asyncio.open_connection(*self._server, ssl=self._tls)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_copy(reader, server_writer))
                    tasks.create_task(_copy(server_reader, writer))
            finally:
                server_writer.close()
        writer.close()


def short_path(folder: int) -> str:
    """The path of the socket in an open folder: the kernel allows 107 characters, and folders of trainings can lie deep."""
    return f"/proc/self/fd/{folder}/{NAME}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of what is sent, and pass the end on."""
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:  # TLS
            writer.close()
