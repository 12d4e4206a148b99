"""The pieces of which each service's OpenAPI 3.1 description is made. Each service writes its own, from the tables it works by."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from feedback_wire import routes

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
RETRY_AFTER: Schema = {"Retry-After": {"description": "seconds to wait before the same is sent again", "schema": COUNT}}

REFUSED: Schema = {
    "type": "object",
    "required": ["index", "reason", "detail"],
    "properties": {
        "index": COUNT | {"description": "place of the message in the batch, from 0"},
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
    400: "cannot be read, or nothing good is in it",
    401: "the key is missing or wrong",
    403: "not for you",
    404: "there is no such thing",
    408: "did not arrive in time; send it again",
    413: "too large; send smaller batches",
    415: "a content type or encoding that is not taken",
    416: "a range behind the end",
    429: "too much from this sender; wait, then send the same again",
    431: "request line and headers are too large",
    503: "not now; wait, then send the same again",
}


def description(title: str, about: str, paths: Mapping[str, Schema], *, key: str = "") -> Schema:
    """A whole description; `key` says which one is asked for, if any is."""
    whole: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": about,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(paths)
        | {routes.OPENAPI: {"get": operation("this description", {200: content("itself", {"type": "object"})})}},
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
    """One method of one route, what it answers, and the statuses with which it may refuse."""
    named = {str(status): answer for status, answer in answers.items()} | {str(status): _refusal(status) for status in refusals}
    whole: Schema = {"summary": summary, "responses": named, **more}
    if parameters:
        whole["parameters"] = list(parameters)
    if keyed:
        whole["security"] = [{"key": []}]
    return whole


def content(what: str, schema: Schema, media_type: str = routes.JSON, *, headers: Schema | None = None) -> Schema:
    """An answer with a body."""
    return {"description": what, "content": {media_type: {"schema": schema}}} | ({"headers": headers} if headers else {})


def parameter(place: str, name: str, what: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"in": place, "name": name, "description": what, "required": required, "schema": schema}


def health(well: Schema, *, metrics_refusals: tuple[int, ...] = ()) -> dict[str, Schema]:
    """The three routes that every service has; `well` is what it answers while all is well, the refusals those of a wrong key."""
    counters = {200: content("the counters", TEXT, "text/plain")}
    return {
        routes.HEALTH: {"get": operation("200 while the process lives", {200: well})},
        routes.READY: {"get": operation("200 while it can do its work", {200: well}, 503)},
        routes.METRICS: {
            "get": operation("counters in Prometheus text form", counters, *metrics_refusals, keyed=bool(metrics_refusals))
        },
    }


def text_of(whole: Schema) -> str:
    """A description as it is served, printed and kept beside the documentation."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


@cache
def served(describe: Callable[[], Schema]) -> bytes:
    """The text of the description that `describe` makes. It is made once: any client may ask for it, as often as it likes."""
    return text_of(describe()).encode()


def _refusal(status: int) -> Schema:
    # Only the coordinator promises when to come back; that a header is missing elsewhere breaks nothing.
    headers = RETRY_AFTER if status in {429, 503} else None
    return content(_WHEN[status], {"$ref": "#/components/schemas/Problem"}, routes.PROBLEM, headers=headers)
