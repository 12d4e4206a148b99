"""The OpenAPI description of the route that starts a measurement. Without --measurement-master it answers 404."""

from feedback_wire import routes
from monitor_platform.api.schemas import list_of, object_of
from monitor_platform.api.trigger_handler import TRIGGER
from serving.openapi import COUNT, TEXT, Schema, content, operation

_VALUE: Schema = {"type": ["string", "number", "boolean"]}
_REQUEST: Schema = {
    "type": "object",
    "required": ["technique", "destinations"],
    "additionalProperties": False,
    "properties": {
        "technique": TEXT | {"description": "such as PING"},
        "destinations": list_of(TEXT),
        "agents": list_of(TEXT) | {"description": "as --agents of swarmscope measure; ALL by default"},
        "parameters": {"type": "object", "additionalProperties": _VALUE},
        "consent": {"type": "object", "additionalProperties": TEXT},
    },
}


def trigger_paths() -> dict[str, Schema]:
    """The path of `trigger_handler.py`."""
    submitted = content("the request of the master", object_of(id=TEXT, state=TEXT, planned=COUNT))
    sent = {"required": True, "content": {routes.JSON: {"schema": _REQUEST}}}
    about = "start a measurement at the measurement master, once"
    refusals = (400, 401, 403, 404, 415, 429, 502, 503)
    return {TRIGGER: {"post": operation(about, {200: submitted}, *refusals, requestBody=sent)}}
