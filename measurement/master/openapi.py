"""The master's HTTP interface as OpenAPI 3.1, served at /openapi.json; docs/api/ keeps a copy."""

from inspect import cleandoc
from typing import Any

import msgspec

from feedback_wire import routes
from measurement.control_messages import (
    AddTask,
    Cancel,
    Keepalive,
    Receipt,
    Registered,
    Registration,
    Reports,
    SkipRound,
    Start,
    StopAll,
    StopTask,
)
from measurement.finished_operation import FinishedOperation
from measurement.measurement_request import MeasurementRequest
from serving.openapi import COUNT, TEXT, Schema, content, description, health, operation, parameter

MEASUREMENTS = "/v1/measurements"
AGENTS = "/v1/agents"
KILL_SWITCH = "/v1/kill-switch"

_STRUCTS = (
    MeasurementRequest,
    FinishedOperation,
    Registration,
    Registered,
    Keepalive,
    Reports,
    Receipt,
    Start | AddTask | SkipRound | StopTask | Cancel | StopAll,
)

_DESTINATION: Schema = {"type": "object", "properties": {"name": TEXT, "address": TEXT, "port": COUNT}}
_LIST_OF_TEXTS: Schema = {"type": "array", "items": TEXT}
_STATE: Schema = {
    "type": "object",
    "description": "`planned` is the sum of `statuses` and `open`",
    "properties": {
        "id": TEXT,
        "requester": TEXT,
        "state": {"enum": ["running", "waiting", "done", "cancelled", "client_gone", "stopped", "lost"]},
        "technique": TEXT,
        "schedule": TEXT,
        "destinations": {"type": "array", "items": _DESTINATION},
        "agents": _LIST_OF_TEXTS,
        "round": COUNT,
        "planned": COUNT,
        "open": COUNT,
        "statuses": {"type": "object", "additionalProperties": COUNT},
        "submitted_ms": COUNT,
    },
}
_PLAN: Schema = {
    "type": "object",
    "description": "of one round; packets, bytes and seconds are upper bounds",
    "properties": {
        "agents": _LIST_OF_TEXTS,
        "destinations": {"type": "array", "items": _DESTINATION},
        "operations": COUNT,
        "packets": COUNT,
        "bytes": COUNT,
        "seconds": {"type": "number"},
    },
}
_ID = parameter("path", "id", "of the request", TEXT, required=True)
_NAME = parameter("path", "name", "of the agent", TEXT, required=True)
_EPOCH = parameter("query", "epoch", "from the registration", TEXT, required=True)
_FOLLOW = parameter("query", "follow", "1: send outcomes as they come, until the request ends", {"enum": ["0", "1"]})


def openapi() -> Schema:
    """The description of all routes of the master, as JSON values."""
    whole = description(
        "Swarmscope measurement master",
        "Lets agents measure the network in turn. Agents open all connections themselves.",
        _for_clients() | _for_agents() | health(content("the status", TEXT, "text/plain"), metrics_refusals=(401,)),
        key="a key of the keys file, as requester, manager or agent",
    )
    _, components = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")
    for component in components.values():
        if "description" in component:  # a docstring, without its indentation in every version of Python
            component["description"] = cleandoc(component["description"])
    whole["components"]["schemas"] |= components
    return whole


def _for_clients() -> dict[str, Any]:
    accepted, dry = (
        content("accepted", _STATE),
        content("what the request would do (dry run)", {"type": "object", "properties": {"dry_run": _PLAN}}),
    )
    state = {200: content("the state of the request", _STATE)}
    submit = operation(
        "submit a request",
        {201: accepted, 200: dry},
        *(400, 401, 403, 413, 429, 503),
        keyed=True,
        requestBody=_body("MeasurementRequest"),
    )
    requests = content("the requests", {"type": "object", "properties": {"measurements": {"type": "array", "items": _STATE}}})
    cancelled = content("the ended requests", {"type": "object", "properties": {"cancelled": _LIST_OF_TEXTS}})
    return {
        MEASUREMENTS: {
            "post": submit,
            "get": operation("list requests", {200: requests}, 401, 403, keyed=True),
            "delete": operation("cancel all requests", {200: cancelled}, 401, 403, 503, keyed=True),
        },
        MEASUREMENTS + "/{id}": {
            "get": operation("show a request", state, 401, 403, 404, parameters=(_ID,), keyed=True),
            "delete": operation("cancel a request", state, 401, 403, 404, 503, parameters=(_ID,), keyed=True),
        },
    } | _for_clients_that_follow()


def _for_clients_that_follow() -> dict[str, Any]:
    line = content("one outcome per line; when it follows, the last line is the state of the request", TEXT, routes.NDJSON)
    agents = content("the agents", {"type": "object", "properties": {"agents": {"type": "array", "items": {"type": "object"}}}})
    switch = {200: content("the state of the kill switch", {"type": "object", "properties": {"on": {"type": "boolean"}}})}
    return {
        MEASUREMENTS + "/{id}/outcomes": {
            "get": operation("get or follow its outcomes", {200: line}, 401, 403, 404, parameters=(_ID, _FOLLOW), keyed=True)
        },
        KILL_SWITCH: {
            "get": operation("whether all probing is stopped; for managers", switch, 401, 403, keyed=True),
            "put": operation(
                "stop all probing, or admit requests again; for managers",
                switch,
                *(400, 401, 403, 503),
                keyed=True,
                requestBody={"required": True, "content": {routes.JSON: {"schema": {"type": "object", "required": ["on"]}}}},
            ),
        },
        AGENTS: {
            "get": operation("list the agents with their load; for managers", {200: agents}, 401, 403, keyed=True),
            "post": operation(
                "register an agent",
                {201: content("the epoch and the timers of the agent", _ref("Registered"))},
                *(400, 401, 403, 413),
                keyed=True,
                requestBody=_body("Registration"),
            ),
        },
    }


def _for_agents() -> dict[str, Any]:
    commands = "one command per line (Start, AddTask, SkipRound, StopTask, Cancel, StopAll); an empty line keeps it alive"
    number: Schema = {"type": "object", "properties": {"number": COUNT}}
    return {
        AGENTS + "/{name}/commands": {
            "get": operation(
                "the stream of commands",
                {200: content(commands, TEXT, routes.NDJSON)},
                *(401, 403, 409),
                parameters=(_NAME, _EPOCH),
                keyed=True,
            )
        },
        AGENTS + "/{name}/keepalive": {
            "post": operation(
                "keep-alive",
                {200: content("the keep-alive was received", number)},
                *(400, 401, 403, 409, 413),
                parameters=(_NAME,),
                keyed=True,
                requestBody=_body("Keepalive"),
            )
        },
        AGENTS + "/{name}/outcomes": {
            "post": operation(
                "deliver outcomes",
                {200: content("they are durable, or refused permanently", _ref("Receipt"))},
                *(400, 401, 403, 409, 413, 503),
                parameters=(_NAME,),
                keyed=True,
                requestBody=_body("Reports"),
            )
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(name: str) -> Schema:
    return {"required": True, "content": {routes.JSON: {"schema": _ref(name)}}}
