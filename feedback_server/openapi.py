"""The feedback server's HTTP interface as OpenAPI 3.1, served at /openapi.json; docs/api/ keeps a copy."""

from feedback_wire import routes
from feedback_wire.catalogue import MOST_LOGS
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LOG_NAME
from serving.openapi import COUNT, TEXT, Schema, content, description, health, operation, parameter

_NAME: Schema = TEXT | {"pattern": f"^{LOG_NAME.pattern}$", "description": "docs/formats/log-names.md"}
_ENTRY: Schema = {
    "type": "object",
    "required": ["name", "bytes", "records", "sealed"],
    "properties": {"name": _NAME, "bytes": COUNT, "records": COUNT, "sealed": {"type": "boolean"}},
}
_CATALOGUE: Schema = {
    "type": "object",
    "required": ["server", "logs"],
    "properties": {
        "server": TEXT,
        "logs": {"type": "array", "items": _ENTRY},
        "more": {"const": True, "description": "other logs follow the last one"},
    },
}
_STORED: Schema = {
    "type": "object",
    "required": ["stored"],
    "properties": {"stored": COUNT, "duplicate": {"const": True, "description": "this batch was stored before"}},
}
_BYTES: Schema = {}
_UNCHANGED: Schema = {"description": "nothing has changed"}
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_LOGS}
_WAIT: Schema = {"type": "integer", "minimum": 0, "maximum": 60}
_KNOWN = parameter("header", "If-None-Match", "the ETag of the known state", TEXT)


def openapi() -> Schema:
    return description(
        "Swarmscope feedback server",
        "Stores records that coordinators send, and offers them for download.",
        {
            **{routes.records_of(kind): {"post": _append(kind)} for kind in RecordKind},
            **{routes.logs_of(kind): {"get": _listing(kind)} for kind in RecordKind},
            **{routes.latest_of(kind): {"get": _newest(kind)} for kind in RecordKind},
            routes.LOGS + "/{name}": {"get": _download()},
        }
        | health(content("the status", TEXT, "text/plain"), metrics_refusals=(401,)),
        key="the shared token for /v1/records, the read token for /v1/logs, the metrics or the read token for /metrics",
    )


def _append(kind: RecordKind) -> Schema:
    batch = parameter("header", routes.BATCH_HEADER, "the batch id; a repeated batch is stored once", _hex(32), required=True)
    return operation(
        f"store a batch of {kind} records",
        {200: content("durable", _STORED)},
        *(400, 401, 408, 413, 415, 503),
        parameters=(batch,),
        keyed=True,
        requestBody={"required": True, "content": {routes.NDJSON: {"schema": TEXT | {"description": "one record per line"}}}},
    )


def _listing(kind: RecordKind) -> Schema:
    return operation(
        f"the catalogue of logs with {kind} records",
        {200: content("the logs in the order of their names", _CATALOGUE), 304: _UNCHANGED},
        *(400, 401),
        parameters=(
            parameter("query", "after", "only logs after this one", _NAME),
            parameter(
                "query", "limit", "maximum number of logs to list; if `more` is true, request those after the last one", _LIMIT
            ),
            parameter("query", "wait", "with If-None-Match: seconds to wait for a change", _WAIT),
            _KNOWN,
        ),
        keyed=True,
    )


def _newest(kind: RecordKind) -> Schema:
    return operation(
        f"the newest log with {kind} records", {200: content("its entry in the catalogue", _ENTRY)}, 401, 404, 503, keyed=True
    )


def _download() -> Schema:
    whole = {status: content(what, _BYTES, routes.LOG) for status, what in ((200, "the log"), (206, "a part of it"))}
    return operation(
        "a log's bytes",
        whole | {304: _UNCHANGED},
        *(400, 401, 404, 416, 503),
        parameters=(
            parameter("path", "name", "the log", _NAME, required=True),
            parameter("header", "Range", "bytes=FIRST-LAST", TEXT),
            _KNOWN,
        ),
        keyed=True,
    )


def _hex(digits: int) -> Schema:
    return TEXT | {"pattern": f"^[0-9a-fA-F]{{{digits}}}$"}
