"""The monitoring platform as one process: the feed, the table, the Bokeh server and the JSON interface on one event loop.

Everything a page needs comes from here; a content security policy makes the browser itself refuse any other host.
"""

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.util import bind_sockets
from prometheus_client import CONTENT_TYPE_LATEST
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import GZipContentEncoding, OutputTransform, RequestHandler, StaticFileHandler

from feedback_wire import routes
from feedback_wire.openapi import text_of
from feedback_wire.problem import Problem
from monitor_platform.access.doors import GuardedBokeh
from monitor_platform.access.figures import AccessFigures
from monitor_platform.access.gate import LOGIN, LOGOUT, Gate
from monitor_platform.access.listener import Listener
from monitor_platform.access.login import LoginHandler, LogoutHandler
from monitor_platform.access.proxies import Proxies, networks
from monitor_platform.access.tickets import Tickets
from monitor_platform.access.users import Users
from monitor_platform.alerting import Alerting
from monitor_platform.alerts.rules import Rules
from monitor_platform.api import Archive, SummaryHandler, TextHandler
from monitor_platform.audience_metrics import AudienceFigures
from monitor_platform.dashboard.document import build
from monitor_platform.dashboard.history import History
from monitor_platform.dashboard.page import Page
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.dashboard.question import Question
from monitor_platform.dashboard.watch import Watch
from monitor_platform.geo.atlas import Atlas, atlas_for
from monitor_platform.geo.locator import Locator
from monitor_platform.history.catch_up import last_minutes
from monitor_platform.history.follow import Follower
from monitor_platform.history.store import Basis, HistoryStore
from monitor_platform.history_api import HISTORY, HistoryHandler
from monitor_platform.measures.mos import MosModel
from monitor_platform.measures.open import open_logs
from monitor_platform.measures.table import FeedbackTable
from monitor_platform.metrics import Figures
from monitor_platform.openapi import openapi
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.settings import Settings, is_loopback
from monitor_platform.table_api import TABLE, TableHandler
from monitor_platform.tls import Tls

log = logging.getLogger(__name__)

ASSETS = Path(__file__).with_name("dashboard") / "assets"

# Bokeh compiles its own callbacks in the page, hence unsafe-eval; nothing that end hosts send ever gets near a script.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Stricter would make browsers hide from us, too, that a login comes from our own page.
    "Referrer-Policy": "same-origin",
}

# A viewer who closes the page is forgotten within half a minute; a laptop that slept meets a reload.
FORGET_VIEWER_MS = 15_000
HOUR_MS = 3_600_000

# What browsers send are questions and the sizes of figures: a few kilobytes.
MESSAGE_BYTES = 256 * 1024

# How long somebody who was put out may go on watching a page that is open; every request of theirs is refused at once.
SWEEP_MS = 1_000


Route = tuple[str, type[RequestHandler], dict[str, Any]]
Task = Coroutine[Any, Any, None]


class CannotStart(Exception):  # noqa: N818 - it reads as what it says
    """Something that the operator has named cannot be had: an address, a file, a mirror; the text is for people."""


def run(settings: Settings, ready: Callable[[str], None], rules: Rules | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address."""
    asyncio.run(_serve(settings, ready, rules))


async def _serve(settings: Settings, ready: Callable[[str], None], rules: Rules | None) -> None:
    with ExitStack() as opened:
        try:
            tls = _tls(settings)
            server, url, tasks = _open(settings, tls, rules, opened)
        except (OSError, ValueError) as error:
            raise CannotStart(str(error)) from error
        server.start()
        opened.callback(server.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, tls, server.gate)
        ready(url)
        await _until_ended(tasks)


def _tls(settings: Settings) -> Tls:
    return Tls(
        cert=settings.tls_cert,
        key=settings.tls_key,
        ca=settings.tls_ca,
        client_cert=settings.tls_client_cert,
        client_key=settings.tls_client_key,
    )


def _reload(tls: Tls, gate: Gate) -> None:
    """On SIGHUP; what cannot be read leaves things as they were."""
    try:
        tls.reload()
    except ValueError as error:
        log.error("the certificates stay as they were: %s", error)  # noqa: TRY400 - the text says all
    gate.refresh()


def _open(settings: Settings, tls: Tls, rules: Rules | None, opened: ExitStack) -> tuple["_Dashboard", str, list[Task]]:
    """Everything that may fail on the ground of what the operator has said; in static mode this reads all the files.

    Also what is to run beside the server, until it ends.
    """
    locator = opened.enter_context(Locator(settings.geo_city, settings.geo_asn, atlas=_atlas(settings)))
    mos = _mos(settings)
    table = opened.enter_context(closing(_table(settings, locator, mos)))
    _tell_damages(table)
    feed = _feed(settings, table, tls, opened)
    history = _history(settings, locator, mos, opened)
    watch = Watch(table, feed, period_s=settings.period, poll_s=settings.poll_seconds)
    opened.callback(watch.answers.close)
    watch.history = history
    sockets, port = _listen(settings, opened)
    gate = _gate(settings, port, opened)
    figures = Figures(table, watch, feed)
    patterns = _patterns(
        settings,
        gate,
        feed,
        [
            (routes.SUMMARY, SummaryHandler, {"watch": watch, "archive": _archive(settings, locator)}),
            (TABLE, TableHandler, {"watch": watch}),
        ],
        figures,
    )
    if history is not None:
        patterns.append((HISTORY, HistoryHandler, {"history": history}))
    server = _Dashboard(gate, sockets, tls, patterns, watch, allowed_hosts(settings, port))
    figures.add(AccessFigures(gate, server.listener))
    scheme = "http" if settings.tls_cert is None else "https"
    url = f"{scheme}://{_bracketed(settings.host)}:{port}"
    audience = AudienceFigures(watch)
    figures.add(audience)
    tasks: list[Task] = [audience.run()] + ([feed.run()] if feed is not None else [])
    if rules is not None:
        alerting = Alerting(rules, table)
        watch.alerts = alerting.watch
        figures.add(alerting)
        tasks += _alerts(settings, alerting, feed, tls, settings.behind_proxy.rstrip("/") or url)
    return server, url, tasks


def _alerts(settings: Settings, alerting: Alerting, feed: Feed | None, tls: Tls, dashboard_url: str) -> list[Task]:
    """Recorded files are judged here and now."""
    if feed is None:
        alerting.judge_recorded()
        return []
    complete = partial(_is_complete, feed)
    return [alerting.run(complete=complete, dashboard_url=dashboard_url, poll_s=settings.poll_seconds, tls=tls.link)]


def _is_complete(feed: Feed) -> bool:
    return not feed.status().reading_back


def _atlas(settings: Settings) -> Atlas:
    return atlas_for(
        city=settings.geo_city,
        districts=settings.districts,
        name_key=settings.district_name,
        resolution=settings.area_resolution,
    )


def _table(settings: Settings, locator: Locator, mos: MosModel) -> FeedbackTable:
    """Live, what comes; static, all the files, or beside a history the last minutes of them."""
    if settings.live:
        return FeedbackTable(locator, mos)
    span = last_minutes(settings.static, settings.keep_minutes) if settings.history is not None else None
    return open_logs(settings.static, locator=locator, mos=mos, span=span)


def _history(settings: Settings, locator: Locator, mos: MosModel, opened: ExitStack) -> History | None:
    """The history, which follows the logs on disk from here on; ValueError if the one in the folder is another's."""
    if settings.history is None:
        return None
    store = opened.enter_context(HistoryStore(settings.history, Basis(mos=mos, period_s=settings.period)))
    paths = [settings.mirror] if settings.live else settings.static
    follower = opened.enter_context(Follower(store, paths, locator))
    return opened.enter_context(closing(History(store, follower)))


def _tell_damages(table: FeedbackTable) -> None:
    """What static files have lost, in one line; a feed tells its own as it comes."""
    if table.damages or table.unreadable:
        first = f", the first in {table.damages[0]}" if table.damages else ""
        log.error("%d records could not be read; %d damaged places%s", table.unreadable, len(table.damages), first)


def _feed(settings: Settings, table: FeedbackTable, tls: Tls, opened: ExitStack) -> Feed | None:
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
        tls=tls.link,
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

    def __init__(
        self, gate: Gate, sockets: list[socket], tls: Tls, patterns: list[Route], watch: Watch, origins: frozenset[str]
    ) -> None:
        leave = gate.users is not None
        pages = {page.path: Application(FunctionHandler(partial(_page, page=page, watch=watch, leave=leave))) for page in PAGES}
        self.gate = gate
        self.guarded = GuardedBokeh(
            gate,
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
            websocket_max_message_size_bytes=MESSAGE_BYTES,
            transforms=[GZipContentEncoding, _SecurityHeaders],
        )
        self.listener = Listener(self.guarded, tls=tls.listener)
        self.guarded.admit = self.listener.admit
        self.guarded.check = _check_address
        self.listener.add_sockets(sockets)
        self._sweeping = PeriodicCallback(self._sweep, SWEEP_MS)
        super().__init__(IOLoop.current(), self.guarded, self.listener)

    def start(self) -> None:
        super().start()
        self._sweeping.start()

    def stop(self, wait: bool = True) -> None:
        self._sweeping.stop()
        super().stop(wait)

    def _sweep(self) -> None:
        self.gate.refresh()
        self.guarded.see_off()
        self.listener.sweep(time.monotonic())


def _check_address(request: HTTPServerRequest) -> None:
    """Problem if a page's address asks for more than a question may; what else has a query in its address checks its own."""
    Question.parse(request.query).check_bounds()


def _page(document: Document, *, page: Page, watch: Watch, leave: bool) -> None:
    """A viewer's document; with the way out if there was a login."""
    build(document, page=page, watch=watch)
    document.template_variables["leave"] = leave


class _SecurityHeaders(OutputTransform):
    """Says with every answer what a browser may do with it."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        headers["Server"] = "swarmscope"  # Tornado would say which version of it has to be attacked
        for name, value in SECURITY_HEADERS.items():
            if name not in headers:  # the login's own policy is stricter
                headers[name] = value
        if headers.get("Content-Type", "").startswith("text/html"):
            headers["Cache-Control"] = "no-store"  # else the back button shows after a logout what was there before
        return status_code, headers, chunk


def _readiness(feed: Feed | None) -> bytes:
    """Problem (503) while what the pages show is not yet what is recorded."""
    if feed is not None and feed.status().reading_back:
        raise Problem(503, "reading_back", "the mirror is being read back; pages show a part of the records until that is done")
    return b"ready\n"


def _listen(settings: Settings, opened: ExitStack) -> tuple[list[socket], int]:
    try:
        sockets, port = bind_sockets(settings.host, settings.port)
    except OSError as error:
        raise CannotStart(f"{settings.listen} cannot be listened on: {error.strerror or error}") from error
    for each in sockets:
        opened.callback(each.close)
    return sockets, port


def _gate(settings: Settings, port: int, opened: ExitStack) -> Gate:
    gate = Gate(
        users=Users(settings.users) if settings.users is not None else None,
        proxies=Proxies(trusted=networks(settings.trusted_proxy), user_header=settings.trusted_user_header),
        tickets=Tickets(lasts_s=settings.session_hours * 3600),
        # Cookies do not know of ports, so two dashboards on one host need two names.
        cookie=f"{'__Host-' if settings.is_https else ''}swarmscope-{port}",
        knows=partial(is_known, allowed_hosts(settings, port)),
    )
    opened.callback(gate.close)
    return gate


def _patterns(settings: Settings, gate: Gate, feed: Feed | None, numbers: list[Route], figures: Figures) -> list[Route]:
    """All that is not a page of Bokeh's; the gate stands before it as before those."""
    entrance = {"gate": gate, "secure": settings.is_https}
    return [
        *numbers,
        (routes.HEALTH, TextHandler, {"text": lambda: b"ok\n"}),
        (routes.READY, TextHandler, {"text": partial(_readiness, feed)}),
        (routes.METRICS, TextHandler, {"text": figures.exposition, "content_type": CONTENT_TYPE_LATEST}),
        (routes.OPENAPI, TextHandler, {"text": lambda: text_of(openapi()).encode(), "content_type": routes.JSON}),
        ("/assets/(.*)", StaticFileHandler, {"path": str(ASSETS)}),
        *([(LOGIN, LoginHandler, entrance), (LOGOUT, LogoutHandler, entrance)] if gate.users is not None else []),
    ]


def allowed_hosts(settings: Settings, port: int) -> frozenset[str]:
    """Host and port by which a browser may know the dashboard; pages of other origins have no business with its websocket."""
    own = {f"{_bracketed(settings.host)}:{port}"}
    if is_loopback(settings.host):
        own.add(f"localhost:{port}")
    if settings.behind_proxy:
        public = urlsplit(settings.behind_proxy).netloc.lower()
        # Bokeh takes an origin without a port for port 80, whatever its scheme.
        own |= {public, public if ":" in public else f"{public}:80"}
    return frozenset(own)


def is_known(hosts: frozenset[str], host: str) -> bool:
    """Whether a dashboard that asks nobody who he is answers under this name; a tunnel may give loopback another port."""
    try:
        return host.lower() in hosts or urlsplit(f"//{host}").hostname in {"localhost", "127.0.0.1", "::1"}
    except ValueError:
        return False


async def _until_ended(tasks: list[Task]) -> None:
    """Returns on SIGTERM or SIGINT; raises what ends one of `tasks`."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    waiting: set[asyncio.Task[Any]] = {asyncio.create_task(ended.wait()), *map(asyncio.create_task, tasks)}
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
