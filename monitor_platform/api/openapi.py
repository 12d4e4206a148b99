"""The OpenAPI 3.1 description of the interfaces for scripts, served at /openapi.json; docs/api/ has a copy.

It contains neither the pages nor their tables as CSV, whose parameters are a page's address. The routes of the history and of
alerts answer 404 if the platform has none.
"""

from feedback_analysis.history.periods import DAYS, UNITS
from feedback_analysis.history.schema import DIMENSIONS as KEPT
from feedback_analysis.measures.partials import VIEWING
from feedback_analysis.measures.selection import DIMENSIONS, EXTRA, IDENTITIES, OTHER
from feedback_analysis.measures.summary import DEFAULT_GROUPS, MOST_GROUPS
from feedback_analysis.measures.summary_fields import COUNTED, DISTRIBUTIONS
from feedback_wire import routes
from monitor_platform.api.alert_openapi import alert_paths
from monitor_platform.api.disagreement_openapi import disagreement_paths
from monitor_platform.api.note_openapi import annotation_paths, view_paths
from monitor_platform.api.record_openapi import record_paths
from monitor_platform.api.schemas import NUMBER, list_of, object_of
from monitor_platform.api.training_openapi import training_paths
from monitor_platform.api.trigger_openapi import trigger_paths
from serving.openapi import COUNT, TEXT, Schema, content, description, health, operation, parameter

HISTORY = "/api/v1/history/"

_SPREAD: Schema = {"type": "object", "required": ["mean", "p50", "p95"], "additionalProperties": NUMBER}
_NUMBERS = (*COUNTED, "contribution_ratio", *VIEWING, "online_s_per_view", "online_s_per_peer")
_TIME: Schema = TEXT | {"description": "ISO 8601 (UTC without a time zone), or Unix milliseconds"}
_TIMES = (
    parameter("query", "from", "beginning of the time range (included)", _TIME),
    parameter("query", "to", "end of the time range (excluded)", _TIME),
)
_ENDS = {"from": COUNT | {"type": ["integer", "null"]}, "to": COUNT | {"type": ["integer", "null"]}}


def openapi(public_path: str = "") -> Schema:
    """The description. `public_path`: the path under which a reverse proxy publishes the interfaces."""
    ask = operation(
        "the measures of docs/measures.md, in total and for each group",
        {200: content("the numbers", _summary(unread_logs=COUNT | {"description": "logs that could not be read"}))},
        *(400, 401, 403, 503),
        parameters=(*_chosen((*DIMENSIONS, *IDENTITIES, f"{EXTRA}NAME")), _BY, _TOP),
    )
    whole = description(
        "Swarmscope monitoring platform",
        f"The dashboard's numbers for scripts. Entries of `extra` are filtered by `where.{EXTRA}NAME`, with any name; the history, "
        "which a platform with --history has, keeps none. At most 16 filters and 16 names to group by.",
        {routes.SUMMARY: {"get": ask}}
        | record_paths(_TIMES)
        | disagreement_paths(_chosen((*DIMENSIONS, *IDENTITIES, f"{EXTRA}NAME")))
        | trigger_paths()
        | _history()
        | alert_paths()
        | annotation_paths()
        | view_paths()
        | training_paths()
        | health(content("the status", TEXT, "text/plain")),
    )
    return whole | ({"servers": [{"url": public_path}]} if public_path else {})


def _history() -> dict[str, Schema]:
    """The figures of history_handler.py. Each figure accepts all parameters and ignores those that only other figures use."""
    chosen = _chosen((*KEPT, *IDENTITIES))
    operations = {figure: ((*chosen, *_OWN[figure]), schema, about) for figure, (about, schema) in _figures().items()}
    operations["status"] = ((), _STATUS, "how far the history has ingested the logs")
    return {
        f"{HISTORY}{figure}": {
            "get": operation(about, {200: content("the numbers", schema)}, 400, 401, 403, 503, parameters=parameters)
        }
        for figure, (parameters, schema, about) in operations.items()
    }


def _figures() -> dict[str, tuple[str, Schema]]:
    """Description and schema of each figure."""
    over_time = object_of(at_ms=list_of(COUNT), values=_by_name(list_of(NUMBER)))
    return {
        "summary": ("the measures over whole hours, in total and for each group", _summary()),
        "daily": ("users, quality and online time of each day, month or year", list_of(_by_name(NUMBER | _PERIOD))),
        "isps": (
            "the number of users of each ISP",
            list_of(object_of(period=TEXT, peers=_by_name(NUMBER), shares=_by_name(NUMBER))),
        ),
        "minutes": ("measures by the minute", over_time),
        "timeline": ("measures by the hour, day, month or year", over_time),
        "regions": ("a measure in each region", list_of(object_of(region=TEXT, value=NUMBER, peers=NUMBER))),
        "histogram": (
            "shares of users in ranges of a measure",
            object_of(edges=list_of(NUMBER), shares=list_of(NUMBER), peers=NUMBER),
        ),
    }


def _chosen(dimensions: tuple[str, ...]) -> tuple[Schema, ...]:
    return (
        *_TIMES,
        *(parameter("query", f"where.{name}", "only records with this value", TEXT) for name in dimensions),
    )


def _summary(**more: Schema) -> Schema:
    group = _numbers("by", by={"type": "object", "additionalProperties": TEXT})
    left_out = COUNT | {"description": f"number of groups in the group {OTHER}"}
    more |= {"groups": {"type": "array", "items": group}, "groups_left_out": left_out}
    return _numbers(*_ENDS, *more, **_ENDS, **more)


def _numbers(*required: str, **more: Schema) -> Schema:
    numbers = dict.fromkeys(_NUMBERS, NUMBER) | dict.fromkeys(DISTRIBUTIONS, _SPREAD)
    return {"type": "object", "required": [*numbers, *required], "properties": numbers | more}


def _by_name(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


_PERIOD: Schema = {"type": ["number", "string", "null"], "description": "`period` is text such as 2012-08-07"}
_BY = parameter("query", "by", "dimensions to group by, separated by commas; one group for each combination of values", TEXT)
_TOP = parameter(
    "query",
    "top",
    f"number of groups to list (at most {MOST_GROUPS:,}), those with the most messages; the others are one group, {OTHER}; "
    f"default {DEFAULT_GROUPS:,}",
    COUNT,
)
_UNIT = parameter("query", "unit", "length of a step (default day)", {"enum": [*UNITS]})
_DAYS = parameter("query", "unit", "length of a period (default day)", {"enum": [*DAYS]})
_ZONE = parameter("query", "timezone", "time zone of the days, such as Asia/Hong_Kong (default UTC)", TEXT)
_MEASURE = parameter("query", "measure", "name of a measure (default mos); for timelines several, separated by commas", TEXT)
_REGION = parameter("query", "region", "a dimension (default district)", {"enum": [*KEPT]})
_OWN: dict[str, tuple[Schema, ...]] = {
    "summary": (_BY, _TOP),
    "daily": (_DAYS, _ZONE),
    "isps": (_DAYS, _ZONE, _TOP),
    "minutes": (_MEASURE,),
    "timeline": (_UNIT, _ZONE, _MEASURE),
    "regions": (_REGION, _MEASURE, _TOP),
    "histogram": (_MEASURE,),
}
_STATUS: Schema = object_of(
    complete={"type": "boolean"},
    **dict.fromkeys(
        ("done_bytes", "all_bytes", "logs", "messages", "duplicates", "conflicts", "unreadable", "unread_logs", "other_names"),
        COUNT,
    ),
    error=TEXT,
)
