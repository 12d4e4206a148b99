"""The OpenAPI description of the interfaces of records of other kinds than feedback."""

from feedback_analysis.inferences.inference_summary import DIMENSIONS as OF_INFERENCES
from feedback_analysis.measurements.measurement_summary import DIMENSIONS as OF_MEASUREMENTS
from feedback_analysis.record_groups import STATISTICS
from feedback_wire.kinds import RecordKind
from feedback_wire.measurement import STATUSES
from monitor_platform.api.record_handlers import DEFAULT_GROUPS, FORMATS, MOST_GROUPS, ROUTES
from monitor_platform.api.schemas import NUMBER, TIME, list_of, object_of
from serving.openapi import COUNT, TEXT, Schema, content, operation, parameter

_VALUE = object_of(**{name: COUNT if name == "n" else NUMBER for name in STATISTICS})
_BY: Schema = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}


def record_paths(times: tuple[Schema, ...]) -> dict[str, Schema]:
    """The paths of `record_handlers.py`. `times`: the parameters of the time range."""
    operations = object_of(
        by=_BY,
        values=_by_name(_VALUE),
        operations=COUNT,
        statuses={"type": "object", "properties": dict.fromkeys(STATUSES, COUNT), "additionalProperties": COUNT},
    )
    inferences = object_of(by=_BY, values=_by_name(_VALUE), inferences=COUNT, sessions=COUNT)
    return {
        ROUTES[RecordKind.MEASUREMENT].path: _get(
            "how operations of active measurement ended, and what they measured, for each group",
            operations,
            (*times, *_where((*OF_MEASUREMENTS, "tags.NAME"))),
        ),
        ROUTES[RecordKind.INFERENCE].path: _get(
            "inferences and the inferred values, for each group", inferences, (*times, *_where(OF_INFERENCES))
        ),
    }


def _get(about: str, group: Schema, parameters: tuple[Schema, ...]) -> Schema:
    numbers = object_of(**{"from": TIME, "to": TIME}, groups=list_of(group), groups_left_out=COUNT)
    own = (
        parameter("query", "by", "dimensions to group by, separated by commas", TEXT),
        parameter(
            "query",
            "top",
            f"number of groups to list, the largest first (at most {MOST_GROUPS:,}); default {DEFAULT_GROUPS}",
            COUNT,
        ),
        parameter("query", "format", "json (the default) or csv", {"enum": [*FORMATS]}),
    )
    answer = content("the numbers", numbers)
    answer["content"]["text/csv"] = {"schema": TEXT}
    return {"get": operation(about, {200: answer}, 400, 401, 403, 503, parameters=(*parameters, *own))}


def _where(names: tuple[str, ...]) -> tuple[Schema, ...]:
    return tuple(parameter("query", f"where.{name}", "only records with this value", TEXT) for name in names)


def _by_name(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}
