"""The Starlette app for everything that is not feedback: health, metrics, preflights, and refusals of unknown routes."""

from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Lifespan

from coordinator.http.exposition import Exposition
from coordinator.http.openapi import openapi
from feedback_wire.problem import Problem
from feedback_wire.routes import FEEDBACK, FORGOTTEN_HEADER, HEALTH, JSON, MESSAGES, METRICS, OPENAPI, PROBLEM, READY
from serving.openapi import served

_PREFLIGHT = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": f"authorization, content-type, content-encoding, {FORGOTTEN_HEADER.lower()}",
    "access-control-max-age": "86400",
}


def build_app(lifespan: Lifespan[Starlette]) -> Starlette:
    """The app; the state that `lifespan` yields has the handler of feedback, the metrics and their exposition."""
    app = Starlette(
        routes=[
            Route(HEALTH, _healthy),
            Route(READY, _readiness),
            Route(METRICS, _metrics),
            Route(OPENAPI, _openapi),
            Route(FEEDBACK, _preflight, methods=["OPTIONS"]),
        ],
        exception_handlers={HTTPException: _refusal},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # many clients drop the body of a redirected POST
    return app


async def _healthy(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _readiness(request: Request) -> Response:
    obstacle = request.state.handler.obstacle
    return _problem(Problem(503, "not_ready", obstacle)) if obstacle else JSONResponse({"status": "ready"})


async def _metrics(request: Request) -> Response:
    exposition: Exposition = request.state.exposition
    try:
        exposition.require(request.headers.get("authorization", ""))
    except Problem as problem:
        return _problem(problem)
    fresh = "no-cache" in request.headers.get("cache-control", "").lower()
    return Response(exposition.text(fresh=fresh), headers={"content-type": CONTENT_TYPE_LATEST})


async def _openapi(_: Request) -> Response:
    return Response(served(openapi), media_type=JSON)


async def _preflight(_: Request) -> Response:
    """Browsers send this request before they POST JSON with a key to another origin."""
    return Response(status_code=204, headers=_PREFLIGHT)


async def _refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    if path in MESSAGES.values():
        answer = _problem(Problem(405, "method_not_allowed", f"send messages with POST {path}"))
        answer.headers["allow"] = "POST, OPTIONS" if path == FEEDBACK else "POST"
        return answer
    answer = _problem(Problem(error.status_code, error.detail.lower().replace(" ", "_"), f"there is no {path}"))
    answer.headers.update(error.headers or {})
    return answer


def _problem(problem: Problem) -> Response:
    headers = {"www-authenticate": "Bearer"} if problem.status == HTTPStatus.UNAUTHORIZED else None
    return Response(problem.body(), problem.status, headers, media_type=PROBLEM)
