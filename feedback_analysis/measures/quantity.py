"""One measure as rows with `value`, `base` and `weight`: it is the sum of value·weight over the sum of base·weight.

Both sums can be added up over minutes before they are divided, which is what makes a moving average no mean of means.
"""

from collections.abc import Sequence

from feedback_analysis.measures.exact import exact_sum
from feedback_analysis.measures.registry import MEASURES, Kind, Measure
from feedback_analysis.measures.selection import Selection, extra_pointer
from feedback_analysis.measures.statistics import Rows
from feedback_analysis.quality.catalogue import ALL
from feedback_analysis.quality.model import call

SUMS = (exact_sum("value * weight"), exact_sum("base * weight"))
"""The aggregates of numerator and denominator."""

SCORES = {model.name: model for model in ALL if model.name != "mos"}
"""The quality models that the table is asked for; the score of MOS(B, D) lies in it already."""

# A text in `extra` may say 1e300 or "inf"; what no rate can reach is no measurement.
_LARGEST_EXTRA = 10**9


def measured(measure: Measure, selection: Selection, *columns: str, aliases: tuple[str, ...] = ()) -> Rows:
    """A row per message, or per session where the measure has one value per session; `columns` and `aliases` tell groups apart."""
    rows = said(measure, selection, *columns, "session_id", "seq", aliases=aliases)
    if measure.kind is not Kind.SESSION:
        return rows
    last = "arg_max(value, seq) FILTER (WHERE value IS NOT NULL)"
    return rows.each("session_id", "max(weight) AS weight", f"{last} AS value", "max(base) AS base")


def said(measure: Measure, selection: Selection, *columns: str, aliases: tuple[str, ...] = ()) -> Rows:
    """A row per message, whatever the measure, with `columns` beside `weight`, `value` and `base`."""
    if measure.name in SCORES:
        # In two steps: a score may look at the message before, which is not to be done twice.
        model = SCORES[measure.name]
        scores = selection.sql(*columns, "weight", f"{call(model)} AS value", totals=model.columns)
        sql = f"SELECT *, CASE WHEN value IS NOT NULL THEN 1 END AS base FROM ({scores})"
    else:
        value, base = _expressions(measure, selection)
        sql = selection.sql(*columns, "weight", f"{value} AS value", f"{base} AS base")
    return Rows(sql=sql, parameters=selection.parameters, aliases=(*selection.aliases, *aliases), total=False)


def is_plain(measure: Measure) -> bool:
    """Whether every message says its own value, so that several such measures can be asked at once."""
    return measure.kind in (Kind.MEAN, Kind.RATIO) and measure.name not in SCORES


def together(measures: Sequence[Measure], selection: Selection, *columns: str, aliases: tuple[str, ...]) -> tuple[Rows, list[str]]:
    """A row per message with several plain measures, and the aggregates: numerator and denominator of one after the other."""
    pairs = [_expressions(measure, selection) for measure in measures]
    values = [f"{value} AS value_{at}, {base} AS base_{at}" for at, (value, base) in enumerate(pairs)]
    sums = [exact_sum(f"{side}_{at} * weight") for at in range(len(pairs)) for side in ("value", "base")]
    sql = selection.sql(*columns, "weight", *values)
    return Rows(sql=sql, parameters=selection.parameters, aliases=(*selection.aliases, *aliases), total=False), sums


def _expressions(measure: Measure, selection: Selection) -> tuple[str, str]:
    """SQL of value and base; both are NULL where a message does not say."""
    if measure.kind is Kind.RATIO:
        both = "upload_kbps IS NOT NULL AND download_kbps IS NOT NULL"
        return f"CASE WHEN {both} THEN upload_kbps END", f"CASE WHEN {both} THEN download_kbps END"
    value = f"{measure.name}::DOUBLE" if measure.name in MEASURES else _extra_number(measure.name, selection)
    return value, f"CASE WHEN {value} IS NOT NULL THEN 1 END"


def _extra_number(name: str, selection: Selection) -> str:
    number = f"TRY_CAST(json_extract_string(extra, {selection.bind(extra_pointer(name))}) AS DOUBLE)"
    return f"CASE WHEN abs({number}) <= {_LARGEST_EXTRA} THEN {number} END"
