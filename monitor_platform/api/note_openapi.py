"""The OpenAPI description of annotations and saved views. Recorded files without --history have none: their routes answer 404."""

from feedback_wire import routes
from monitor_platform.api.schemas import TIME
from monitor_platform.dashboard.annotations import MOST_CHARACTERS
from monitor_platform.dashboard.saved_views import MOST_ADDRESS_CHARACTERS
from monitor_platform.dashboard.saved_views import MOST_CHARACTERS as NAME_CHARACTERS
from serving.openapi import TEXT, Schema, content, operation, parameter

_TEXT: Schema = TEXT | {"minLength": 1, "maxLength": MOST_CHARACTERS}
_GIVEN: Schema = {"type": ["integer", "string"], "description": "Unix milliseconds or ISO 8601"}
_ANNOTATION: Schema = {
    "type": "object",
    "required": ["id", "from", "to", "text", "by"],
    "properties": {"id": TEXT, "from": TIME, "to": TIME, "text": _TEXT, "by": TEXT | {"description": "name of the user"}},
}
_NEW: Schema = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": _TEXT, "from": _GIVEN, "to": _GIVEN},
}
_ADDRESS: Schema = TEXT | {"maxLength": MOST_ADDRESS_CHARACTERS, "description": "a page's path with its parameters"}
_NAME: Schema = TEXT | {"minLength": 1, "maxLength": NAME_CHARACTERS}
_VIEW: Schema = {
    "type": "object",
    "required": ["id", "name", "address"],
    "properties": {"id": TEXT, "name": _NAME, "address": _ADDRESS},
}
_NEW_VIEW: Schema = {
    "type": "object",
    "required": ["name", "address"],
    "additionalProperties": False,
    "properties": {"name": _NAME, "address": _ADDRESS},
}


def view_paths() -> dict[str, Schema]:
    """The paths of `view_handlers.py`."""
    stored, every = content("the view", _VIEW), content("the views", {"type": "array", "items": _VIEW})
    sent = {"required": True, "content": {routes.JSON: {"schema": _NEW_VIEW}}}
    by_id = parameter("path", "id", "id of the view", TEXT | {"pattern": "^[0-9a-f]{1,64}$"}, required=True)
    return {
        "/api/v1/views": {
            "get": operation("your saved views, by name", {200: every}, 401, 403, 404),
            "post": operation("save a view", {200: stored}, 400, 401, 403, 404, 415, 503, requestBody=sent),
        },
        "/api/v1/views/{id}": {"delete": operation("remove a view", {200: stored}, 401, 403, 404, 503, parameters=(by_id,))},
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
