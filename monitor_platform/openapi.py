"""The monitoring platform's interface for scripts as OpenAPI 3.1, served at /openapi.json; docs/api/ keeps a copy.

The pages are for people and are not in it.
"""

from feedback_wire import routes
from feedback_wire.openapi import COUNT, TEXT, Schema, content, description, health, operation, parameter
from monitor_platform.measures.selection import DIMENSIONS, EXTRA, IDENTITIES
from monitor_platform.measures.summary import DISTRIBUTIONS

_NUMBER: Schema = {"type": ["number", "null"]}
_SPREAD: Schema = {"type": "object", "required": ["mean", "p50", "p95"], "additionalProperties": _NUMBER}
_OF_ALL = ("duplicates", "unreadable", "lost")
_NUMBERS = ("messages", *_OF_ALL, "peers", "sessions", "contribution_ratio", "online_s_per_view", "online_s_per_peer")
_TIME: Schema = TEXT | {"description": "ISO 8601, in UTC unless it says otherwise, or Unix milliseconds"}


def openapi() -> Schema:
    group = _numbers("by", by={"type": "object", "additionalProperties": TEXT})
    ends = {"from": COUNT | {"type": ["integer", "null"]}, "to": COUNT | {"type": ["integer", "null"]}}
    summary = _numbers("groups", *ends, **ends, groups={"type": "array", "items": group})
    filters = [f"where.{name}" for name in (*DIMENSIONS, *IDENTITIES, f"{EXTRA}NAME")]
    ask = operation(
        "the measures of docs/measures.md, in total and for each group",
        {200: content("the numbers", summary)},
        *(400, 401, 403),
        parameters=(
            parameter("query", "from", "the begin of the span", _TIME),
            parameter("query", "to", "the end of the span", _TIME),
            parameter("query", "by", "a group for each combination of these columns, with commas", TEXT),
            *(parameter("query", name, "only records with this value", TEXT) for name in filters),
        ),
    )
    return description(
        "Swarmscope monitoring platform",
        f"The dashboard's numbers for scripts. Entries of `extra` are filtered by `where.{EXTRA}NAME`, with any name.",
        {routes.SUMMARY: {"get": ask}} | health(content("it is", TEXT, "text/plain")),
    )


def _numbers(*required: str, **more: Schema) -> Schema:
    numbers = dict.fromkeys(_NUMBERS, _NUMBER) | dict.fromkeys(DISTRIBUTIONS, _SPREAD)
    return {"type": "object", "required": [*numbers, *required], "properties": numbers | more}
