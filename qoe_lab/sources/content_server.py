"""The server of the contents: a process of its own, over HTTP/1.1, which logs what it served.

The log is a second witness of what a player did. It has a line for each request, written when the kernel of the client has
acknowledged the last byte: that is when the player got the segment, whereas the kernel takes the bytes from the server long before.
The state of each connection is sampled in addition.
"""

import asyncio
import fcntl
import json
import socket
import sys
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from qoe_lab.cmcd import PARAMETER, read_cmcd
from qoe_lab.sources import mp4_boxes
from qoe_lab.sources.ladder import Content, read_contents
from qoe_lab.sources.playlists import dash_manifest, master_playlist, media_playlist, segment_count
from qoe_lab.sources.tcp_info import tcp_info
from serving.regular_files import read_regular

SAMPLE_EACH_S = 0.1
ACKNOWLEDGED_CHECK_S = 0.005
TCP_CLOSE = 7  # linux/tcp_states.h: the client has reset the connection
SEND_BYTES = 64 * 1024
PLAYER_PAGE = "/player.html"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Player of the QoE lab</title>
<link rel="icon" href="data:,">
<style>body { margin: 0; background: #000 } video { width: 100vw; height: 100vh }</style></head>
<body><video muted playsinline></video></body></html>
"""
_MPD, _M3U8, _MP4 = "application/dash+xml", "application/vnd.apple.mpegurl", "video/mp4"
_MEDIA_MS = web.RequestKey("media_ms", float)
_UNCACHED = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentServerSettings:
    """`seconds`: how long each content plays. The two files are appended to."""

    contents: Path
    seconds: float
    request_log: Path | None = None
    tcp_info_log: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 86_400:
            raise ValueError(f"--seconds is {self.seconds:g}; use 1 to 86400")


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnsweredOn:
    """A connection, and how many bytes its client has acknowledged when the answer has arrived."""

    connection: socket.socket
    acknowledged_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """A request that was answered. Status 499: the client closed the connection before the end of the answer."""

    began_s: float
    wall_ms: float
    status: int
    sent_bytes: int
    on: _AnsweredOn | None


class ContentServer:
    """The routes over the contents of a folder. ValueError if it has none."""

    def __init__(self, settings: ContentServerSettings) -> None:
        self._settings = settings
        self._contents = read_contents(settings.contents)
        self._requests = _opened(settings.request_log)
        self._states = _opened(settings.tcp_info_log)
        self._connections: dict[asyncio.Transport, socket.socket] = {}
        self._unacknowledged: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """For aiohttp; while it runs, the connections are sampled."""
        app = web.Application(middlewares=[self._logged])
        app.add_routes(
            [
                web.get(PLAYER_PAGE, self._page),
                web.get("/{content}/hls/master.m3u8", self._master),
                web.get("/{content}/hls/{rung}.m3u8", self._media),
                web.get("/{content}/dash/manifest.mpd", self._manifest),
                web.get("/{content}/{rung}/init.mp4", self._head),
                web.get(r"/{content}/{rung}/{number:\d{1,6}}.m4s", self._segment),
            ]
        )
        app.cleanup_ctx.append(self._sampled)
        return app

    # Routes. Names in addresses are keys of the contents, never parts of paths.

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=_PAGE, content_type="text/html", headers=_UNCACHED)

    async def _master(self, request: web.Request) -> web.StreamResponse:
        return _text(master_playlist(self._content(request)), _M3U8)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        content = self._content(request)
        return _text(media_playlist(content, content.rung(request.match_info["rung"]), self._settings.seconds), _M3U8)

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        return _text(dash_manifest(self._content(request), self._settings.seconds), _MPD)

    async def _head(self, request: web.Request) -> web.StreamResponse:
        content = self._content(request)
        rung = content.rung(request.match_info["rung"])
        return await _sent(request, self._file(content, rung.name, "init.mp4"))

    async def _segment(self, request: web.Request) -> web.StreamResponse:
        content, number = self._content(request), int(request.match_info["number"])
        request[_MEDIA_MS] = content.segment_s * 1000
        if number >= segment_count(content, self._settings.seconds):
            raise web.HTTPNotFound(text=f"the content ends before segment {number}\n")
        rung = content.rung(request.match_info["rung"])
        repetition, kept = divmod(number, content.segments)
        later = round(repetition * content.segments * content.segment_s * rung.timescale)
        return await _sent(request, mp4_boxes.moved(self._file(content, rung.name, f"{kept}.m4s"), number=number, by=later))

    def _content(self, request: web.Request) -> Content:
        return self._contents[request.match_info["content"]]

    def _file(self, content: Content, rung: str, name: str) -> bytes:
        return read_regular(self._settings.contents / content.content_id / rung / name)

    # What is noted

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, and log it when the answer has arrived."""
        began, wall_ms = time.monotonic(), time.time() * 1000
        self._note_connection(request)
        status, sent = 499, 0  # what is logged if the client closes the connection meanwhile
        try:
            answer = await self._answered(request, handler)
            if not answer.prepared:
                await answer.prepare(request)
                await answer.write_eof()
            status, sent = answer.status, answer.content_length or 0
        finally:
            answered = None if status == 499 else self._answered_on(request)
            served = _Served(began_s=began, wall_ms=wall_ms, status=status, sent_bytes=sent, on=answered)
            task = asyncio.create_task(self._log_when_acknowledged(request, served))
            self._unacknowledged.add(task)
            task.add_done_callback(self._unacknowledged.discard)
        return answer

    @staticmethod
    async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except KeyError:
            return web.Response(status=404, text="there is no such content or rung\n")
        except FileNotFoundError as missing:
            return web.Response(status=500, text=f"a file of this content is missing: {missing.filename}; make it again\n")
        except web.HTTPException as refused:
            return web.Response(status=refused.status, text=refused.text)

    async def _log_when_acknowledged(self, request: web.Request, served: "_Served") -> None:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        arrived = served.on is not None and await _acknowledged(served.on)
        if self._requests is None:
            return
        line = {
            "wall_ms": round(served.wall_ms, 3),
            "path": request.path,
            "status": served.status,
            "bytes": served.sent_bytes,
            "took_ms": round((time.monotonic() - served.began_s) * 1000, 3),
            "arrived": arrived,
            "peer_port": peer[1] if peer else None,
            "media_ms": request.get(_MEDIA_MS),
            "cmcd": read_cmcd(request.query.get(PARAMETER, "")),
        }
        self._requests.write(json.dumps(line) + "\n")

    def _answered_on(self, request: web.Request) -> "_AnsweredOn | None":
        """The connection with an answer, kept open until that is acknowledged. None if it has ended."""
        transport = request.transport
        if transport is None:
            return None
        try:
            connection = self._connections[transport].dup()
            unsent = transport.get_write_buffer_size() + _unacknowledged_bytes(connection)
            return _AnsweredOn(connection=connection, acknowledged_bytes=tcp_info(connection)["bytes_acked"] + unsent)
        except OSError:
            return None

    def _note_connection(self, request: web.Request) -> None:
        transport: Any = request.transport
        if transport is not None and transport not in self._connections:
            self._connections[transport] = transport.get_extra_info("socket")

    async def _sampled(self, _: web.Application) -> AsyncIterator[None]:
        sampling = asyncio.create_task(self._sample())
        yield
        self._sample_connections()
        for task in (sampling, *self._unacknowledged):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sample(self) -> None:
        while True:
            self._sample_connections()
            await asyncio.sleep(SAMPLE_EACH_S)

    def _sample_connections(self) -> None:
        for transport, connection in list(self._connections.items()):
            if transport.is_closing():
                del self._connections[transport]
                continue
            with suppress(OSError):  # it has just ended
                self._write_state(connection)

    def _write_state(self, connection: socket.socket) -> None:
        if self._states is None:
            return
        port = connection.getpeername()[1]
        line = {"wall_ms": round(time.time() * 1000, 3), "peer_port": port, **tcp_info(connection)}
        self._states.write(json.dumps(line) + "\n")


def _opened(path: Path | None) -> TextIO | None:
    """For appending, with a write for each line: a killed server leaves complete lines."""
    return None if path is None else path.open("a", buffering=1, encoding="utf-8")


async def _acknowledged(answered: _AnsweredOn) -> bool:
    """Wait until the client's kernel has acknowledged the answer; False if the connection ends before."""
    try:
        with answered.connection as connection:
            while (info := tcp_info(connection))["bytes_acked"] < answered.acknowledged_bytes:
                if info["state"] == TCP_CLOSE:
                    return False
                await asyncio.sleep(ACKNOWLEDGED_CHECK_S)
    except (OSError, asyncio.CancelledError):  # the connection or the server ends: this is the last step of the task
        return False
    return True


def _unacknowledged_bytes(connection: socket.socket) -> int:
    return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _text(text: str, content_type: str) -> web.Response:
    return web.Response(text=text, content_type=content_type, headers=_UNCACHED)


async def _sent(request: web.Request, data: bytes) -> web.StreamResponse:
    """The bytes in small parts: each waits until the kernel has room."""
    answer = web.StreamResponse(headers={**_UNCACHED, "Content-Type": _MP4})
    answer.content_length = len(data)
    await answer.prepare(request)
    for start in range(0, len(data), SEND_BYTES):
        await answer.write(data[start : start + SEND_BYTES])
    await answer.write_eof()
    return answer


async def serve(settings: ContentServerSettings, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve until the task is cancelled. `ready` gets the address when requests are accepted."""
    server = ContentServer(settings)
    runner = web.AppRunner(server.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, shutdown_timeout=0.5)
        await site.start()
        ready(host, runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
