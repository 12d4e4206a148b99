"""Dashboards without a browser: each requests a page, opens Bokeh's websocket as BokehJS does, and reads all messages.

The platform cannot distinguish them from browsers. Fifty real browsers would use the processor time that the benchmark measures.
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

TIMEOUT_S = 120.0
_TOKEN = re.compile(r'swarmscope\.draw\("([^"]+)"')
_EXCHANGE = re.compile(r'<div hidden id="figure-([^"]+)">')


@contextmanager
def onlookers(url: str, count: int) -> Iterator[list[int]]:
    """Open `count` dashboards of the page at `url` and wait for a message in each. The list counts the messages of each."""
    received = [0] * count
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="onlookers", daemon=True)
    thread.start()
    viewers = [asyncio.run_coroutine_threadsafe(_watch(url, received, number), loop) for number in range(count)]
    try:
        give_up = time.monotonic() + TIMEOUT_S
        while not all(received):
            for viewer in viewers:
                if viewer.done():
                    sys.exit(f"a dashboard failed: {viewer.exception()!r}")
            if time.monotonic() > give_up:
                sys.exit(f"only {count - received.count(0)} of {count} dashboards received a message")
            time.sleep(0.1)
        yield received
    finally:
        for viewer in viewers:
            viewer.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _watch(url: str, received: list[int], number: int) -> None:
    socket = await _connected(url)
    try:
        while await socket.read_message() is not None:
            received[number] += 1
        raise ConnectionError(f"closed with {socket.close_code}: {socket.close_reason}")
    finally:
        socket.close()


async def _connected(url: str) -> WebSocketClientConnection:
    page = (await asyncio.to_thread(_fetched, url)).decode()
    found, exchange = _TOKEN.search(page), _EXCHANGE.search(page)
    if found is None or exchange is None:
        raise SystemExit(f"no token or no exchange found in the page at {url}")
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    request = HTTPRequest(f"ws://{parts.netloc}{path}/ws", headers={"Origin": f"{parts.scheme}://{parts.netloc}"})
    socket = await websocket_connect(request, subprotocols=["bokeh", found.group(1)], max_message_size=2**26)
    # The server sends ACK in three texts when it is ready. Then BokehJS pulls the document, and the server sends all later changes.
    for _ in range(3):
        await socket.read_message()
    pull = Protocol().create("PULL-DOC-REQ")
    drawn = {"kind": "ModelChanged", "model": {"id": exchange.group(1)}, "attr": "drawn", "new": True}
    patch = ({"msgid": "drawn", "msgtype": "PATCH-DOC"}, {}, {"events": [drawn]})
    for part in (pull.header, pull.metadata, pull.content, *patch):
        await socket.write_message(json.dumps(part))
    return socket


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())
