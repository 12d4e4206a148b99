"""The OpenAPI description of trainings. A platform without --lab-url answers 404."""

from feedback_wire import routes
from feedback_wire.trainings import CLIENTS, CONGESTION_CONTROLS, SOURCES, TRACES, SessionStatus, TrainingState
from monitor_platform.api.schemas import NUMBER, TIME, list_of, object_of
from monitor_platform.api.training_handlers import FORMATS
from serving.openapi import COUNT, TEXT, Schema, content, operation, parameter

_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_SETTINGS: Schema = {
    "type": "object",
    "required": ["name", "sessions", "limits_mbps", "seconds"],
    "additionalProperties": False,
    "properties": {
        "name": TEXT | {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "sessions": COUNT | {"minimum": 1, "maximum": 100_000},
        "limits_mbps": {"type": "array", "minItems": 1, "items": {"type": "number"}},
        "seconds": {"type": "number", "minimum": 5, "maximum": 3600},
        "source": TEXT
        | {
            "description": f"one or several with commas: {', '.join(SOURCES)}. A new training of twitch is refused: sessions have "
            "no way to the Internet"
        },
        "client": TEXT | {"description": f"one or several with commas: {', '.join(CLIENTS)}. Each source needs one that plays it"},
        "delay_ms": {"type": "number", "minimum": 0},
        "loss": {"type": "number", "minimum": 0, "maximum": 0.5},
        "queue_ms": {"type": "number", "minimum": 1},
        "congestion_control": {"enum": [*CONGESTION_CONTROLS]},
        "trace": _TEXT_OR_NULL | {"description": f"null: a fixed limit. A new training accepts {', '.join(TRACES)}"},
        "seed": {"type": "integer"},
    },
}
_PROGRESS = {
    "training_id": TEXT,
    "settings": _SETTINGS,
    "state": {"enum": [*map(str, TrainingState)]},
    "created_ms": TIME,
    "planned": COUNT,
    "captured": COUNT,
    "running": COUNT,
    "given_up": COUNT | {"description": "planned sessions that failed in every attempt"},
    "discarded": {"type": "object", "additionalProperties": COUNT, "description": "discarded attempts, by reason"},
    "limits": list_of(object_of(limit_mbps={"type": "number"}, planned=COUNT, captured=COUNT)),
    "remaining_s": NUMBER | {"description": "expected time to the end; null if it is not running"},
    "dataset": {"type": "boolean", "description": "whether the data set was exported"},
    "failure": _TEXT_OR_NULL,
}
_SESSION = object_of(
    number=COUNT,
    block=COUNT,
    limit_mbps={"type": "number"},
    attempt=COUNT,
    status={"enum": [*map(int, SessionStatus)], "description": "-1 not captured, 0 under capturing, 1 captured, 2 discarded"},
    session_id=_TEXT_OR_NULL,
    reason=_TEXT_OR_NULL,
    detail=_TEXT_OR_NULL,
    changed_ms={"type": ["integer", "null"], "description": "Unix milliseconds"},
)


def training_paths() -> dict[str, Schema]:
    """The paths of `training_handlers.py`."""
    training = content("the training", object_of(**_PROGRESS))
    name = parameter("path", "name", "name of the training", TEXT | {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}, required=True)
    status = parameter("query", "status", "only attempts with this status", {"enum": [str(int(each)) for each in SessionStatus]})
    sent = {"required": True, "content": {routes.JSON: {"schema": _SETTINGS}}}
    begin = operation("begin a training", {200: training}, 400, 401, 403, 404, 409, 415, 503, requestBody=sent)
    every = content("the trainings", object_of(trainings=list_of(object_of(**_PROGRESS))))
    one = content("the training", object_of(**_PROGRESS, sessions=list_of(_SESSION), attempts=COUNT))
    for answer in (every, one):
        answer["content"]["text/csv"] = {"schema": TEXT}
    form = parameter("query", "format", "json (the default) or csv, with all attempts of one training", {"enum": [*FORMATS]})
    return {
        "/api/v1/trainings": {
            "get": operation("all trainings, the newest first", {200: every}, 400, 401, 403, 404, 503, parameters=(form,)),
            "post": begin,
        },
        "/api/v1/trainings/{name}": {
            "get": operation(
                "a training with the newest 500 attempts to play its sessions",
                {200: one},
                *(400, 401, 403, 404, 503),
                parameters=(name, status, form),
            )
        },
        **{
            f"/api/v1/trainings/{{name}}/{action}": {
                "post": operation(f"{action} a training", {200: training}, 400, 401, 403, 404, 409, 503, parameters=(name,))
            }
            for action in ("pause", "resume", "cancel")
        },
    }
