"""The HTTP interface: coordinators append, monitoring platforms list and download. See docs/formats/routes.md, catalogue.md."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from feedback_server import download
from feedback_server.batch_route import not_durable
from feedback_server.counters import Counters, summed
from feedback_server.metrics import GaugeValues, shared_text
from feedback_server.openapi import openapi
from feedback_server.record_store import RecordStore
from feedback_server.settings import Settings
from feedback_server.stores.offered_logs import foreign_text
from feedback_server.writer import RETRY_S, StoreOutcome
from feedback_wire import routes
from feedback_wire.catalogue import MOST_LOGS
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName
from feedback_wire.problem import Problem
from serving.openapi import served
from serving.starlette_errors import error_handlers, problem_of
from serving.tokens import require_token

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpApi:
    """The routes of a feedback server, and the parts that they use."""

    settings: Settings
    stores: Mapping[RecordKind, RecordStore]
    """A store for each kind whose folder can be used; always one for feedback."""
    readers: Executor
    """Threads that read the disk and encode catalogues."""
    counters: Counters = field(default_factory=Counters)
    """Of requests and connections; each store counts its batches and logs itself."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, kind: RecordKind, request: Request) -> Response:
        """POST /v1/records and /v1/records/KIND: answer when the batch is durable."""
        batch, outcome = await self._store(kind).batch_route.accept(request)
        if outcome is StoreOutcome.DUPLICATE:
            return _json({"stored": 0, "duplicate": True})
        return _json({"stored": batch.records})

    async def catalogue(self, kind: RecordKind, request: Request) -> Response:
        """GET /v1/logs and /v1/logs/KIND: a page of the logs after a given one, at once or as soon as something changes."""
        self._require_reader(request)
        store = self._store(kind)
        offered = store.offered
        limit = _limit(request.query_params.get("limit"))
        after = _log_name(request.query_params.get("after"))
        wait_s = _wait_s(request.query_params.get("wait"))
        stem = after.stem if after else ""
        known = request.headers.get("if-none-match")
        if known is not None and wait_s and not self.stopping.is_set():
            await offered.wait_for_change(known, within_s=wait_s)
        if download.is_named(offered.etag, known):
            return Response(status_code=304, headers=_uncached(offered.etag, store))
        return await asyncio.get_running_loop().run_in_executor(self.readers, _page, store, stem, limit)

    async def latest(self, kind: RecordKind, request: Request) -> Response:
        """GET /v1/logs/latest and /v1/logs/KIND/latest: the newest log's entry."""
        self._require_reader(request)
        entry = self._store(kind).offered.latest()
        if entry is None:
            raise Problem(404, "no_such_log", "there is no log yet; the first record starts one")
        return _json(entry.to_json())

    async def log(self, request: Request) -> Response:
        """GET or HEAD /v1/logs/NAME."""
        self._require_reader(request)
        name = _log_name(request.path_params["name"])
        store = self.stores.get(name.kind) if name else None
        entry = store.offered.find(name.stem) if name and store else None
        if name is None or store is None or entry is None:
            raise _no_such_log()
        if entry.sealed and name.form is Form.JOURNAL:
            raise Problem(404, "sealed", f"this journal is sealed now; its log is {entry.name}")
        if entry.name != name:
            raise _no_such_log()
        try:
            return download.answer(request, store.folder, entry, self.counters, self.readers)
        except FileNotFoundError:
            raise _no_such_log() from None
        except OSError as error:
            log.warning("%s cannot be read now: %s", name, error)
            raise Problem(503, "not_readable", f"the log cannot be read now: {error.strerror}; try again later") from None

    async def health(self, _request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def ready(self, _request: Request) -> Response:
        """GET /readyz: whether records can be stored now."""
        if self.stopping.is_set():
            raise Problem(503, "stopping", "this server is stopping")
        for store in self.stores.values():
            if not store.stores_now:
                raise not_durable(store.writer)
            if not store.sealer.is_alive():
                raise Problem(503, "not_sealing", "the sealing thread has ended: see this server's error output, then restart it")
        foreign = sum((Counter(store.offered.foreign()) for store in self.stores.values()), Counter[str]())
        note = f"{foreign_text(foreign)} have another server name than {self.settings.name}; they are offered\n" if foreign else ""
        return Response(f"ready\n{note}", media_type="text/plain")

    def gauges(self) -> GaugeValues:
        """The values of /metrics that are not counters."""
        stores = self.stores.values()
        journals = [entry for store in stores for entry in store.offered.journals()]
        totals = [store.offered.totals() for store in stores]
        return GaugeValues(
            ready=all(store.stores_now for store in stores),
            journal_age_s=max(store.writer.journal_age_s for store in stores),
            waiting_bytes=sum(store.writer.waiting_bytes for store in stores),
            journals=len(journals),
            journal_records=sum(entry.records for entry in journals),
            sealed_logs=sum(logs for logs, _ in totals),
            sealed_log_bytes=sum(size for _, size in totals),
            foreign_logs=sum(sum(store.offered.foreign().values()) for store in stores),
        )

    def total(self) -> Counters:
        """The counters of the server and of all its stores together."""
        return summed([self.counters, *(store.counters for store in self.stores.values())])

    def _store(self, kind: RecordKind) -> RecordStore:
        """The store of a kind; Problem 503 if its folder could not be used."""
        if (store := self.stores.get(kind)) is None:
            raise Problem(503, "not_durable", f"the folder of {kind} records could not be used at the start; see this server's log")
        return store

    def _require_reader(self, request: Request) -> None:
        require_token(self.settings.read_token, authorization=request.headers.get("authorization"), flag="--read-token")

    def require_scraper(self, request: Request) -> None:
        """Problem 401 unless the request may see /metrics."""
        authorization = request.headers.get("authorization")
        accepted = self.settings.metrics_token, self.settings.read_token
        require_token(*accepted, authorization=authorization, flag="--metrics-token or --read-token")


def application(api: HttpApi) -> Starlette:
    """The ASGI application of one feedback server."""
    metrics = shared_text(api.total, api.gauges)

    async def show_metrics(request: Request) -> Response:
        api.require_scraper(request)
        fresh = "no-cache" in request.headers.get("cache-control", "").lower()
        return Response(metrics.text(fresh=fresh), media_type="text/plain; version=1.0.0")

    async def refuse(_request: Request, error: Exception) -> Response:
        problem = error if isinstance(error, Problem) else problem_of(error)
        api.counters.refused[problem.reason] += 1
        return _refusal(problem)

    return Starlette(
        routes=[
            *(Route(routes.records_of(kind), partial(api.append, kind), methods=["POST"]) for kind in RecordKind),
            *(Route(routes.logs_of(kind), partial(api.catalogue, kind)) for kind in RecordKind),
            *(Route(routes.latest_of(kind), partial(api.latest, kind)) for kind in RecordKind),
            Route(routes.LOGS + "/{name:path}", api.log),
            Route(routes.HEALTH, api.health),
            Route(routes.READY, api.ready),
            Route(routes.METRICS, show_metrics),
            Route(routes.OPENAPI, _openapi),
        ],
        exception_handlers=error_handlers(refuse),
    )


def _page(store: RecordStore, stem: str, limit: int) -> Response:
    """A page has an ETag only if it is the last one: older clients, which know no pages, would wait for a change."""
    page, etag = store.offered.after(stem, limit)
    return _json(page.to_json(), headers=_uncached(None if page.more else etag, store))


async def _openapi(_request: Request) -> Response:
    return Response(served(openapi), media_type=routes.JSON)


def _log_name(text: str | None) -> LogName | None:
    """The log that a request names; Problem 400 if it is not a log name."""
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


def _limit(text: str | None) -> int:
    if text is None:
        return MOST_LOGS
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MOST_LOGS):
        raise Problem(400, "bad_limit", f"limit is a whole number of logs, 1 to {MOST_LOGS}")
    return int(text)


def _uncached(etag: str | None, store: RecordStore) -> dict[str, str]:
    """The headers of a catalogue."""
    now_ms, ahead_ms = store.writer.clock()
    clock = {routes.CLOCK_HEADER.lower(): str(now_ms), routes.AHEAD_HEADER.lower(): str(ahead_ms)}
    return {"cache-control": "private, no-cache"} | ({} if etag is None else {"etag": etag}) | clock


def _no_such_log() -> Problem:
    return Problem(404, "no_such_log", "this log does not exist here; GET /v1/logs lists the existing ones")


def _json(data: object, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(data), media_type=routes.JSON, headers=headers)


def _refusal(problem: Problem) -> Response:
    headers = {"retry-after": str(max(1, round(RETRY_S)))} if problem.status == 503 else {}
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(problem.body(), problem.status, headers, media_type=routes.PROBLEM)
