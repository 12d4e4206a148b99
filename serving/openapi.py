"""Building blocks of the OpenAPI 3.1 descriptions. Each server composes its own description from them."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from feedback_wire import routes

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
RETRY_AFTER: Schema = {"Retry-After": {"description": "seconds to wait before the same request is sent again", "schema": COUNT}}

REFUSED: Schema = {
    "type": "object",
    "required": ["index", "reason", "detail"],
    "properties": {
        "index": COUNT | {"description": "index of the message in the batch, from 0"},
        "reason": TEXT | {"description": "short name under which it is counted"},
        "detail": TEXT | {"description": "what is wrong, for people"},
    },
}
PROBLEM: Schema = {
    "description": "RFC 9457; docs/formats/errors.md lists the reasons",
    "type": "object",
    "required": ["type", "title", "status", "reason", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "reason": TEXT | {"description": "short name under which the refusal is counted"},
        "detail": TEXT | {"description": "what is wrong and what to do, for people"},
        "refused": {"type": "array", "items": REFUSED},
    },
}
_WHEN = {
    400: "cannot be parsed, or contains nothing valid",
    401: "the key or token is missing or wrong",
    403: "not allowed",
    404: "does not exist",
    408: "did not arrive in time; send it again",
    409: "the state has changed meanwhile; read it again",
    413: "too large; send smaller batches",
    415: "unsupported content type or encoding",
    416: "a range beyond the end",
    429: "too many requests of this sender; wait, then send the same request again",
    431: "request line and headers are too large",
    502: "another server that is needed gave no usable answer",
    503: "not possible now; wait, then send the same request again",
}


def description(title: str, about: str, paths: Mapping[str, Schema], *, key: str = "") -> Schema:
    """A whole description; `key` describes the token that requests need, if they need one."""
    whole: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": about,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(paths)
        | {routes.OPENAPI: {"get": operation("this description", {200: content("the description", {"type": "object"})})}},
        "components": {"schemas": {"Problem": PROBLEM}},
    }
    if key:
        whole["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": key}}
    return whole


def operation(
    summary: str,
    answers: Mapping[int, Schema],
    *refusals: int,
    parameters: tuple[Schema, ...] = (),
    keyed: bool = False,
    **more: object,
) -> Schema:
    """One method of one route: its answers, and the statuses of its refusals."""
    named = {str(status): answer for status, answer in answers.items()} | {str(status): _refusal(status) for status in refusals}
    whole: Schema = {"summary": summary, "responses": named, **more}
    if parameters:
        whole["parameters"] = list(parameters)
    if keyed:
        whole["security"] = [{"key": []}]
    return whole


def content(what: str, schema: Schema, media_type: str = routes.JSON, *, headers: Schema | None = None) -> Schema:
    """An answer with a body of this schema."""
    return {"description": what, "content": {media_type: {"schema": schema}}} | ({"headers": headers} if headers else {})


def parameter(place: str, name: str, what: str, schema: Schema, *, required: bool = False) -> Schema:
    """A parameter of a route. `place` is query, path or header; `what` is its description."""
    return {"in": place, "name": name, "description": what, "required": required, "schema": schema}


def health(well: Schema, *, metrics_refusals: tuple[int, ...] = ()) -> dict[str, Schema]:
    """The three routes of every server. `well` is the answer of a healthy server; the refusals are those of a wrong token."""
    counters = {200: content("the counters", TEXT, "text/plain")}
    return {
        routes.HEALTH: {"get": operation("200 while the process runs", {200: well})},
        routes.READY: {"get": operation("200 while the server can do its work", {200: well}, 503)},
        routes.METRICS: {
            "get": operation("counters in Prometheus text form", counters, *metrics_refusals, keyed=bool(metrics_refusals))
        },
    }


def text_of(whole: Schema) -> str:
    """The text of a description, as it is served, printed and kept in docs/api/."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


@cache
def served(describe: Callable[[], Schema]) -> bytes:
    """The text of the description that `describe` returns. It is made once, because clients can request it often."""
    return text_of(describe()).encode()


def _refusal(status: int) -> Schema:
    # Only the coordinator always sends Retry-After; clients do not rely on it elsewhere.
    headers = RETRY_AFTER if status in {429, 503} else None
    return content(_WHEN[status], {"$ref": "#/components/schemas/Problem"}, routes.PROBLEM, headers=headers)
