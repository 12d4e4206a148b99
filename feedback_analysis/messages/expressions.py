"""A measure of one message in SQL: its value, and the base that the value is divided by.

Both sums, of value·weight and of base·weight, can be added up over minutes before they are divided.
"""

from feedback_analysis.measures.exact import exact_sum
from feedback_analysis.measures.partials import DOWNLOAD_OF_BOTH, UPLOAD_OF_BOTH
from feedback_analysis.measures.registry import MEASURES, Kind, Measure
from feedback_analysis.measures.selection import Selection, extra_pointer
from feedback_analysis.quality.all_models import ALL

SUMS = (exact_sum("value * weight"), exact_sum("base * weight"))
"""SQL: numerator and denominator of rows with `value`, `base` and `weight`."""

SCORES = {model.name: model for model in ALL if model.name != "mos"}
"""The quality models that are computed only in queries; the table has a column for the score of MOS(B, D)."""

# A text in `extra` may be 1e300 or "inf". A number that no rate can reach is no measurement.
_LARGEST_EXTRA = 10**9


def value_and_base(measure: Measure, selection: Selection) -> tuple[str, str]:
    """SQL of value and base; both are NULL where the message does not carry the measure."""
    if measure.kind is Kind.RATIO:
        return UPLOAD_OF_BOTH, DOWNLOAD_OF_BOTH
    value = f"{measure.name}::DOUBLE" if measure.name in MEASURES else _extra_number(measure.name, selection)
    return value, f"CASE WHEN {value} IS NOT NULL THEN 1 END"


def is_plain(measure: Measure) -> bool:
    """Whether one message is enough to compute the measure, so that several such measures can be read at once."""
    return measure.kind in (Kind.MEAN, Kind.RATIO) and measure.name not in SCORES


def _extra_number(name: str, selection: Selection) -> str:
    number = f"TRY_CAST(json_extract_string(extra, {selection.bind(extra_pointer(name))}) AS DOUBLE)"
    return f"CASE WHEN abs({number}) <= {_LARGEST_EXTRA} THEN {number} END"
