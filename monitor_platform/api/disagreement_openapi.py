"""The OpenAPI description of the disagreements of reported and inferred quality."""

from feedback_analysis.inferences.disagreement import DISAGREES, Reason
from feedback_analysis.inferences.inferred_values import BandedValue, InferredValues
from feedback_analysis.inferences.reported_values import ReportedValues
from feedback_analysis.measures.summary import DEFAULT_GROUPS, MOST_GROUPS
from monitor_platform.api.disagreement_handler import DISAGREEMENTS
from monitor_platform.api.schemas import NUMBER, TIME, list_of, object_of
from serving.openapi import COUNT, TEXT, Schema, content, operation, parameter

_REASON: Schema = {"enum": [*map(str, Reason)]}
_DIFFERENCE = NUMBER | {"description": "-1 to 1; above 0, the report is better than the inference"}
_VALUE: Schema = {"type": ["number", "string", "null"]}
_BAND: Schema = {"oneOf": [object_of(**dict.fromkeys(BandedValue.__slots__, NUMBER)), {"type": "null"}]}
_BANDS = ("mos", "startup_ms")


def disagreement_paths(chosen: tuple[Schema, ...]) -> dict[str, Schema]:
    """The path of `disagreement_handler.py`. `chosen`: the parameters of the time range and the filters."""
    found = object_of(
        disagreement={"type": "number", "description": "the largest of the three differences, 0 to 1"},
        **dict.fromkeys(("stalled", "mos", "startup"), _DIFFERENCE),
        reason=_REASON,
        evidence=list_of(object_of(reason=_REASON, text=TEXT)),
        reported=object_of(**dict.fromkeys(ReportedValues.__slots__, _VALUE)),
        inferred=object_of(**{name: _BAND if name in _BANDS else _VALUE for name in InferredValues.__slots__}),
    )
    numbers = object_of(
        **{"from": TIME, "to": TIME},
        judged=COUNT | {"description": "sessions that models judged, also those that agree; once for each model"},
        disagreements=list_of(found),
        disagreements_left_out=COUNT,
    )
    own = (
        parameter("query", "min", f"least disagreement, from 0 to 1 (default {DISAGREES:g})", {"type": "number"}),
        parameter("query", "reason", "only sessions with this likely reason", _REASON),
        parameter("query", "model", "only sessions that this model judged", TEXT),
        parameter(
            "query",
            "top",
            f"number of sessions to list, the largest disagreement first (at most {MOST_GROUPS:,}); default {DEFAULT_GROUPS:,}",
            COUNT,
        ),
    )
    about = "the sessions whose reported quality differs from what a model inferred, with the likely reason"
    answer = {200: content("the sessions", numbers)}
    return {DISAGREEMENTS: {"get": operation(about, answer, 400, 401, 403, 404, 503, parameters=(*chosen, *own))}}
