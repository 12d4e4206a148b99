"""Responses of the interfaces for scripts: a body, or an RFC 9457 problem document."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.web import RequestHandler

from feedback_wire import routes
from feedback_wire.problem import Problem

RETRY_AFTER_S = "5"
"""With 503: about the time that the waiting queries take."""


class TextHandler(RequestHandler):
    """Health, metrics and OpenAPI: the result of `text`, or the Problem that it raises."""

    def initialize(self, text: Callable[[], bytes], content_type: str = "text/plain; charset=utf-8") -> None:
        self._text = text
        self._content_type = content_type

    def get(self) -> None:
        try:
            answer(self, 200, self._content_type, self._text())
        except Problem as problem:
            refuse(self, problem)


async def answer_with(handler: RequestHandler, content_type: str, text: Awaitable[str]) -> None:
    """Answer with `text`, or with the Problem that it raises; 503 if the platform ends before there is an answer."""
    try:
        body = await text
    except Problem as problem:
        refuse(handler, problem)
    except asyncio.CancelledError:
        refuse(handler, Problem(503, "stopping", "the monitoring platform is stopping; send the request again when it runs"))
    else:
        answer(handler, 200, content_type, body)


async def answer_with_json(handler: RequestHandler, numbers: Awaitable[Any]) -> None:
    """Answer with `numbers` as JSON, or with the Problem that they raise."""

    async def text() -> str:
        return json.dumps(await numbers, ensure_ascii=False)

    await answer_with(handler, routes.JSON, text())


def decoded(raw: bytes) -> str:
    """A name or value of a query."""
    return raw.decode(errors="replace")


def answer(handler: RequestHandler, status: int, content_type: str, body: str | bytes) -> None:
    handler.set_status(status)
    handler.set_header("Content-Type", content_type)
    handler.finish(body)


def refuse(handler: RequestHandler, problem: Problem) -> None:
    """Answer with `problem`, and with Retry-After for a temporary one."""
    if problem.status == 503:
        handler.set_header("Retry-After", RETRY_AFTER_S)
    answer(handler, problem.status, routes.PROBLEM, problem.body())
