"""The monitoring platform as one process: the feed, the table, the Bokeh server and the JSON interface on one event loop.

Everything a page needs comes from here; a content security policy makes the browser itself refuse any other host.
"""

import asyncio
import logging
import secrets
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from prometheus_client import CONTENT_TYPE_LATEST
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.ioloop import IOLoop
from tornado.web import GZipContentEncoding, OutputTransform, StaticFileHandler

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.api import Archive, SummaryHandler, TextHandler
from monitor_platform.dashboard.document import build
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.dashboard.watch import Watch
from monitor_platform.geo.locator import Locator
from monitor_platform.measures.mos import MosModel
from monitor_platform.measures.open import open_logs
from monitor_platform.measures.table import FeedbackTable
from monitor_platform.metrics import Figures
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.settings import Settings, is_loopback

log = logging.getLogger(__name__)

ASSETS = Path(__file__).with_name("dashboard") / "assets"

# Bokeh compiles its own callbacks in the page, hence unsafe-eval; nothing that end hosts send ever gets near a script.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

# A viewer who closes the page is forgotten within half a minute; a laptop that slept meets a reload.
FORGET_VIEWER_MS = 15_000
HOUR_MS = 3_600_000


class CannotStart(Exception):  # noqa: N818 - it reads as what it says
    """Something that the operator has named cannot be had: an address, a file, a mirror; the text is for people."""


def run(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address."""
    asyncio.run(_serve(settings, ready))


async def _serve(settings: Settings, ready: Callable[[str], None]) -> None:
    with ExitStack() as opened:
        try:
            feed, server, url = _open(settings, opened)
        except (OSError, ValueError) as error:
            raise CannotStart(str(error)) from error
        server.start()
        opened.callback(server.stop)
        ready(url)
        await _until_ended(feed)


def _open(settings: Settings, opened: ExitStack) -> tuple[Feed | None, "_Dashboard", str]:
    """Everything that may fail on the ground of what the operator has said; in static mode this reads all the files."""
    locator = opened.enter_context(Locator(settings.geo_city, settings.geo_asn))
    mos = _mos(settings)
    table = opened.enter_context(
        closing(FeedbackTable(locator, mos) if settings.live else open_logs(settings.static, locator=locator, mos=mos))
    )
    _tell_damages(table)
    feed = _feed(settings, table, opened)
    watch = Watch(table, feed, period_s=settings.period, poll_s=settings.poll_seconds)
    opened.callback(watch.answers.close)
    return feed, *_dashboard(settings, watch, feed, _archive(settings, locator), Figures(table, watch, feed))


def _tell_damages(table: FeedbackTable) -> None:
    """What static files have lost, in one line; a feed tells its own as it comes."""
    if table.damages or table.unreadable:
        first = f", the first in {table.damages[0]}" if table.damages else ""
        log.error("%d records could not be read; %d damaged places%s", table.unreadable, len(table.damages), first)


def _feed(settings: Settings, table: FeedbackTable, opened: ExitStack) -> Feed | None:
    """The feed, which owns its mirror from here on."""
    if not settings.live:
        return None
    mirror = Mirror(settings.mirror)
    opened.enter_context(mirror.owned())
    return Feed(
        settings.feedback_server,
        settings.read_token,
        mirror,
        table,
        poll_seconds=settings.poll_seconds,
        keep_minutes=settings.keep_minutes,
    )


def _archive(settings: Settings, locator: Locator) -> Archive | None:
    if not settings.live:
        return None
    return Archive(paths=[settings.mirror], locator=locator, mos=_mos(settings), keep_ms=settings.keep_minutes * 60_000)


def _mos(settings: Settings) -> MosModel:
    return MosModel(
        c1=settings.mos_c1, c2=settings.mos_c2, a=settings.mos_a, lam=settings.mos_lambda, calibration=settings.mos_calibration
    )


class _Dashboard(BaseServer):
    """Bokeh's server on sockets that are bound already, because the allowed origins need the real port."""

    def __init__(self, sockets: list[socket], origins: frozenset[str], patterns: list[Any], watch: Watch) -> None:
        pages = {page.path: Application(FunctionHandler(partial(build, page=page, watch=watch))) for page in PAGES}
        tornado = BokehTornado(
            pages,
            extra_websocket_origins=sorted(origins),
            extra_patterns=patterns,
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,
            include_headers=[],
            include_cookies=[],
            check_unused_sessions_milliseconds=FORGET_VIEWER_MS,
            unused_session_lifetime_milliseconds=FORGET_VIEWER_MS,
            stats_log_frequency_milliseconds=HOUR_MS,
            transforms=[GZipContentEncoding, _SecurityHeaders],
        )
        http = HTTPServer(tornado)
        http.add_sockets(sockets)
        super().__init__(IOLoop.current(), tornado, http)


class _SecurityHeaders(OutputTransform):
    """Says with every answer what a browser may do with it."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name, value in SECURITY_HEADERS.items():
            headers[name] = value
        return status_code, headers, chunk


def _readiness(feed: Feed | None) -> bytes:
    """Problem (503) while what the pages show is not yet what is recorded."""
    if feed is not None and feed.status().reading_back:
        raise Problem(503, "reading_back", "the mirror is being read back; pages show a part of the records until that is done")
    return b"ready\n"


def _dashboard(
    settings: Settings, watch: Watch, feed: Feed | None, archive: Archive | None, figures: Figures
) -> tuple[_Dashboard, str]:
    try:
        sockets, port = bind_sockets(settings.host, settings.port)
    except OSError as error:
        raise CannotStart(f"{settings.listen} cannot be listened on: {error.strerror or error}") from error
    hosts = allowed_hosts(settings, port)
    patterns = [
        (routes.SUMMARY, SummaryHandler, {"watch": watch, "archive": archive, "hosts": hosts}),
        (routes.HEALTH, TextHandler, {"text": lambda: b"ok\n"}),
        (routes.READY, TextHandler, {"text": partial(_readiness, feed)}),
        (routes.METRICS, TextHandler, {"text": figures.exposition, "content_type": CONTENT_TYPE_LATEST}),
        ("/assets/(.*)", StaticFileHandler, {"path": str(ASSETS)}),
    ]
    return _Dashboard(sockets, hosts, patterns, watch), f"http://{_bracketed(settings.host)}:{port}"


def allowed_hosts(settings: Settings, port: int) -> frozenset[str]:
    """Host and port by which a browser may know the dashboard: its websocket and its JSON answer to no other."""
    own = {f"{_bracketed(settings.host)}:{port}"}
    if is_loopback(settings.host):
        own.add(f"localhost:{port}")
    if settings.behind_proxy:
        public = urlsplit(settings.behind_proxy).netloc.lower()
        # Bokeh takes an origin without a port for port 80, whatever its scheme.
        own |= {public, public if ":" in public else f"{public}:80"}
    return frozenset(own)


async def _until_ended(feed: Feed | None) -> None:
    """Returns on SIGTERM or SIGINT; raises what ends the feed."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    waiting = {asyncio.create_task(ended.wait())} | ({asyncio.create_task(feed.run())} if feed is not None else set())
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        try:
            task.result()
        except OSError as error:  # the mirror cannot be written
            raise CannotStart(str(error)) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
