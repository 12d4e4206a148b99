"""The HTTP surface: coordinators append, monitoring platforms list and download. Docs: docs/formats/routes.md and catalogue.md."""

import asyncio
from dataclasses import dataclass, field

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from feedback_server import download
from feedback_server.access import require
from feedback_server.batch import Batch
from feedback_server.counters import Counters
from feedback_server.folder import Folder
from feedback_server.metrics import State, exposition
from feedback_server.openapi import openapi
from feedback_server.sealer import Sealer
from feedback_server.settings import Settings
from feedback_server.shelf import Shelf
from feedback_server.writer import RETRY_S, Outcome, Writer
from feedback_wire import routes
from feedback_wire.limits import BATCH_INFLATED_BYTES
from feedback_wire.log_name import Form, LogName
from feedback_wire.openapi import text_of
from feedback_wire.problem import Problem

LONGEST_WAIT_S = 60.0
BATCH_BYTES = BATCH_INFLATED_BYTES
"""Coordinators stay within BATCH_WIRE_BYTES; others may send as much as an end host may, inflated."""
BODY_WITHIN_S = 10.0
# Eight of the largest batches, or half a second of what one disk takes in: more would only wait longer than senders do.
_WAITING_BYTES = 8 * BATCH_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The parts of a running feedback server that requests meet."""

    settings: Settings
    folder: Folder
    shelf: Shelf
    writer: Writer
    sealer: Sealer
    counters: Counters
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, request: Request) -> Response:
        """POST /v1/records: answer when the batch is durable."""
        require(self.settings.token, request.headers.get("authorization"), flag="--token")
        _check_type(request)
        batch = Batch.parse(request.headers.get(routes.BATCH_HEADER), await _body(request))
        if self.writer.waiting_bytes > _WAITING_BYTES:
            raise Problem(503, "overloaded", "more batches wait for the disk than can be stored in time; send this one again later")
        if not self.writer.is_alive():
            raise _not_durable()
        match await self.writer.store(batch):
            case Outcome.STORED:
                return _json({"stored": batch.records})
            case Outcome.DUPLICATE:
                return _json({"stored": 0, "duplicate": True})
            case Outcome.FAILED:
                raise _not_durable()

    async def catalogue(self, request: Request) -> Response:
        """GET /v1/logs: what there is after a log, at once or as soon as it changes."""
        self._require_reader(request)
        after = _log_name(request.query_params.get("after"))
        wait_s = _wait_s(request.query_params.get("wait"))
        stem = after.stem if after else ""
        known = request.headers.get("if-none-match")
        if known is not None and wait_s and not self.stopping.is_set():
            await self.shelf.changed(known, within_s=wait_s)
        logs, etag = self.shelf.after(stem)
        headers = {"etag": etag, "cache-control": "private, no-cache"}
        if download.is_named(etag, known):
            return Response(status_code=304, headers=headers)
        return _json(logs.to_json(), headers=headers)

    async def latest(self, request: Request) -> Response:
        """GET /v1/logs/latest: the newest log's entry."""
        self._require_reader(request)
        entry = self.shelf.latest()
        if entry is None:
            raise Problem(404, "no_such_log", "there is no log yet; one begins with the first record")
        return _json(entry.to_json())

    async def log(self, request: Request) -> Response:
        """GET or HEAD /v1/logs/NAME."""
        self._require_reader(request)
        name = _log_name(request.path_params["name"])
        entry = self.shelf.find(name.stem) if name else None
        if name is None or entry is None:
            raise _no_such_log()
        if entry.sealed and name.form is Form.JOURNAL:
            raise Problem(404, "sealed", f"this journal is sealed now, its log is {entry.name}")
        if entry.name != name:
            raise _no_such_log()
        try:
            return download.answer(request, self.folder, entry, self.counters)
        except FileNotFoundError:
            raise _no_such_log() from None

    async def health(self, _request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def ready(self, _request: Request) -> Response:
        """GET /readyz: whether records can be stored now."""
        if self.stopping.is_set():
            raise Problem(503, "stopping", "this server is about to stop")
        if not (self.writer.is_alive() and self.writer.ready):
            raise _not_durable()
        if not self.sealer.is_alive():
            raise Problem(503, "not_sealing", "the sealing thread has ended: see this server's log, then restart it")
        return Response("ready\n", media_type="text/plain")

    def state(self) -> State:
        """What /metrics shows beside the counters."""
        logs = self.shelf.after()[0].logs
        sealed = [entry.bytes for entry in logs if entry.sealed]
        return State(
            ready=self.writer.is_alive() and self.writer.ready,
            journal_age_s=self.writer.journal_age_s,
            waiting_bytes=self.writer.waiting_bytes,
            journals=len(logs) - len(sealed),
            sealed_logs=len(sealed),
            sealed_log_bytes=sum(sealed),
        )

    def _require_reader(self, request: Request) -> None:
        require(self.settings.read_token, request.headers.get("authorization"), flag="--read-token")


def application(room: Room) -> Starlette:
    """The ASGI application of one feedback server."""
    metrics = exposition(room.counters, room.state)

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics(), media_type="text/plain; version=1.0.0")

    async def refuse(_request: Request, error: Exception) -> Response:
        problem = error if isinstance(error, Problem) else _of_starlette(error)
        room.counters.refused[problem.reason] += 1
        return _refusal(problem)

    return Starlette(
        routes=[
            Route(routes.RECORDS, room.append, methods=["POST"]),
            Route(routes.LOGS, room.catalogue),
            Route(routes.LATEST_LOG, room.latest),
            Route(routes.LOGS + "/{name:path}", room.log),
            Route(routes.HEALTH, room.health),
            Route(routes.READY, room.ready),
            Route(routes.METRICS, show_metrics),
            Route(routes.OPENAPI, _openapi),
        ],
        exception_handlers={Problem: refuse, HTTPException: refuse, ClientDisconnect: _nobody_there},
    )


async def _openapi(_request: Request) -> Response:
    return Response(text_of(openapi()), media_type=routes.JSON)


def _check_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != routes.NDJSON:
        raise Problem(415, "content_type", f"send records as Content-Type: {routes.NDJSON}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "content_encoding", "send records without a Content-Encoding")


async def _body(request: Request) -> bytes:
    """The body, as long as it is small enough and comes in time."""
    too_large = Problem(413, "batch_too_large", f"a batch of records has at most {BATCH_BYTES} bytes; send smaller batches")
    length = request.headers.get("content-length", "0")
    if len(length) > len(str(BATCH_BYTES)) or int(length) > BATCH_BYTES:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > BATCH_BYTES:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise Problem(408, "slow_body", f"the body did not arrive within {BODY_WITHIN_S:.0f} seconds") from None
    return b"".join(chunks)


def _log_name(text: str | None) -> LogName | None:
    """The log that a request names; Problem 400 if that is no name."""
    try:
        return None if text is None else LogName.parse(text)
    except ValueError as error:
        raise Problem(400, "bad_log_name", str(error)[:300]) from None


def _wait_s(text: str | None) -> float:
    if text is None:
        return 0.0
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= LONGEST_WAIT_S):
        raise Problem(400, "bad_wait", f"wait is a whole number of seconds, at most {LONGEST_WAIT_S:.0f}")
    return float(text)


def _not_durable() -> Problem:
    return Problem(
        503, "not_durable", "records cannot be written to disk now; send the same batch again later, or to another server"
    )


def _no_such_log() -> Problem:
    return Problem(404, "no_such_log", "there is no such log here; GET /v1/logs lists those that there are")


def _json(data: object, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(data), media_type=routes.JSON, headers=headers)


def _of_starlette(error: Exception) -> Problem:
    match error:
        case HTTPException(status_code=405):
            return Problem(405, "no_such_method", "this route does not know that method")
        case HTTPException(status_code=status):
            return Problem(status, "no_such_route", "there is no such route; docs/formats/routes.md lists them")
    raise error


def _refusal(problem: Problem) -> Response:
    headers = {"retry-after": str(max(1, round(RETRY_S)))} if problem.status == 503 else {}
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(problem.body(), problem.status, headers, media_type=routes.PROBLEM)


async def _nobody_there(_request: Request, _error: Exception) -> Response:
    """The sender has gone before its batch was complete: nothing was stored, and nobody reads this."""
    return Response(status_code=400)
