"""Viewers without a browser: each asks for a page, opens Bokeh's websocket as BokehJS does, and takes whatever comes.

To the platform they are dashboards like any other; fifty browsers would take the very cores that are to be measured.
"""

import asyncio
import json
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from bokeh.protocol import Protocol
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

PATIENT_S = 120.0
_TOKEN = re.compile(r'"token":"([^"]+)"')


@contextmanager
def onlookers(url: str, count: int) -> Iterator[list[int]]:
    """`count` viewers of the page at `url`, once each of them has heard something; the list counts what each has heard."""
    heard = [0] * count
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="onlookers", daemon=True)
    thread.start()
    viewers = [asyncio.run_coroutine_threadsafe(_look(url, heard, number), loop) for number in range(count)]
    try:
        give_up = time.monotonic() + PATIENT_S
        while not all(heard):
            for viewer in viewers:
                if viewer.done():
                    sys.exit(f"an onlooker was sent away: {viewer.exception()!r}")
            if time.monotonic() > give_up:
                sys.exit(f"only {count - heard.count(0)} of {count} onlookers have heard anything")
            time.sleep(0.1)
        yield heard
    finally:
        for viewer in viewers:
            viewer.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _look(url: str, heard: list[int], number: int) -> None:
    socket = await _connected(url)
    try:
        while await socket.read_message() is not None:
            heard[number] += 1
        raise ConnectionError(f"closed with {socket.close_code}: {socket.close_reason}")
    finally:
        socket.close()


async def _connected(url: str) -> WebSocketClientConnection:
    page = (await asyncio.to_thread(_fetched, url)).decode()
    found = _TOKEN.search(page.replace("&quot;", '"').replace("&#34;", '"'))
    if found is None:
        raise SystemExit(f"there is no token in the page at {url}")
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    request = HTTPRequest(f"ws://{parts.netloc}{path}/ws", headers={"Origin": f"{parts.scheme}://{parts.netloc}"})
    socket = await websocket_connect(request, subprotocols=["bokeh", found.group(1)], max_message_size=2**26)
    # The platform says ACK, in three texts, when it can hear. Then comes what BokehJS says first, and every change comes by itself.
    for _ in range(3):
        await socket.read_message()
    pull = Protocol().create("PULL-DOC-REQ")
    for part in (pull.header, pull.metadata, pull.content):
        await socket.write_message(json.dumps(part))
    return socket


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())
