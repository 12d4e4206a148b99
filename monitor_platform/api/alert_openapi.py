"""The OpenAPI description of the interfaces of alerts. Without rules (--alerts), all of them answer 404."""

from feedback_wire import routes
from monitor_platform.alerts.rules import KINDS, SEVERITIES, SHAPES
from monitor_platform.alerts.silences import LONGEST_MINUTES, MOST_COMMENT_CHARACTERS
from monitor_platform.api.schemas import NUMBER, TIME, list_of, object_of
from serving.openapi import COUNT, TEXT, Schema, content, operation, parameter

_VALUES: Schema = {"type": "object", "additionalProperties": TEXT, "description": "a value for each dimension of the rule's `by`"}
_COMMENT: Schema = TEXT | {"maxLength": MOST_COMMENT_CHARACTERS}
_BY: Schema = TEXT | {"description": "name of the user; empty without a login"}
_SILENCE = {
    "id": TEXT,
    "rule": TEXT,
    "slice": _VALUES | {"type": ["object", "null"], "description": "null: all slices of the rule"},
    "from_ms": TIME,
    "until_ms": TIME,
    "comment": _COMMENT,
    "by": _BY,
}
_ACKNOWLEDGEMENT = {"rule": TEXT, "slice": _VALUES, "began_ms": TIME, "at_ms": TIME, "comment": _COMMENT, "by": _BY}


def alert_paths() -> dict[str, Schema]:
    """The paths of `alert_handlers.py`."""
    silence = object_of(**_SILENCE)
    silence_id = parameter("path", "id", "id of the silence", TEXT | {"pattern": "^[0-9a-f]{1,64}$"}, required=True)
    number = parameter("path", "number", "number of the webhook in the file, from 0", COUNT | {"maximum": 9999}, required=True)
    return _rule_paths() | {
        "/api/v1/alerts": {
            "get": _read("rules with their state, and alerts", object_of(rules=list_of(_RULE), alerts=list_of(_ALERT)))
        },
        "/api/v1/silences": {
            "get": _read("the silences that have not ended", list_of(silence)),
            "post": _change("silence an alert or a rule until a time", silence, body=_NEW_SILENCE),
        },
        "/api/v1/silences/{id}": {"delete": _change("end a silence", silence, parameters=(silence_id,))},
        "/api/v1/acknowledgements": {
            "post": _change("state that you work on an alert", object_of(**_ACKNOWLEDGEMENT), body=_NEW_ACKNOWLEDGEMENT)
        },
        "/api/v1/webhooks": {"get": _read("the webhooks and their last notifications", list_of(_WEBHOOK))},
        "/api/v1/webhooks/{number}/test": {
            "post": _change("send a test notification to a webhook", object_of(waiting=COUNT), parameters=(number,))
        },
    }


def _rule_paths() -> dict[str, Schema]:
    """The paths of `rule_handlers.py`."""
    change = object_of(
        rule=_RULE_ENTRY | {"type": ["object", "null"], "description": "null: remove the rule `replaces`"},
        replaces=TEXT | {"type": ["string", "null"], "description": "name of the rule to replace; null: add a rule"},
        revision=TEXT | {"description": "the `revision` of GET"},
    )
    change["required"], change["additionalProperties"] = ["rule", "revision"], False
    return {
        "/api/v1/rules": {
            "get": _read("the rules, and the state of their file", _RULES_STATE),
            "post": _change("add, replace or remove a rule in the rules file", _RULES_STATE, 409, body=change),
        },
        "/api/v1/rules/dry-run": {
            "post": _change("the alerts that a rule would have raised in the last hour", _DRY_RUN, body=_RULE_ENTRY)
        },
        "/api/v1/rules/load": {"post": _change("read the rules file again", _RULES_STATE)},
    }


def _read(about: str, schema: Schema) -> Schema:
    return operation(about, {200: content("the numbers", schema)}, 401, 403, 404)


def _change(about: str, schema: Schema, *more: int, body: Schema | None = None, parameters: tuple[Schema, ...] = ()) -> Schema:
    answers = {200: content("the answer", schema)}
    if body is None:
        return operation(about, answers, 400, 401, 403, 404, 503, *more, parameters=parameters)
    sent = {"required": True, "content": {routes.JSON: {"schema": body}}}
    return operation(about, answers, 400, 401, 403, 404, 415, 503, *more, parameters=parameters, requestBody=sent)


_RULE = object_of(
    name=TEXT,
    severity={"enum": [*SEVERITIES]},
    kind={"enum": [*KINDS]},
    measure=TEXT,
    by=list_of(TEXT),
    where={"type": "object", "additionalProperties": TEXT},
    state={"enum": ["firing", "well", "no data"]},
    open=COUNT | {"description": "number of open alerts"},
    since=TIME | {"type": ["integer", "null"], "description": "when this state began, in Unix milliseconds"},
    last={
        "type": ["object", "null"],
        "description": "the last value of the slice that is closest to its limit or furthest beyond it",
        "properties": {"at": TIME, "slice": _VALUES, "value": NUMBER, "limit": NUMBER, "sessions": COUNT, "slices": COUNT},
    },
)
_ALERT: Schema = {
    "type": "object",
    "description": "as a webhook of the shape json gets it (docs/alerts.md), with its silence and its acknowledgement",
    "required": [
        "rule",
        "kind",
        "severity",
        "measure",
        "slice",
        "from",
        "until",
        "value",
        "worst",
        "limit",
        "silence",
        "acknowledgement",
    ],
    "properties": {
        "diagnosis": {"type": ["object", "null"], "description": "the diagnosis that the alert started, as `diagnose --json`"},
        "silence": {"type": ["object", "null"], "properties": _SILENCE},
        "acknowledgement": {"type": ["object", "null"], "properties": _ACKNOWLEDGEMENT},
    },
}
_WEBHOOK = object_of(
    host=TEXT,
    shape={"enum": [*SHAPES]},
    sent=COUNT,
    failed=COUNT,
    dropped=COUNT,
    waiting=COUNT,
    deliveries=list_of(
        object_of(
            at_ms=TIME,
            title=TEXT,
            sent=TEXT | {"description": "the body of the request"},
            outcome={"enum": ["trying", "sent", "failed"]},
            attempts=COUNT,
            answer=TEXT | {"description": "status and first part of the body, without parts of the webhook's address"},
        )
    ),
)
_NEW_SILENCE: Schema = {
    "type": "object",
    "required": ["rule", "minutes"],
    "additionalProperties": False,
    "properties": {
        "rule": TEXT,
        "slice": _SILENCE["slice"],
        "minutes": {"type": "number", "minimum": 1, "maximum": LONGEST_MINUTES},
        "comment": _COMMENT,
    },
}
_NEW_ACKNOWLEDGEMENT: Schema = {
    "type": "object",
    "required": ["rule", "from"],
    "additionalProperties": False,
    "properties": {"rule": TEXT, "slice": _VALUES, "from": TIME, "comment": _COMMENT},
}
_WHOLE = ("baseline_minutes", "for_minutes", "least_sessions", "least_operations", "window_minutes")
_RULE_ENTRY: Schema = {
    "type": "object",
    "description": "the keys of a rule in docs/alerts.md",
    "properties": {
        "name": TEXT,
        "kind": {"enum": [*KINDS]},
        "measure": TEXT,
        "by": list_of(TEXT),
        "where": {"type": "object", "additionalProperties": TEXT},
        **dict.fromkeys(("below", "above", "deviates"), NUMBER),
        **{key: {"type": ["integer", "null"], "minimum": 1} for key in _WHOLE},
        "severity": {"enum": [*SEVERITIES]},
        "expected": list_of(TEXT),
        "destinations": list_of(TEXT),
        "diagnose": {"type": ["boolean", "null"]},
    },
}
_RULES_STATE = object_of(
    file=TEXT,
    revision=TEXT | {"description": "changes with the content that the platform last read"},
    changed={"type": "boolean", "description": "whether another process has changed the file since"},
    not_writable=TEXT | {"description": "why the platform cannot change the file; empty if it can"},
    rules=list_of(_RULE_ENTRY),
)
_DRY_RUN = object_of(
    **{"from": TIME, "until": TIME},
    alerts=list_of({"type": "object", "description": "as a webhook of the shape json gets it, without evidence"}),
    more=COUNT | {"description": "number of further alerts"},
    last={"type": ["object", "null"], "properties": {"slice": _VALUES, "value": NUMBER}},
)
