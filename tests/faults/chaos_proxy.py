"""A TCP proxy with faults, which have their names in toxiproxy; it counts every fault.

It runs in user space, because the kernels that tests run on have no netem. It does not parse HTTP: an 'answer' is any data from
upstream. `toxics` may be exchanged at any time and apply to all later data.
"""

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """What is done to connections; by default nothing."""

    latency_s: float = 0
    jitter_s: float = 0
    """Every chunk waits latency ± jitter, in both directions."""
    cut_after_bytes: int | None = None
    """toxiproxy's limit_data: a connection ends after so many bytes upstream, at any point of a request."""
    reset: float = 0
    """Share of chunks at which the connection is reset (SO_LINGER 0: RST, no FIN)."""
    half_open: bool = False
    """toxiproxy's timeout: all data is read and none passed on, without an error."""
    swallow: float = 0
    """Share of answers that are dropped, after the request was passed on; then the connection is closed."""
    swallow_silently: float = 0
    """The same, but the connection stays open and silent."""
    drip_bytes: int = 0
    drip_every_s: float = 0.001
    """toxiproxy's slicer: chunks are passed on in slices of so many bytes, with a pause after each."""


class ChaosProxy:
    """Listens on a free port and passes data to `upstream`, a URL; runs in a thread of its own while its `with` block lasts."""

    def __init__(self, upstream: str, toxics: Toxics | None = None, *, seed: int = 1) -> None:
        parts = urlsplit(upstream)
        self.toxics = toxics or Toxics()
        self.did: Counter[str] = Counter()
        """How often each fault really happened."""
        self.url = ""
        self._upstream = (parts.hostname, parts.port)
        self._roll = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> "ChaosProxy":
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._connection(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions, until one of them ends; then the other one ends too."""
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            _reset(writer)
            return
        passed = _Passed()
        try:
            await _until_one_ends(self._requests(reader, up_writer, passed), self._answers(up_reader, writer))
        except _Reset:
            _reset(writer)
        finally:
            for each in (writer, up_writer):
                with suppress(OSError):
                    each.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: "_Passed") -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            most = self.toxics.cut_after_bytes
            room = len(chunk) if most is None else max(0, most - passed.up_bytes)
            passed.up_bytes += len(chunk)
            await self._pass(chunk[:room], writer)
            if room < len(chunk):
                self.did["cut"] += 1
                return

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._happens(self.toxics.swallow, "swallow"):
                return
            if self._happens(self.toxics.swallow_silently, "swallow_silently"):
                continue
            await self._pass(chunk, writer)

    async def _pass(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        toxics = self.toxics
        if toxics.half_open:
            self.did["half_open"] += 1
            return
        if self._happens(toxics.reset, "reset"):
            raise _Reset
        if toxics.latency_s:
            self.did["latency"] += 1
            await asyncio.sleep(max(0.0, toxics.latency_s + self._roll.uniform(-1, 1) * toxics.jitter_s))
        step = toxics.drip_bytes or len(chunk)
        for at in range(0, len(chunk), step or 1):
            writer.write(chunk[at : at + step])
            await writer.drain()
            if toxics.drip_bytes:
                self.did["drip"] += 1
                await asyncio.sleep(toxics.drip_every_s)

    def _happens(self, share: float, what: str) -> bool:
        happens = self._roll.random() < share
        self.did[what] += happens
        return happens


@dataclass(slots=True)
class _Passed:
    up_bytes: int = 0


class _Reset(Exception):  # noqa: N818 — not an error: the fault itself
    """This connection is to be reset."""


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: unread data is lost on both sides."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, _Reset):
            raise result
    del done
