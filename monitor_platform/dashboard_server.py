"""Bokeh's server with pages, interfaces and files behind one gate, and with security headers in every answer.

The content security policy makes browsers refuse content from other hosts.
"""

import secrets
import time
from dataclasses import dataclass
from functools import partial
from socket import socket
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.contexts import BokehSessionContext
from bokeh.server.server import BaseServer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import GZipContentEncoding, OutputTransform, RequestHandler, StaticFileHandler

from feedback_analysis.time_units import HOUR_MS
from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.access.gate import LOGIN, LOGOUT, Gate
from monitor_platform.access.guarded_bokeh import GuardedBokeh
from monitor_platform.access.listener import Connections, Listener
from monitor_platform.access.login import LoginHandler, LogoutHandler
from monitor_platform.access.roles import UserRole
from monitor_platform.api.openapi import openapi
from monitor_platform.api.responses import TextHandler
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_page import DashboardPage
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.document import ASSETS_FOLDER, build
from monitor_platform.dashboard.document_cleanup import DocumentCleanup, log_no_postponed_end, skip_garbage_collection
from monitor_platform.dashboard.joined_files import JoinedFileHandler
from monitor_platform.dashboard.not_found import NotFoundHandler
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_figures import SpareFigures
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.retrieval.feed import Feed
from monitor_platform.settings import Settings
from serving.openapi import served
from serving.tls import Tls

# A wall in full screen shows its pages in a frame of the dashboard itself.
# Bokeh compiles its callbacks in the page, which needs unsafe-eval. Values from end hosts never become part of a script.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With a stricter policy, the server could not see that a login comes from its own page.
    "Referrer-Policy": "same-origin",
}

# A page whose browser does not connect is removed after this time. A page on a laptop that wakes up is loaded again.
UNUSED_PAGE_MS = 15_000

# How often closed pages are removed.
REMOVE_EVERY_MS = 1_000

# Browsers send queries and the sizes of figures: a few kilobytes.
MESSAGE_BYTES = 256 * 1024

# How long a removed user's open page still gets updates. New requests are refused at once.
SWEEP_MS = 1_000


UrlPattern = tuple[str, type[RequestHandler], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The objects that the documents of all pages share."""

    state: DashboardState
    older: OlderRecords
    spares: SpareFigures

    def applications(self, *, leave: bool) -> dict[str, Application]:
        """A Bokeh application for each page; `leave`: with a button to log out."""
        return {
            page.path: Application(FunctionHandler(partial(self._build, page=page, leave=leave)), DocumentCleanup())
            for page in PAGES
        }

    def _build(self, document: Document, *, page: DashboardPage, leave: bool) -> None:
        build(document, page=page, state=self.state, older=self.older, spares=self.spares)
        context = document.session_context
        request = context.request if isinstance(context, BokehSessionContext) else None
        document.template_variables.update(leave=leave, role=getattr(request, "role", UserRole.VIEWER))


class DashboardServer(BaseServer):
    """Bokeh's server, on sockets that are already bound, because the allowed origins contain the port."""

    def __init__(
        self,
        gate: Gate,
        connections: Connections,
        *,
        sockets: list[socket],
        tls: Tls,
        patterns: list[UrlPattern],
        pages: Pages,
        origins: frozenset[str],
        public_path: str,
    ) -> None:
        self._pages = pages
        skip_garbage_collection()
        log_no_postponed_end()
        self.gate = gate
        self.guarded = GuardedBokeh(
            gate,
            connections,
            pages.applications(leave=gate.users is not None),
            check=_check_address,
            public_path=public_path,
            extra_websocket_origins=sorted(origins),
            extra_patterns=patterns,
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,
            include_headers=[],
            include_cookies=[],
            check_unused_sessions_milliseconds=REMOVE_EVERY_MS,
            unused_session_lifetime_milliseconds=UNUSED_PAGE_MS,
            stats_log_frequency_milliseconds=HOUR_MS,
            websocket_max_message_size_bytes=MESSAGE_BYTES,
            transforms=[GZipContentEncoding, _SecurityHeaders],
            default_handler_class=NotFoundHandler,
        )
        self.listener = Listener(self.guarded, connections=connections, tls=tls.listener)
        self.listener.add_sockets(sockets)
        self._sweeping = PeriodicCallback(self._sweep, SWEEP_MS)
        super().__init__(IOLoop.current(), self.guarded, self.listener)

    def start(self) -> None:
        super().start()
        self._sweeping.start()
        self._pages.spares.begin()

    def stop(self, wait: bool = True) -> None:
        self._sweeping.stop()
        super().stop(wait)

    def _sweep(self) -> None:
        self.gate.refresh()
        self.guarded.close_ended_sockets()
        self.guarded.connections.sweep(time.monotonic())


def _check_address(request: HTTPServerRequest) -> None:
    """Problem for a page's address with too many filters. Interfaces check their own parameters."""
    AddressQuery.parse(request.query).check_bounds()


class _SecurityHeaders(OutputTransform):
    """Adds the security headers to every answer."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        headers["Server"] = "swarmscope"  # hides Tornado's version
        for name, value in SECURITY_HEADERS.items():
            if name not in headers:  # keeps the stricter policy of the login page
                headers[name] = value
        if headers.get("Content-Type", "").startswith("text/html"):
            headers["Cache-Control"] = "no-store"  # or the back button shows the page after a logout
        return status_code, headers, chunk


def patterns(settings: Settings, gate: Gate, feed: Feed | None, registry: CollectorRegistry) -> list[UrlPattern]:
    """The routes that are not Bokeh pages. The gate checks their requests, too."""
    described = partial(served, partial(openapi, settings.public_path))
    entrance = {"gate": gate, "secure": settings.is_https, "cookie_path": f"{settings.public_path}/"}
    return [
        (routes.HEALTH, TextHandler, {"text": lambda: b"ok\n"}),
        (routes.READY, TextHandler, {"text": partial(_readiness, feed)}),
        (routes.METRICS, TextHandler, {"text": partial(generate_latest, registry), "content_type": CONTENT_TYPE_LATEST}),
        (routes.OPENAPI, TextHandler, {"text": described, "content_type": routes.JSON}),
        ("/assets/joined/(.*)", JoinedFileHandler, {}),
        ("/assets/(.*)", StaticFileHandler, {"path": str(ASSETS_FOLDER)}),
        *([(LOGIN, LoginHandler, entrance), (LOGOUT, LogoutHandler, entrance)] if gate.users is not None else []),
    ]


def _readiness(feed: Feed | None) -> bytes:
    """Problem (503) while the pages cannot show all records."""
    if feed is not None and feed.status().reading_back:
        raise Problem(503, "reading_back", "the mirror is being read; until that is done, pages show a part of the records")
    if feed is not None and (error := feed.status().mirror_error) is not None:
        raise Problem(503, "mirror_unusable", error)
    return b"ready\n"
