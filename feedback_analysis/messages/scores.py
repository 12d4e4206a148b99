"""Quality models side by side: each score's mean and quantiles, and each term's mean, which add up to the mean of the score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import duckdb

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.registry import MEASURES, Kind
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import Group, Rows, quantiles
from feedback_analysis.measures.summary import DEFAULT_GROUPS
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import ALL
from feedback_analysis.quality.model import call, coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Over `n` messages or sessions, by weight; None where no message carries the fields of the model."""

    n: float
    mean: float | None
    p50: float | None
    p95: float | None
    terms: Mapping[str, float | None]


def scores(
    table: FeedbackTable,
    models: Sequence[str],
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    top: int = DEFAULT_GROUPS,
) -> dict[Group, dict[str, Score]]:
    """The scores of `models` by name, for each combination of `by` (at most `top` groups, as in a summary) and in total (key: all
    None)."""
    found: dict[Group, dict[str, Score]] = {}
    with table.reading() as cursor:
        chosen = table.select(span, where or {}, by)
        chosen, _ = chosen.largest(cursor, top)
        for name in models:
            rows = scored(name, replace(chosen, parameters=dict(chosen.parameters)))
            for group, score in _of(cursor, rows, tuple(table.models[name].terms())).items():
                found.setdefault(group, {})[name] = score
    return found


def add_scores(
    summary: dict[str, Any],
    table: FeedbackTable,
    models: Sequence[str],
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    top: int = DEFAULT_GROUPS,
) -> None:
    """Add the scores of `models` to `summary` and each of its groups. The coefficients are with the total."""
    found = scores(table, models, span=span, where=where, by=by, top=top)
    absent = dict.fromkeys(models, Score(n=0, mean=None, p50=None, p95=None, terms={}))
    for numbers in (summary, *summary["groups"]):
        group = tuple(numbers["by"].values()) if "by" in numbers else (None,) * len(by)
        numbers["models"] = {name: asdict(score) for name, score in (absent | found.get(group, {})).items()}
    for name in models:
        summary["models"][name]["coefficients"] = coefficients(table.models[name])


def scored(name: str, selection: MessageSelection, *columns: str) -> Rows:
    """A row per message, or per session if the model scores sessions: `weight`, `value`, `terms`."""
    model = next(each for each in ALL if each.name == name)
    chosen = (f"{call(model)} AS value", f"{call(model, terms=True)} AS terms")
    rows = selection.rows("session_id", "seq", "weight", *columns, *chosen, totals=model.columns)
    rows = replace(rows, sql=f"SELECT * FROM ({rows.sql}) WHERE value IS NOT NULL")
    if MEASURES[name].kind is not Kind.SESSION:
        return rows
    return rows.each("session_id", "max(weight) AS weight", "arg_max(value, seq) AS value", "arg_max(terms, seq) AS terms")


def _of(cursor: duckdb.DuckDBPyConnection, rows: Rows, terms: Sequence[str]) -> dict[Group, Score]:
    ranks = quantiles(cursor, rows, ("value",))
    sums = [exact_sum("weight"), exact_sum("value * weight"), *(exact_sum(f"terms.{term} * weight") for term in terms)]
    found = {}
    for group, (weight, value, *each) in rows.aggregate(cursor, *sums).items():
        p50, p95 = ranks.get(group, {}).get("value", (None, None))
        made_of = {term: quotient(total, weight) for term, total in zip(terms, each, strict=True)}
        found[group] = Score(n=number(weight), mean=quotient(value, weight), p50=p50, p95=p95, terms=made_of)
    return found
