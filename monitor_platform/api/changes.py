"""The requests that change something: a JSON object, from a page of this dashboard or from a script. Other sites are refused."""

import json
from collections.abc import Mapping
from typing import Any

from tornado.web import RequestHandler

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.access.gate import Gate
from monitor_platform.access.login import check_origin
from monitor_platform.api.script_request import bad_parameter


def json_object(handler: RequestHandler) -> Mapping[str, Any]:
    """The JSON object in the body of a request; Problem if there is none, or if the request comes from another site."""
    check_origin(handler)
    # A form of another site cannot have this content type, so browsers ask this server before they send the request.
    if handler.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != routes.JSON:
        raise Problem(415, "content_type", f"the body needs the header Content-Type: {routes.JSON}")
    try:
        body = json.loads(handler.request.body)
        json.dumps(body, ensure_ascii=False).encode()  # fails for half of a surrogate pair, which no file can hold
    except (ValueError, RecursionError) as error:
        raise bad_parameter(f"the body is not JSON: {str(error)[:200]!r}") from error
    if not isinstance(body, dict):
        raise bad_parameter("the body needs a JSON object")
    return body


def user_of(gate: Gate, handler: RequestHandler) -> str:
    """The name of the user who sends the request; empty if the dashboard has no login."""
    visitor = gate.recognise(handler.request)
    return visitor.name if visitor is not None else ""
