"""The coordinator's HTTP interface as OpenAPI 3.1, served at /openapi.json; docs/api/ keeps a copy."""

from feedback_wire import routes
from feedback_wire.kinds import CONTRACTS, RecordKind
from feedback_wire.message import message_schema
from serving.openapi import COUNT, REFUSED, TEXT, Schema, content, description, health, operation, parameter

_ACCEPTED: Schema = {
    "type": "object",
    "required": ["accepted"],
    "properties": {"accepted": COUNT, "refused": {"type": "array", "minItems": 1, "items": REFUSED}},
}
_LINES: Schema = TEXT | {"description": "one message per line"}


def openapi() -> Schema:
    forgotten = parameter(
        "header", routes.FORGOTTEN_HEADER, "messages that the end host dropped because its buffer was full", COUNT
    )
    send = operation(
        "send feedback messages; gzip and zstd are accepted as Content-Encoding",
        {202: content("durable, except for the messages in `refused` and those that sampling leaves out", _ACCEPTED)},
        *(400, 401, 408, 413, 415, 429, 431, 503),
        parameters=(forgotten,),
        keyed=True,
        requestBody=_body(message_schema()),
    )
    preflight = operation("CORS preflight of a browser", {204: {"description": "the allowed methods and headers"}})
    well = content("the status", {"type": "object", "required": ["status"], "properties": {"status": {"enum": ["ok", "ready"]}}})
    return description(
        "Swarmscope coordinator",
        "Accepts feedback messages from end hosts, and answers when they are durable.",
        {
            routes.FEEDBACK: {"post": send, "options": preflight},
            **{route: {"post": _send(kind)} for kind, route in routes.MESSAGES.items() if kind is not RecordKind.FEEDBACK},
        }
        | health(well, metrics_refusals=(401, 403)),
        key="an ingest key; for /metrics the metrics token",
    )


def _send(kind: RecordKind) -> Schema:
    """The operation that sends messages of a kind other than feedback."""
    return operation(
        f"send {kind} messages; gzip and zstd are accepted as Content-Encoding",
        {202: content("durable, except for the messages in `refused`", _ACCEPTED)},
        *(400, 401, 408, 413, 415, 429, 431, 503),
        keyed=True,
        requestBody=_body(CONTRACTS[kind].schema()),
    )


def _body(schema: Schema) -> Schema:
    """A request's body with messages of this schema: one object, an array, or lines."""
    message = {name: value for name, value in schema.items() if name != "$schema"}
    batch = {"oneOf": [message, {"type": "array", "items": message}]}
    return {"required": True, "content": {routes.JSON: {"schema": batch}, routes.NDJSON: {"schema": _LINES}}}
