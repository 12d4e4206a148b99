"""The OpenAPI description of /api/v1/annotations. Without a folder for notes, its routes answer 404."""

from feedback_wire import routes
from monitor_platform.dashboard.annotations import MOST_CHARACTERS
from serving.openapi import TEXT, Schema, content, operation, parameter

_TEXT: Schema = TEXT | {"minLength": 1, "maxLength": MOST_CHARACTERS}
_TIME: Schema = {"type": "integer", "description": "Unix milliseconds"}
_GIVEN: Schema = {"type": ["integer", "string"], "description": "Unix milliseconds or ISO 8601"}
_ANNOTATION: Schema = {
    "type": "object",
    "required": ["id", "from", "to", "text", "by"],
    "properties": {"id": TEXT, "from": _TIME, "to": _TIME, "text": _TEXT, "by": TEXT | {"description": "name of the user"}},
}
_NEW: Schema = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": _TEXT, "from": _GIVEN, "to": _GIVEN},
}


def annotation_paths() -> dict[str, Schema]:
    """The paths of `annotation_handlers.py`."""
    stored, every = content("the annotation", _ANNOTATION), content("the annotations", {"type": "array", "items": _ANNOTATION})
    sent = {"required": True, "content": {routes.JSON: {"schema": _NEW}}}
    by_id = parameter("path", "id", "id of the annotation", TEXT | {"pattern": "^[0-9a-f]{1,64}$"}, required=True)
    return {
        "/api/v1/annotations": {
            "get": operation("all annotations, in the order of time", {200: every}, 401, 403, 404),
            "post": operation("add an annotation to all timelines", {200: stored}, 400, 401, 403, 404, 415, 503, requestBody=sent),
        },
        "/api/v1/annotations/{id}": {
            "delete": operation("remove an annotation", {200: stored}, 401, 403, 404, 503, parameters=(by_id,))
        },
    }
