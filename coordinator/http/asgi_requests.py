"""Requests that are not feedback: uvicorn's own protocol class runs the Starlette app for them.

uvicorn sets up a scope, an event and a task for each request, and several objects for each connection. Feedback needs none of them,
so they are made for the first request that does.
"""

import asyncio
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl


class AsgiExchange:
    """A request that the Starlette app answers once all earlier requests of the connection are answered."""

    __slots__ = ("app", "cycle")

    def __init__(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.cycle = cycle
        self.app = app

    def disconnect(self) -> None:
        """Inform the app that the sender has disconnected."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()


class AsgiRequests(HttpToolsProtocol):
    """The part of a connection that serves requests through uvicorn. A subclass receives the callbacks and decides which ones."""

    asgi_ready = False

    def begin_asgi_request(self) -> None:
        """Serve the request whose head is in `self.url` and `self.headers`: repeat the callbacks that uvicorn has not received."""
        if not self.asgi_ready:
            self._prepare_asgi()
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        self.cycle = cast("RequestResponseCycle", None)  # uvicorn would wait for an earlier one; the subclass keeps the order
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The sender does not read its answers. Nothing more is read from it, or answers would pile up here."""
        self.transport.pause_reading()
        if self.asgi_ready:
            self.flow.pause_writing()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if self.asgi_ready:
            self.flow.resume_writing()

    def _prepare_asgi(self) -> None:
        """What uvicorn sets up for every connection."""
        self.app = self.config.loaded_app
        self.loop = asyncio.get_running_loop()
        self.tasks = self.server_state.tasks
        self.root_path = self.config.root_path
        self.asgi_version = self.config.asgi_version
        self.flow = FlowControl(self.transport)
        self.server = get_local_addr(self.transport)
        self.client = get_remote_addr(self.transport)
        self.scheme = "https" if is_ssl(self.transport) else "http"
        self.asgi_ready = True
