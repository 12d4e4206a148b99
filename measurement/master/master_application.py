"""The ASGI application of the master: its routes, and its answers to refused requests."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from feedback_wire import routes
from feedback_wire.problem import Problem
from measurement.master.agent_api import AgentApi
from measurement.master.master_context import MasterContext, TooEarly
from measurement.master.master_metrics import master_metrics
from measurement.master.openapi import AGENTS, KILL_SWITCH, MEASUREMENTS, openapi
from measurement.master.requester_api import RequesterApi
from serving.openapi import served
from serving.starlette_errors import error_handlers, problem_of
from serving.tokens import require_token


def master_application(context: MasterContext) -> Starlette:
    """All routes of one master."""
    agents, requesters = AgentApi(context), RequesterApi(context)
    metrics = master_metrics(context)

    async def refuse(_request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        context.refused[problem.reason] += 1
        return _refusal(problem)

    async def show_metrics(request: Request) -> Response:
        if not context.settings.insecure or context.settings.metrics_token:
            _require_scraper(context, request)
        return Response(metrics.text(fresh=False), media_type="text/plain; version=1.0.0")

    one, agent = MEASUREMENTS + "/{id}", AGENTS + "/{name}"
    return Starlette(
        routes=[
            # Most requests by far are to these two, and routes are compared in this order.
            Route(agent + "/outcomes", agents.outcomes, methods=["POST"]),
            Route(agent + "/keepalive", agents.keep_alive, methods=["POST"]),
            Route(MEASUREMENTS, requesters.submit, methods=["POST"]),
            Route(MEASUREMENTS, requesters.requests, methods=["GET"]),
            Route(MEASUREMENTS, requesters.cancel_all, methods=["DELETE"]),
            Route(one, requesters.show, methods=["GET"]),
            Route(one, requesters.cancel, methods=["DELETE"]),
            Route(one + "/outcomes", requesters.outcomes, methods=["GET"]),
            Route(KILL_SWITCH, requesters.kill_switch, methods=["GET", "PUT"]),
            Route(AGENTS, requesters.agents, methods=["GET"]),
            Route(AGENTS, agents.register, methods=["POST"]),
            Route(agent + "/commands", agents.commands, methods=["GET"]),
            Route(routes.HEALTH, _health),
            Route(routes.READY, _ready(context)),
            Route(routes.METRICS, show_metrics),
            Route(routes.OPENAPI, _openapi),
        ],
        exception_handlers=error_handlers(refuse),
    )


def _ready(context: MasterContext) -> Callable[[Request], Awaitable[Response]]:
    async def ready(_request: Request) -> Response:
        if context.stopping.is_set():
            raise Problem(503, "stopping", "this server is stopping")
        return Response("ready\n", media_type="text/plain")

    return ready


def _require_scraper(context: MasterContext, request: Request) -> None:
    if not context.settings.metrics_token:
        raise Problem(401, "unauthorized", "the master has no --metrics-token; set one, and send it as Authorization: Bearer TOKEN")
    require_token(context.settings.metrics_token, authorization=request.headers.get("authorization"), flag="--metrics-token")


async def _health(_request: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def _openapi(_request: Request) -> Response:
    return Response(served(openapi), media_type=routes.JSON)


def _refusal(problem: Problem) -> Response:
    headers = {}
    if isinstance(problem, TooEarly):
        headers["retry-after"] = str(problem.retry_after_s)
    elif problem.status == 503:
        headers["retry-after"] = "1"
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(problem.body(), problem.status, headers, media_type=routes.PROBLEM)
