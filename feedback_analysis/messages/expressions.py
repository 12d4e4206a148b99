"""A measure of one message in SQL: its value, and the base that the value is divided by.

Both sums, of value·weight and of base·weight, can be added up over minutes before they are divided.
"""

from feedback_analysis.measures.exact import ONE, exact_sum
from feedback_analysis.measures.partials import DOWNLOAD_OF_BOTH, UPLOAD_OF_BOTH
from feedback_analysis.measures.registry import MEASURES, Kind, Measure
from feedback_analysis.measures.selection import Selection, extra_pointer
from feedback_analysis.messages.stalls_and_starts import VALUE_AND_BASE
from feedback_analysis.quality.all_models import ALL

SUMS = (exact_sum("value * weight"), exact_sum("base * weight"))
"""SQL: numerator and denominator of rows with `value`, `base` and `weight`."""


def largest(value: str) -> tuple[str, str]:
    """SQL: the same for the largest `value`, which no weight changes."""
    return (
        f"coalesce(CAST(max({value}) * {ONE}::DOUBLE AS HUGEINT), 0)",
        f"CASE WHEN max({value}) IS NOT NULL THEN {ONE}::HUGEINT ELSE 0 END",
    )


LONGEST = largest("value")

SCORES = {model.name: model for model in ALL if model.name != "mos"}
"""The quality models that are computed only in queries; the table has a column for the score of MOS(B, D)."""

# A text in `extra` may be 1e300 or "inf". A number that no rate can reach is no measurement.
_LARGEST_EXTRA = 10**9


def value_and_base(measure: Measure, selection: Selection) -> tuple[str, str]:
    """SQL of value and base; both are NULL where the message does not carry the measure.

    A measure of VALUE_AND_BASE reads the increases of counters: `MessageSelection.sql(…, increases=True)` has them.
    """
    if measure.name in VALUE_AND_BASE:
        return VALUE_AND_BASE[measure.name]
    if measure.name == "contribution_ratio":
        return UPLOAD_OF_BOTH, DOWNLOAD_OF_BOTH
    value = f"{measure.name}::DOUBLE" if measure.name in MEASURES else _extra_number(measure.name, selection)
    return value, f"CASE WHEN {value} IS NOT NULL THEN 1 END"


def is_plain(measure: Measure) -> bool:
    """Whether the measure has a value and a base in each message, so that several such measures can be read at once."""
    return measure.kind in (Kind.MEAN, Kind.RATIO) and measure.name not in SCORES


def sums_of(measure: Measure) -> tuple[str, str]:
    """SQL aggregates: numerator and denominator of `measure` over rows with `value`, `base` and `weight`."""
    return LONGEST if measure.kind is Kind.LONGEST else SUMS


def number_of(measure: Measure) -> str:
    """SQL aggregate: the number that the same rows give, for one peer or session; NULL without a value."""
    numerator, denominator = sums_of(measure)
    return f"CASE WHEN {denominator} > 0 THEN {numerator} / {denominator} END"


def _extra_number(name: str, selection: Selection) -> str:
    number = f"TRY_CAST(json_extract_string(extra, {selection.bind(extra_pointer(name))}) AS DOUBLE)"
    return f"CASE WHEN abs({number}) <= {_LARGEST_EXTRA} THEN {number} END"
