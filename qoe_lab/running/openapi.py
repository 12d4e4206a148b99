"""The HTTP interface of the server of trainings as OpenAPI 3.1, served at /openapi.json; docs/api/ keeps a copy."""

from typing import Any

from feedback_wire import routes
from feedback_wire.trainings import CLIENTS, CONGESTION_CONTROLS, SOURCES, SessionStatus, TrainingState
from serving.openapi import COUNT, TEXT, Schema, content, description, health, operation, parameter

_NUMBER: Schema = {"type": "number"}
_OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
_SETTINGS: Schema = {
    "type": "object",
    "required": ["name", "sessions", "limits_mbps", "seconds"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "sessions": {"type": "integer", "minimum": 1, "maximum": 100_000},
        "limits_mbps": {"type": "array", "minItems": 1, "items": {"type": "number", "minimum": 0.05, "maximum": 1000}},
        "seconds": {"type": "number", "minimum": 5, "maximum": 3600},
        "source": {"type": "string", "description": f"one or several with commas: {', '.join(SOURCES)}"},
        "client": {"type": "string", "description": f"one or several with commas: {', '.join(CLIENTS)}"},
        "delay_ms": {"type": "number", "minimum": 0, "maximum": 2000},
        "loss": {"type": "number", "minimum": 0, "maximum": 0.5},
        "queue_ms": {"type": "number", "minimum": 1, "maximum": 60_000},
        "congestion_control": {"enum": list(CONGESTION_CONTROLS)},
        "trace": _OPTIONAL_TEXT | {"description": "a network trace that comes with the lab"},
        "seed": {"type": "integer"},
    },
}
_LIMIT: Schema = {"type": "object", "properties": {"limit_mbps": _NUMBER, "planned": COUNT, "captured": COUNT}}
_TRAINING: Schema = {
    "type": "object",
    "description": "`planned` sessions end as `captured` or `given_up`",
    "required": ["training_id", "settings", "state", "created_ms", "planned", "captured", "running", "given_up", "limits"],
    "properties": {
        "training_id": TEXT,
        "settings": {"$ref": "#/components/schemas/TrainingSettings"},
        "state": {"enum": [state.value for state in TrainingState]},
        "created_ms": COUNT,
        "planned": COUNT,
        "captured": COUNT,
        "running": COUNT,
        "given_up": COUNT,
        "discarded": {"type": "object", "additionalProperties": COUNT, "description": "discarded attempts by reason"},
        "limits": {"type": "array", "items": _LIMIT},
        "remaining_s": {"type": ["number", "null"]},
        "dataset": {"type": "boolean", "description": "whether its data set was exported"},
        "failure": _OPTIONAL_TEXT,
    },
}
_SESSION: Schema = {
    "type": "object",
    "properties": {
        "number": COUNT,
        "block": COUNT,
        "limit_mbps": _NUMBER,
        "attempt": COUNT,
        "status": {"enum": [int(status) for status in SessionStatus]},
        "session_id": _OPTIONAL_TEXT,
        "reason": _OPTIONAL_TEXT,
        "detail": _OPTIONAL_TEXT,
        "changed_ms": {"type": ["integer", "null"]},
    },
}
_NAME = parameter("path", "name", "of the training", TEXT, required=True)
_ONE: Schema = {"$ref": "#/components/schemas/Training"}


def openapi() -> Schema:
    """The whole description."""
    whole = description(
        "Swarmscope server of trainings",
        "Starts, shows, pauses, resumes and cancels trainings of the QoE lab.",
        _paths() | health(content("the status", TEXT, "text/plain"), metrics_refusals=(401,)),
        key="the server's --token",
    )
    whole["components"]["schemas"] |= {"TrainingSettings": _SETTINGS, "Training": _TRAINING, "Session": _SESSION}
    return whole


def _paths() -> dict[str, Any]:
    one = routes.training("{name}")
    listed: Schema = {"type": "object", "properties": {"trainings": {"type": "array", "items": _ONE}}}
    sessions: Schema = {"type": "array", "items": {"$ref": "#/components/schemas/Session"}}
    shown: Schema = {"allOf": [_ONE, {"type": "object", "properties": {"sessions": sessions}}]}
    body = {"required": True, "content": {routes.JSON: {"schema": {"$ref": "#/components/schemas/TrainingSettings"}}}}
    start = operation(
        "start a training",
        {201: content("the training, which runs now", _ONE)},
        *(400, 401, 409, 413, 503),
        keyed=True,
        requestBody=body,
    )
    return {
        routes.TRAININGS: {
            "get": operation("list trainings", {200: content("the newest first", listed)}, 401, keyed=True),
            "post": start,
        },
        one: {
            "get": operation(
                "show a training",
                {200: content("the training with its sessions", shown)},
                401,
                404,
                503,
                parameters=(_NAME,),
                keyed=True,
            )
        },
        f"{one}/pause": {"post": _change("pause a training")},
        f"{one}/resume": {"post": _change("resume a paused training")},
        f"{one}/cancel": {"post": _change("cancel a training permanently")},
    }


def _change(summary: str) -> Schema:
    return operation(
        summary, {200: content("the progress of the training", _ONE)}, *(401, 404, 409, 503), parameters=(_NAME,), keyed=True
    )
