"""A feedback server as one process: the event loop answers, one thread writes, one seals.

Orderly stop, in this order: no new requests, answers to those that are there, the journal closed, everything sealed. What a kill
leaves undone, the next start does.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
import uvloop

from feedback_server.api import Room, application
from feedback_server.counters import Counters
from feedback_server.folder import Folder
from feedback_server.recovery import recover
from feedback_server.sealer import Sealer
from feedback_server.settings import Settings, address
from feedback_server.shelf import Shelf
from feedback_server.writer import Writer

# A coordinator keeps its connections; closing an idle one just as it sends costs it a retry, so ours stay longer than its pauses.
_KEEP_ALIVE_S = 75
# Answers get half of the 10 s after which supervisors kill; the rest is for sealing what is there.
_ANSWERS_WITHIN_S = 5


def run(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address. OSError if the folder or the address cannot be had."""
    listener = _listen(settings.listen)
    folder = Folder(settings.data)
    try:
        uvloop.run(_serve(settings, folder, listener, ready))
    finally:
        folder.close()


async def _serve(settings: Settings, folder: Folder, listener: socket.socket, ready: Callable[[str], None]) -> None:
    counters = Counters()
    found = recover(folder, counters)
    shelf = Shelf(settings.name, found.entries)
    sealer = Sealer(settings, folder, shelf=shelf, counters=counters)
    writer = Writer(
        settings, folder, shelf=shelf, recent=found.recent, newest=found.newest, counters=counters, seal=sealer.seal_later
    )
    for journal in found.journals:
        sealer.seal_later(journal)
    room = Room(settings=settings, folder=folder, shelf=shelf, writer=writer, sealer=sealer, counters=counters)
    sealer.start()
    writer.start()
    try:
        await _HttpServer(room, ready=lambda: ready(_url(listener))).serve(sockets=[listener])
    finally:
        await asyncio.to_thread(writer.stop)
        await asyncio.to_thread(sealer.stop)


class _HttpServer(uvicorn.Server):
    """uvicorn, which says when it is ready, lets long polls go when it stops, and ends with exit code 0 on a signal."""

    def __init__(self, room: Room, *, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application(room),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_ANSWERS_WITHIN_S,
            )
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._room = room
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._room.stopping.set()
        self._room.shelf.release()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in good order on the first signal, at once on the second; uvicorn would raise the signal again at the end."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(listen: str) -> socket.socket:
    host, port = address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
